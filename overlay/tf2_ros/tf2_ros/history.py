"""The transforms of one frame to its parent over time. Times in ns, quaternions x y z w."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple

import numpy as np

from tf2_ros.exceptions import ExtrapolationException

LATEST = 0  # asked for as a time: the newest there is


class Sample(NamedTuple):
    """Where a frame lay in its parent at one time."""

    time: int
    parent: str
    translation: np.ndarray  # (3,)
    rotation: np.ndarray  # (4,), a unit quaternion


class History:
    """Samples of one frame, the newest ``span`` ns of them; a static one holds for ever."""

    def __init__(self, span: int, static: bool) -> None:
        self.static = static
        self._span = span
        self._samples: list[Sample] = []

    @property
    def newest(self) -> Sample:
        """There is always one."""
        return self._samples[-1]

    def insert(self, sample: Sample) -> None:
        """Takes a sample; one that is too old, or of a time it has, is ignored."""
        if self.static:
            self._samples = [sample]
            return
        if self._samples and sample.time < self.newest.time - self._span:
            return
        place = bisect_left(self._samples, sample.time, key=lambda s: s.time)
        if place < len(self._samples) and self._samples[place].time == sample.time:
            return
        insort(self._samples, sample, key=lambda s: s.time)
        oldest = self.newest.time - self._span
        del self._samples[: bisect_left(self._samples, oldest, key=lambda s: s.time)]

    def at(self, time: int, frame: str) -> Sample:
        """The sample of a time, between two neighbours by their time.

        Raises:
            ExtrapolationException: the time lies before the first or after the last.
        """
        if self.static or time == LATEST:
            return self.newest
        first, last = self._samples[0].time, self.newest.time
        if not first <= time <= last:
            raise ExtrapolationException(
                "Lookup would require extrapolation into the "
                f"{'past' if time < first else 'future'}: '{frame}' is known from "
                f"{first / 1e9:.6f} to {last / 1e9:.6f}, asked for {time / 1e9:.6f}"
            )
        place = bisect_left(self._samples, time, key=lambda s: s.time)
        after = self._samples[place]
        if after.time == time:
            return after
        before = self._samples[place - 1]
        if before.parent != after.parent:
            return before
        share = (time - before.time) / (after.time - before.time)
        translation = before.translation + share * (after.translation - before.translation)
        return Sample(
            time, after.parent, translation, slerp(before.rotation, after.rotation, share)
        )


def slerp(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """The unit quaternion on the shorter way from ``a`` to ``b``."""
    cosine = float(a @ b)
    if cosine < 0:
        b, cosine = -b, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-6:  # linear there, and without a division by zero
        mixed = (1 - share) * a + share * b
    else:
        mixed = np.sin((1 - share) * angle) * a + np.sin(share * angle) * b
    return mixed / np.linalg.norm(mixed)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of two quaternions."""
    return np.array(
        [*(a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])), a[3] * b[3] - a[:3] @ b[:3]]
    )


def rotate(rotation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A vector (3,) turned by a unit quaternion."""
    twice = 2 * np.cross(rotation[:3], vector)
    return vector + rotation[3] * twice + np.cross(rotation[:3], twice)


def conjugate(rotation: np.ndarray) -> np.ndarray:
    """The inverse of a unit quaternion."""
    return rotation * (-1, -1, -1, 1)
