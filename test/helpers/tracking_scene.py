"""Synthetic trajectories for the tests of tracking: detections of objects that move."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from core_factory import make_catalogue

from cope_ros.core.deployment.runtime import Estimate
from cope_ros.core.rotations import rotations
from cope_ros.tracking import Tracker, TrackSettings

CATALOGUE = make_catalogue()
SETTINGS = TrackSettings()
ROW = np.array([[x, 0.0, 1.0] for x in (-0.3, -0.15, 0.0, 0.15, 0.3)])  # m, in front of a camera


def make_estimate(
    t: np.ndarray, R: np.ndarray | None = None, class_index: np.ndarray | int = 0
) -> Estimate:
    """An estimate with poses at ``t`` (N, 3) m."""
    t = np.asarray(t, dtype=float).reshape(-1, 3)
    n = len(t)
    return Estimate(
        class_index=np.broadcast_to(class_index, n).astype(np.int64),
        score=np.ones(n, np.float32),
        R=np.array(np.broadcast_to(np.eye(3) if R is None else R, (n, 3, 3)), np.float32),
        t=t.astype(np.float32),
        covariance=np.tile(np.diag(np.arange(1.0, 7)).astype(np.float32), (n, 1, 1)),
        boxes=np.zeros((n, 4), np.float32),
        keypoints=np.zeros((n, 8, 2), np.float32),
        support=np.ones(n, np.int64),
    )


class Watcher:
    """A tracker and which slot each true object had."""

    def __init__(self, settings: TrackSettings = SETTINGS) -> None:
        self.tracker = Tracker(CATALOGUE)
        self.settings = settings
        self.slots_of: dict[int, list[int]] = {}

    def see(
        self,
        stamp: float,
        t: np.ndarray,
        who: Sequence[int] | None = None,
        class_index: np.ndarray | int = 0,
    ) -> np.ndarray:
        """Tracks objects at ``t`` (N, 3) m of the names ``who``, in an order drawn anew."""
        t = np.asarray(t, dtype=float).reshape(-1, 3)
        names = np.arange(len(t)) if who is None else np.asarray(who, dtype=int)
        order = np.random.default_rng(int(stamp * 1000) % 2**32).permutation(len(t))
        index = np.broadcast_to(class_index, len(t))
        estimate = make_estimate(t[order], class_index=index[order])
        slots = self.tracker.track(stamp, estimate, self.settings).slots
        for name, slot in zip(names[order].tolist(), slots.tolist(), strict=True):
            self.slots_of.setdefault(name, []).append(slot)
        return slots[np.argsort(order)]

    def switches(self) -> int:
        """How often an object's slot was not the one before."""
        return sum(sum(a != b for a, b in pairwise(slots)) for slots in self.slots_of.values())


def camera_motion(seconds: float, v: Sequence[float], w: Sequence[float]) -> np.ndarray:
    """(4, 4): what a moving camera makes of points at rest after some seconds."""
    T = np.eye(4)
    T[:3, :3] = rotations(np.array(w) * seconds)
    T[:3, 3] = np.array(v) * seconds
    return T
