"""Counts depth images by fate, and the instances they confirm. Knows no ROS."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from cope_ros.diagnostics.counters import WARN_PERIOD
from cope_ros.input.depth_image import DepthError, Fault


@dataclass(frozen=True)
class DepthCounts:
    """Since the start, or within a window."""

    received: int = 0
    matched: int = 0  # colour images that found their depth
    faults: Mapping[Fault, int] = field(default_factory=dict)
    instances: int = 0  # in frames with depth
    confirmed: int = 0  # of them, those whose pose depth has determined

    def since(self, earlier: "DepthCounts") -> "DepthCounts":
        """What has come since ``earlier``."""
        return DepthCounts(
            self.received - earlier.received,
            self.matched - earlier.matched,
            {fault: n - earlier.faults.get(fault, 0) for fault, n in self.faults.items()},
            self.instances - earlier.instances,
            self.confirmed - earlier.confirmed,
        )


class DepthCounters:
    """Thread-safe; warns, not too often, about depth that is of no use."""

    def __init__(
        self, warn: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._received = self._matched = self._instances = self._confirmed = 0
        self._faults: Counter[Fault] = Counter()
        self._reasons: dict[Fault, str] = {}
        self._warned: dict[Fault, float] = {}

    def count_received(self) -> None:
        """A depth image came in."""
        with self._lock:
            self._received += 1

    def count_matched(self) -> None:
        """A colour image found its depth, in a form that can be used."""
        with self._lock:
            self._matched += 1

    def count_instances(self, share: np.ndarray) -> None:
        """Poses of a frame with depth; ``share`` (N,) of their surfaces is confirmed by it."""
        with self._lock:
            self._instances += len(share)
            self._confirmed += int((share > 0).sum())

    def count_fault(self, error: DepthError) -> None:
        """A depth image, or its absence, is of no use; warns every WARN_PERIOD per fault."""
        with self._lock:
            self._faults[error.fault] += 1
            self._reasons[error.fault] = str(error)
            total, now = self._faults[error.fault], self._clock()
            quiet = now - self._warned.get(error.fault, -math.inf) < WARN_PERIOD
            if not quiet:
                self._warned[error.fault] = now
        if not quiet:
            self._warn(f"no depth for a frame ({error.fault.value}, {total} in all): {error}")

    @property
    def counts(self) -> DepthCounts:
        """Since the start."""
        with self._lock:
            return DepthCounts(
                self._received,
                self._matched,
                dict(self._faults),
                self._instances,
                self._confirmed,
            )

    @property
    def reasons(self) -> dict[Fault, str]:
        """The last reason for each fault."""
        with self._lock:
            return dict(self._reasons)
