"""How objects move as the camera sees them: the camera's own motion plus each object's.

The camera's pose is unknown, but everything at rest shares its motion: a point x of the scene
moves in the camera frame with ``v + cross(w, x)``. The twist (v, w) is filtered from all tracks
at once; what is left over is each object's own velocity. Both decay, so that nothing that is
out of sight runs away.
"""

import numpy as np

from cope_ros.core.rotations import rotations, skew

TWIST_SIGMA = np.array([0.3] * 3 + [0.5] * 3)  # m/s and rad/s: cameras on hands and arms
TWIST_MEMORY = 1.0  # s after which a motion is half forgotten, about
OWN_SIGMA = 0.12  # m/s, speed of objects beside the camera's
OWN_MEMORY = 2.0  # s
NOISE = np.array([0.05, 0.12])  # of the diameter: centre's error across and along the ray
ROBUST_STEPS = 3
OUTLIER = 2.0  # standard deviations from which a residual counts less


def decay(dt: float, memory: float) -> tuple[float, float]:
    """Share of a velocity left after ``dt`` (s), and the time (s) it was effective for."""
    left = float(np.exp(-dt / memory))
    return left, memory * (1.0 - left)


class CameraMotion:
    """The twist of the scene in the camera frame and its uncertainty."""

    def __init__(self) -> None:
        self.twist = np.zeros(6)  # v (m/s), w (rad/s)
        self._P = np.diag(TWIST_SIGMA**2)

    def advance(self, dt: float) -> tuple[np.ndarray, np.ndarray]:
        """Predicts ``dt`` (s) ahead; the motion (3, 3), (3,) m of all points in that time."""
        left, effective = decay(dt, TWIST_MEMORY)
        moved = rotations(self.twist[3:] * effective), self.twist[:3] * effective
        self.twist = self.twist * left
        self._P = left**2 * self._P + (1.0 - left**2) * np.diag(TWIST_SIGMA**2)
        return moved

    def correct(
        self, x: np.ndarray, residual: np.ndarray, whitening: np.ndarray, dt: float
    ) -> np.ndarray:
        """Learns from where points were seen instead of where they were expected.

        Args:
            x: (M, 3) m, predicted points.
            residual: (M, 3) m, seen minus predicted.
            whitening: (M, 3, 3) 1/m, which makes the residuals' noise a unit normal one, apart
                from the camera's motion.
            dt: s, time in which they arose, positive.

        Returns:
            (6,) the change of the twist.
        """
        H = dt * np.concatenate([whitening, -whitening @ skew(x)], axis=2).reshape(-1, 6)
        r = (whitening @ residual[:, :, None]).reshape(-1)
        prior = np.linalg.inv(self._P)
        weight = np.ones(len(r))
        for _ in range(ROBUST_STEPS):
            HtW = H.T * weight
            A = prior + HtW @ H
            change = np.linalg.solve(A, HtW @ r)
            rest = (r - H @ change).reshape(-1, 3)
            sigmas = np.sqrt((rest * rest).sum(axis=1))
            weight = np.repeat(OUTLIER / np.maximum(sigmas, OUTLIER), 3)
        self._P = np.linalg.inv(A)
        self.twist = self.twist + change
        return change


def displacement(x: np.ndarray, change: np.ndarray, dt: float) -> np.ndarray:
    """(M, 3) m that a change (6,) of the twist moves points (M, 3) in ``dt`` (s)."""
    return dt * (change[:3] + x @ skew(change[3:]).T)
