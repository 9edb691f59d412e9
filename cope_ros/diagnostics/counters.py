"""Counts frames by fate and warns, not too often, about the ones that were lost."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable

from cope_ros.input.drops import Cause, FrameError

WARN_PERIOD = 5.0  # s between two warnings of the same cause
# Counted only: a camera faster than the estimator, images that nobody wants, and those before the
# first camera_info, for whose absence the console has a line of its own.
ROUTINE = frozenset({Cause.SUPERSEDED, Cause.DISABLED, Cause.NOT_TRIGGERED, Cause.NO_CAMERA_INFO})


class FrameCounters:
    """How many frames came in, were processed, or were dropped and why. Thread-safe."""

    def __init__(
        self, warn: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._received = 0
        self._infos = 0
        self._paired = 0
        self._frame_id = ""
        self._last_image = self._last_info = -math.inf
        self._processed = 0
        self._dropped: Counter[Cause] = Counter()
        self._reasons: dict[Cause, str] = {}
        self._warned: dict[Cause, tuple[float, int]] = {}  # when, and the count by then

    def count_received(self, frame_id: str = "") -> None:
        """An image came in."""
        with self._lock:
            self._received += 1
            self._frame_id, self._last_image = frame_id, self._clock()

    def count_info(self) -> None:
        """A camera_info came in."""
        with self._lock:
            self._infos += 1
            self._last_info = self._clock()

    def count_paired(self) -> None:
        """An image and its camera_info reached the worker."""
        with self._lock:
            self._paired += 1

    def count_processed(self) -> None:
        """Its detections went out."""
        with self._lock:
            self._processed += 1

    def count_dropped(self, error: FrameError) -> None:
        """It was dropped; warns at most every WARN_PERIOD seconds per cause."""
        with self._lock:
            self._dropped[error.cause] += 1
            self._reasons[error.cause] = str(error)
            total, now = self._dropped[error.cause], self._clock()
            last, seen = self._warned.get(error.cause, (-WARN_PERIOD, 0))
            quiet = error.cause in ROUTINE or now - last < WARN_PERIOD
            if not quiet:
                self._warned[error.cause] = (now, total)
        if not quiet:
            more = total - seen
            what = "a frame" if more == 1 else f"{more} frames"
            self._warn(f"dropped {what} ({error.cause.value}, {total} in all): {error}")

    @property
    def received(self) -> int:
        """Images that came in."""
        return self._received

    @property
    def infos(self) -> int:
        """camera_info messages that came in."""
        return self._infos

    @property
    def paired(self) -> int:
        """Pairs that reached the worker."""
        return self._paired

    @property
    def frame_id(self) -> str:
        """The newest image's."""
        return self._frame_id

    @property
    def silence(self) -> float:
        """Seconds since the newest image, infinite before the first."""
        return self._clock() - self._last_image

    @property
    def info_silence(self) -> float:
        """Seconds since the newest camera_info, infinite before the first."""
        return self._clock() - self._last_info

    @property
    def processed(self) -> int:
        """Frames whose detections went out."""
        return self._processed

    @property
    def dropped(self) -> dict[Cause, int]:
        """Dropped frames by cause."""
        with self._lock:
            return dict(self._dropped)

    @property
    def reasons(self) -> dict[Cause, str]:
        """The last reason for each cause of drops."""
        with self._lock:
            return dict(self._reasons)
