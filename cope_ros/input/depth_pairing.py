"""Finds the depth image of a colour image. Knows no ROS; used by one thread at a time."""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from cope_ros.input.depth_image import DepthError, Fault, check_registered

DEPTHS_KEPT = 8  # a quarter of a second at 30 Hz
ALIVE = 1.0  # s without a depth image after which none is waited for in mode auto
NANOSECONDS = 1_000_000_000


class DepthPair(NamedTuple):
    """A depth image and the camera_info that describes it."""

    image: Any  # sensor_msgs/Image or CompressedImage, not decoded yet
    info: Any | None  # sensor_msgs/CameraInfo


class DepthMatcher:
    """Keeps the newest depth images and hands out the one of a colour image's stamp."""

    def __init__(
        self,
        required: bool,
        max_difference: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts without any.

        Args:
            required: whether images without depth are useless.
            max_difference: tells the current depth.max_difference, s.
        """
        self.required = required
        self._max_difference = max_difference
        self._clock = clock
        self._depths: deque[Any] = deque(maxlen=DEPTHS_KEPT)  # in order of arrival
        self._info: Any | None = None
        self._arrived = -math.inf

    def put(self, depth: Any) -> None:
        """Takes in a depth image whose header has been checked."""
        self._depths.append(depth)
        self._arrived = self._clock()

    def put_info(self, info: Any) -> None:
        """Takes in a depth_camera_info; the newest counts."""
        self._info = info

    def find(self, image: Any, waited: float, patience: float) -> DepthPair | None:
        """The depth image of a colour image, None while it is worth waiting for one.

        Args:
            waited: s since the colour image came in.
            patience: s it may wait.

        Raises:
            DepthError: there is none, or it is of no use.
        """
        wanted, reach = nanoseconds(image), self._max_difference()
        nearest = min(self._depths, key=lambda d: abs(nanoseconds(d) - wanted), default=None)
        close = nearest is not None and _seconds(nanoseconds(nearest) - wanted) <= reach
        if close and waited < patience and self._nearer_to_come(wanted):
            return None
        if nearest is not None and close:
            check_registered(nearest, image)
            return DepthPair(nearest, self._info)
        if waited < patience and self._expected(wanted, reach):
            return None
        raise DepthError(Fault.UNMATCHED, self._absence(nearest, wanted, reach))

    def _expected(self, wanted: int, reach: float) -> bool:
        """Whether the depth image may still come: depth images come in order."""
        newest = max((nanoseconds(depth) for depth in self._depths), default=wanted)
        if newest > wanted and _seconds(newest - wanted) > reach:
            return False
        return self.required or self._clock() - self._arrived < ALIVE

    def _nearer_to_come(self, wanted: int) -> bool:
        """Whether the next depth image, one period after the newest, will be the nearest."""
        if len(self._depths) < 2 or self._clock() - self._arrived >= ALIVE:
            return False
        before, newest = (nanoseconds(depth) for depth in (self._depths[-2], self._depths[-1]))
        return 0 < newest - before < 2 * (wanted - newest)

    def _absence(self, nearest: Any | None, wanted: int, reach: float) -> str:
        if nearest is None:
            return "expected one of the image's stamp, none has come"
        gap = (nanoseconds(nearest) - wanted) / NANOSECONDS
        return f"expected one within {reach:g} s of the image, the nearest is {gap:+.3f} s off"


def nanoseconds(message: Any) -> int:
    """A message's stamp."""
    stamp = message.header.stamp
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def _seconds(difference: int) -> float:
    return abs(difference) / NANOSECONDS
