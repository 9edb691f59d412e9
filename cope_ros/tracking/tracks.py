"""The state of all tracks, as arrays with one row each, and its filter.

Position and own velocity follow a constant-velocity Kalman filter whose velocity decays. Its
uncertainty differs across and along the viewing ray only, which two 2x2 covariances hold.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from cope_ros.core.rotations import rotation_vectors, rotations
from cope_ros.tracking.motion import NOISE, OWN_MEMORY, OWN_SIGMA, decay

UNPUBLISHED = -1
ROTATION_GAIN = 0.5  # of a sighting: one wrong rotation does not turn a symmetric object around


@dataclass
class Tracks:
    """N tracks, confirmed or not, seen or lost."""

    class_index: np.ndarray  # (N,) int64
    slot: np.ndarray  # (N,) int64, UNPUBLISHED until confirmed
    hits: np.ndarray  # (N,) int64, frames with a sighting
    seen: np.ndarray  # (N,) s, stamp of the last sighting
    R: np.ndarray  # (N, 3, 3) reference rotation, object to camera
    x: np.ndarray  # (N, 3) m, centre in the camera frame
    u: np.ndarray  # (N, 3) m/s, own velocity in the camera frame
    noise: np.ndarray  # (N, 2) m, measurement error across and along the ray
    P: np.ndarray  # (N, 2, 2, 2) of (position, velocity), across and along the ray

    def __len__(self) -> int:
        return len(self.slot)

    @classmethod
    def born(
        cls, class_index: np.ndarray, R: np.ndarray, x: np.ndarray, diameter: np.ndarray, now: float
    ) -> "Tracks":
        """New tracks at their first sighting, not counted yet."""
        n = len(x)
        noise = diameter[:, None] * NOISE
        P = np.zeros((n, 2, 2, 2))
        P[:, :, 0, 0], P[:, :, 1, 1] = noise**2, OWN_SIGMA**2
        counts = np.zeros(n, dtype=np.int64)
        return cls(
            class_index=class_index,
            slot=np.full(n, UNPUBLISHED, dtype=np.int64),
            hits=counts,
            seen=np.full(n, now),
            R=R,
            x=x,
            u=np.zeros((n, 3)),
            noise=noise,
            P=P,
        )

    @classmethod
    def empty(cls) -> "Tracks":
        """No track."""
        index = np.zeros(0, dtype=np.int64)
        return cls.born(index, np.zeros((0, 3, 3)), np.zeros((0, 3)), np.zeros(0), 0.0)

    def take(self, rows: np.ndarray) -> "Tracks":
        """Some rows, by mask or index."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def joined(self, other: "Tracks") -> "Tracks":
        """These rows, then the other's."""
        both = {
            f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)])
            for f in fields(self)
        }
        return Tracks(**both)

    def advance(self, dt: float, R_motion: np.ndarray, t_motion: np.ndarray) -> None:
        """Moves everything ``dt`` (s) ahead with the camera's motion and the own velocities."""
        left, effective = decay(dt, OWN_MEMORY)
        self.x = (self.x + self.u * effective) @ R_motion.T + t_motion
        self.u = (self.u * left) @ R_motion.T
        self.R = R_motion @ self.R
        F = np.array([[1.0, effective], [0.0, left]])
        gained = OWN_SIGMA**2 * (1.0 - left**2)
        Q = gained * np.array([[dt * dt / 3.0, dt / 2.0], [dt / 2.0, 1.0]])
        self.P = F @ self.P @ F.T + Q

    def rays(self) -> np.ndarray:
        """(N, 3) unit vectors from the camera to each track."""
        return self.x / np.maximum(np.linalg.norm(self.x, axis=1, keepdims=True), 1e-9)

    def whitening(self) -> np.ndarray:
        """(N, 3, 3) 1/m: turns a sighting's distance from ``x`` into standard deviations."""
        across, along = 1.0 / np.sqrt(self.P[:, :, 0, 0] + self.noise**2).T
        ray = self.rays()
        outer = ray[:, :, None] * ray[:, None, :]
        return across[:, None, None] * np.eye(3) + (along - across)[:, None, None] * outer

    def count(self, rows: np.ndarray, now: float) -> None:
        """Notes that distinct ``rows`` are seen."""
        self.hits[rows] += 1
        self.seen[rows] = now

    def update(self, rows: np.ndarray, z: np.ndarray, R: np.ndarray) -> None:
        """Filters sightings into distinct ``rows``: centres (M, 3) m and aligned (M, 3, 3)."""
        residual = z - self.x[rows]
        ray = self.rays()[rows]
        along = ray * np.sum(residual * ray, axis=1, keepdims=True)
        parts = np.stack([residual - along, along], axis=1)  # (M, 2, 3)
        P = self.P[rows]
        gain = P[:, :, :, 0] / (P[:, :, 0, 0] + self.noise[rows] ** 2)[:, :, None]  # (M, 2, 2)
        self.x[rows] += (gain[:, :, 0, None] * parts).sum(axis=1)
        self.u[rows] += (gain[:, :, 1, None] * parts).sum(axis=1)
        self.P[rows] = P - gain[:, :, :, None] * P[:, :, 0, None, :]
        turn = rotation_vectors(R @ np.swapaxes(self.R[rows], 1, 2))
        self.R[rows] = rotations(ROTATION_GAIN * turn) @ self.R[rows]
