"""Which slot an instance gets: the number behind its id and its TF frame.

Whatever numbers instances implements :class:`SlotAssigner`; a tracker that keeps a slot with its
object over time takes the place of :class:`FrameSlots` without any other change.
"""

from typing import Any, Protocol

import numpy as np


class SlotAssigner(Protocol):
    """Numbers the instances of successive frames."""

    def assign(self, stamp: float, estimate: Any) -> np.ndarray:
        """Slots of the rows of ``estimate`` seen at ``stamp`` (s).

        Returns:
            (N,) int64, >= 0 and unique within a class; -1 keeps an instance unpublished.
        """
        ...

    def reset(self) -> None:
        """Forgets every slot in use."""
        ...


class FrameSlots:
    """Numbers each frame by itself: per class from left to right, as the camera sees them.

    Without memory: a slot follows an object only as long as the order of its kind stays.
    Left to right changes less from frame to frame than the order of scores.
    """

    def assign(self, stamp: float, estimate: Any) -> np.ndarray:
        """See :meth:`SlotAssigner.assign`; never -1."""
        bearing = estimate.t[:, 0] / estimate.t[:, 2]
        slots = np.empty(len(bearing), dtype=np.int64)
        for index in np.unique(estimate.class_index):
            rows = np.flatnonzero(estimate.class_index == index)
            slots[rows[np.argsort(bearing[rows], kind="stable")]] = np.arange(len(rows))
        return slots

    def reset(self) -> None:
        """Nothing is remembered."""
