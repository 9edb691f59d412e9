"""What the worker measures of itself, and the process' memory."""

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

KEPT = 300  # frames whose times are kept: ten seconds at 30 Hz
STATM = Path("/proc/self/statm")
MIB = 2**20


class Spread(NamedTuple):
    """Median and 99th percentile, s; zero without samples."""

    p50: float
    p99: float


class Timeline(NamedTuple):
    """One published frame: when its image came in (s, steady clock), and s spent per stage."""

    arrived: float
    stages: dict[str, float]  # wait, prepare, estimate, convert, publish; in that order


class Monitor:
    """Times of the last frames. One thread writes; others read single values at any time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._estimates: deque[float] = deque(maxlen=KEPT)
        self._latencies: deque[float] = deque(maxlen=KEPT)
        self._by_stage: dict[str, deque[float]] = {}
        self._timelines: deque[Timeline] = deque(maxlen=KEPT)
        self._started: float | None = None
        self._marked = 0.0
        self._stages: dict[str, float] = {}
        self.age: float | None = None  # s, stamp to arrival at the worker, of the last frame
        self.intrinsics: tuple[float, float, float, float] | None = None  # fx fy cx cy, px
        self.instances: int | None = None  # in the last frame

    def clear(self) -> None:
        """Forgets everything: the node was deactivated."""
        self._estimates.clear()
        self._latencies.clear()
        self._by_stage = {}
        self._timelines.clear()
        self._started = self.age = self.intrinsics = self.instances = None

    def begin(self) -> None:
        """The worker takes a frame in hand."""
        self._started = self._marked = self._clock()
        self._stages = {}

    def mark(self, stage: str) -> None:
        """A stage of the frame in hand is over."""
        now = self._clock()
        self._stages[stage] = now - self._marked
        self._marked = now

    def end(self) -> None:
        """It is done with it, one way or another."""
        self._started = None

    def estimated(self, seconds: float) -> None:
        """The estimator took so long."""
        self._estimates.append(seconds)

    def published(self, arrived: float, instances: int) -> None:
        """A frame that came in at ``arrived`` (s, steady clock) is out."""
        self.mark("publish")
        wait = self._marked - sum(self._stages.values()) - arrived
        stages = {"wait": wait, **self._stages}
        self._timelines.append(Timeline(arrived, stages))
        self._latencies.append(self._marked - arrived)
        for name, seconds in stages.items():  # beside the timelines: reports read them faster
            self._by_stage.setdefault(name, deque(maxlen=KEPT)).append(seconds)
        self.instances = instances

    @property
    def timelines(self) -> tuple[Timeline, ...]:
        """Of the last published frames, oldest first."""
        return tuple(self._timelines)

    @property
    def stages(self) -> dict[str, Spread]:
        """Of every stage, in order."""
        return {name: _spread(samples) for name, samples in tuple(self._by_stage.items())}

    @property
    def busy(self) -> float:
        """Seconds the worker has spent on the frame in hand, 0 where it has none."""
        started = self._started
        return 0.0 if started is None else self._clock() - started

    @property
    def latency(self) -> Spread:
        """From the image's arrival to its detections' departure."""
        return _spread(self._latencies)

    @property
    def estimate(self) -> Spread:
        """Of the estimator alone."""
        return _spread(self._estimates)


def _spread(samples: deque[float]) -> Spread:
    values = np.sort(np.array(tuple(samples)))  # a tuple first: the worker goes on appending
    if len(values) == 0:
        return Spread(0.0, 0.0)
    last = len(values) - 1
    return Spread(float(values[last // 2]), float(values[round(0.99 * last)]))


def resident_mib() -> float | None:
    """Memory of this process in RAM, MiB; None where the system does not tell."""
    try:
        pages = int(STATM.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def gpu_mib(device: str) -> float | None:
    """Memory that torch holds on a CUDA device, MiB; None on the CPU or a lost device."""
    if not device.startswith("cuda"):
        return None
    try:
        return torch.cuda.memory_reserved(device) / MIB
    except RuntimeError:
        return None
