"""Pairs images with camera_info and hands the newest pair to the worker.

Callbacks put, one worker takes. Putting never blocks on the estimator: a few images wait for
their camera_info at most, and whenever a pair is taken everything older is dropped and counted.
"""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from cope_ros.input.depth_image import DepthError
from cope_ros.input.depth_pairing import DepthMatcher, DepthPair
from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.resolution import window_for

SYNC_WAIT = 0.1  # s an image waits for its camera_info; drivers send both within milliseconds
IMAGES_KEPT = 4  # images that may wait at once: SYNC_WAIT at 40 Hz
INFOS_KEPT = 30  # one second of camera_info at 30 Hz
EXACT_STREAK = 2  # exact pairs in a row after which the next exact partner is waited for

Stamp = tuple[int, int]


class Pair(NamedTuple):
    """An image, the camera_info that describes it, and its depth image where one is wanted."""

    image: Any  # sensor_msgs/Image or CompressedImage
    info: Any  # sensor_msgs/CameraInfo
    arrived: float  # s, steady clock, when the image came in
    depth: DepthPair | DepthError | None = None  # or why there is none; None where depth is off


class _Waiting(NamedTuple):
    image: Any
    arrived: float


def stamp_of(message: Any) -> Stamp:
    """(sec, nanosec) of a stamped message."""
    return message.header.stamp.sec, message.header.stamp.nanosec


def mismatch(image: Any, info: Any, any_frame: bool = False) -> FrameError | None:
    """Why ``info`` does not describe ``image``, None where it does.

    A frame_id that is empty in one of the two, or has a leading slash as in ROS 1, is no
    contradiction. A compressed image tells its size only after decoding; it is compared then.

    Args:
        any_frame: the frame_id does not matter.
    """
    wanted, given = (message.header.frame_id.lstrip("/") for message in (image, info))
    if wanted != given and wanted and given and not any_frame:
        text = (
            f"camera_info: expected frame_id '{wanted[:80]}' (the image's), got '{given[:80]}'; "
            "if it is of this camera all the same, set sync.any_frame_id:=true"
        )
        return FrameError(Cause.FRAME_ID, text)
    if hasattr(image, "width"):
        try:
            window_for(info, (image.width, image.height))
        except FrameError as error:
            return error
    return None


class Mailbox:
    """The slot between the ROS callbacks and the worker thread."""

    def __init__(
        self,
        on_drop: Callable[[FrameError], None],
        policy: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
        depth: DepthMatcher | None = None,
        any_frame: Callable[[], bool] = lambda: False,
    ) -> None:
        """An empty mailbox.

        Args:
            policy: tells the current sync.policy.
            depth: finds depth images; without it none is looked for.
            any_frame: tells the current sync.any_frame_id.
        """
        self._on_drop = on_drop
        self._policy = policy
        self._clock = clock
        self._depth = depth
        self._any_frame = any_frame
        self._changed = threading.Condition()
        self._images: deque[_Waiting] = deque()  # oldest first
        self._infos: OrderedDict[Stamp, Any] = OrderedDict()  # in order of arrival
        self._streak = 0

    def put_image(self, image: Any) -> None:
        """Takes in an image; the oldest one that waits makes room."""
        with self._changed:
            self._images.append(_Waiting(image, self._clock()))
            evicted = self._images.popleft() if len(self._images) > IMAGES_KEPT else None
            error = self._left_behind(evicted.image) if evicted else None
            self._changed.notify()
        if error is not None:
            self._on_drop(error)

    def put_info(self, info: Any) -> None:
        """Takes in a camera_info."""
        with self._changed:
            self._infos.pop(stamp_of(info), None)
            self._infos[stamp_of(info)] = info
            if len(self._infos) > INFOS_KEPT:
                self._infos.popitem(last=False)
            self._changed.notify()

    def put_depth(self, depth: Any) -> None:
        """Takes in a depth image whose header has been checked."""
        with self._changed:
            if self._depth is not None:
                self._depth.put(depth)
            self._changed.notify()

    def put_depth_info(self, info: Any) -> None:
        """Takes in the camera_info of depth images."""
        with self._changed:
            if self._depth is not None:
                self._depth.put_info(info)

    def take(self, timeout: float) -> Pair | None:
        """Waits up to ``timeout`` seconds for a pair; drops and reports what is older."""
        deadline = self._clock() + timeout
        while True:
            with self._changed:
                pair, errors = self._scan()
                remaining = deadline - self._clock()
                if pair is None and not errors and remaining > 0:
                    self._changed.wait(min(remaining, self._until_overdue()))
            for error in errors:
                self._on_drop(error)
            if pair is not None or remaining <= 0:
                return pair

    def _until_overdue(self) -> float:
        now = self._clock()
        ends = (w.arrived + SYNC_WAIT - now for w in self._images)
        return max(min(ends, default=math.inf), 0.001)

    def _scan(self) -> tuple[Pair | None, list[FrameError]]:
        """The newest image with a partner, if any, and the drops found on the way."""
        errors: list[FrameError] = []
        for waiting in reversed(tuple(self._images)):
            try:
                pair = self._complete(waiting)
            except FrameError as error:
                errors.append(error)
                self._images.remove(waiting)
                continue
            if pair is not None:
                while self._images[0] is not waiting:
                    errors.append(self._left_behind(self._images.popleft().image))
                self._images.popleft()
                return pair, errors
        return None, errors

    def _complete(self, waiting: _Waiting) -> Pair | None:
        """An image with all that belongs to it, None while that is worth waiting for.

        Raises:
            FrameError: something is missing, and not to be expected.
        """
        info = self._partner(waiting)
        if info is None or self._depth is None:
            return None if info is None else Pair(waiting.image, info, waiting.arrived)
        waited = self._clock() - waiting.arrived
        try:
            depth = self._depth.find(waiting.image, waited, SYNC_WAIT)
        except DepthError as error:
            if self._depth.required:
                raise FrameError(Cause.DEPTH, str(error)) from error
            return Pair(waiting.image, info, waiting.arrived, error)
        return None if depth is None else Pair(waiting.image, info, waiting.arrived, depth)

    def _partner(self, waiting: _Waiting) -> Any | None:
        """The camera_info of an image, None while it is worth waiting for one.

        In a stream whose last pairs were all exact, the exact partner is waited for even if an
        older camera_info would fit, so that new intrinsics act on the very next frame.

        Raises:
            FrameError: there is none, and none is to be expected.
        """
        image = waiting.image
        exact = self._infos.get(stamp_of(image))
        if exact is not None:
            error = self._mismatch(image, exact)
            if error is not None:
                raise error
            self._streak += 1
            return exact
        overdue = self._clock() - waiting.arrived >= SYNC_WAIT
        if self._policy() == "latest" and (overdue or self._streak < EXACT_STREAK):
            for info in reversed(self._infos.values()):
                if self._mismatch(image, info) is None:
                    self._streak = 0
                    return info
        if overdue:
            raise self._no_partner(image)
        return None

    def _no_partner(self, image: Any) -> FrameError:
        if not self._infos:
            return FrameError(Cause.NO_CAMERA_INFO, "camera_info: expected one, got none")
        newest = next(reversed(self._infos.values()))
        if self._policy() == "exact":
            text = "camera_info: expected stamp {}.{:09d} (the image's), newest is {}.{:09d}"
            return FrameError(Cause.UNPAIRED, text.format(*stamp_of(image), *stamp_of(newest)))
        late = FrameError(Cause.UNPAIRED, "camera_info came too late")
        return self._mismatch(image, newest) or late

    def _mismatch(self, image: Any, info: Any) -> FrameError | None:
        return mismatch(image, info, self._any_frame())

    def _left_behind(self, image: Any) -> FrameError:
        if stamp_of(image) in self._infos or (self._policy() == "latest" and self._infos):
            return FrameError(Cause.SUPERSEDED, "image: a newer one came before its turn")
        return self._no_partner(image)
