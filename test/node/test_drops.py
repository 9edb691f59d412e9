"""Counting of drops."""

from types import SimpleNamespace

from cope_ros.diagnostics.counters import WARN_PERIOD, FrameCounters
from cope_ros.input.drops import Cause, FrameError


def test_counters_warn_once_per_cause_and_period():
    warnings: list[str] = []
    clock = SimpleNamespace(now=0.0)
    counters = FrameCounters(warnings.append, lambda: clock.now)
    for _ in range(3):
        counters.count_dropped(FrameError(Cause.IMAGE, "bad"))
        counters.count_dropped(FrameError(Cause.SUPERSEDED, "late"))
    counters.count_dropped(FrameError(Cause.SIZE, "small"))
    clock.now = WARN_PERIOD
    counters.count_dropped(FrameError(Cause.IMAGE, "worse"))
    assert warnings == [
        "dropped a frame (image, 1 in all): bad",
        "dropped a frame (size, 1 in all): small",
        "dropped 3 frames (image, 4 in all): worse",
    ]
    assert counters.dropped == {Cause.IMAGE: 4, Cause.SUPERSEDED: 3, Cause.SIZE: 1}
