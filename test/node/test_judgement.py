"""The verdicts on a snapshot, without ROS in between."""

from dataclasses import replace

import pytest

from cope_ros.diagnostics.judgement import HANG, Level, diagnose
from cope_ros.diagnostics.measurements import KEPT, Monitor, Spread
from cope_ros.diagnostics.snapshot import Counts, Model, Snapshot, Topic
from cope_ros.input.drops import Cause

MODEL = Model("/models/mine", "0123456789abcdef", "lite", "cuda:0", "auto", None)
HEALTHY = Snapshot(
    lifecycle="active",
    enabled=True,
    mode="continuous",
    triggered=False,
    window=5.0,
    recent=Counts(150, 150, 140, 140, {Cause.SUPERSEDED: 10}),
    total=Counts(1500, 1500, 1400, 1400, {Cause.SUPERSEDED: 100}),
    reasons={cause: f"reason of {cause.value}" for cause in Cause},
    silence=0.02,
    image=Topic("/image_rect", 1, None),
    info=Topic("/camera_info", 1, None),
    model=MODEL,
    latency=Spread(0.040, 0.055),
    estimate=Spread(0.035, 0.050),
    busy=0.0,
    age=0.012,
    max_age=0.0,
    intrinsics=(600.0, 601.0, 320.0, 240.0),
    instances=4,
    subscribers={"detections": 2, "tf": 1},
    rss_mib=900.4,
    gpu_mib=512.0,
)


def judged(snapshot):
    return {status.part: status for status in diagnose(snapshot)}


def dropping(cause, count, processed=140):
    dropped = {cause: count}
    return replace(HEALTHY, recent=Counts(150, 150, processed, processed, dropped))


def test_a_healthy_node_is_ok_in_every_part_with_its_numbers():
    parts = judged(HEALTHY)
    assert {status.level for status in parts.values()} == {Level.OK}
    assert parts["input"].message == "30.0 Hz images, 30.0 Hz camera_info"
    assert parts["inference"].message == "28.0 Hz, p50 40 ms"
    assert parts["output"].message == "28.0 Hz, 4 instances, 2 listen"
    assert parts["age"].message == "the last image was 12 ms old"
    values = parts["inference"].values
    assert (values["latency_p99_ms"], values["estimate_p50_ms"]) == ("55.0", "35.0")
    assert (values["model_sha256"], values["gpu_mib"]) == ("0123456789ab", "512")
    assert parts["output"].values["dropped_superseded"] == "100"


@pytest.mark.parametrize(
    ("cause", "part"),
    [
        (Cause.NO_CAMERA_INFO, "synchronisation"),
        (Cause.UNPAIRED, "synchronisation"),
        (Cause.FRAME_ID, "synchronisation"),
        (Cause.SIZE, "synchronisation"),
        (Cause.IMAGE, "input"),
        (Cause.AGE, "age"),
        (Cause.ESTIMATE, "inference"),
        (Cause.TRANSFORM, "output"),
    ],
)
def test_every_cause_is_named_by_one_part_alone_and_worse_when_nothing_gets_through(cause, part):
    some, none = judged(dropping(cause, 10)), judged(dropping(cause, 150, 0))
    assert (some[part].level, none[part].level) == (Level.WARN, Level.ERROR)
    assert f"reason of {cause.value}" in some[part].message
    others = [status.level for name, status in some.items() if name != part]
    assert set(others) == {Level.OK}
    assert none["output"].level == Level.ERROR


def test_the_most_frequent_cause_is_the_one_named():
    dropped = {Cause.SIZE: 3, Cause.FRAME_ID: 7}
    snapshot = replace(HEALTHY, recent=Counts(150, 150, 140, 140, dropped))
    message = judged(snapshot)["synchronisation"].message
    assert message == "10 images found no camera_info, 140 did (frame_id): reason of frame_id"


def test_a_hang_is_an_error_even_before_the_first_frame_is_out():
    stuck = replace(HEALTHY, busy=HANG + 2, recent=Counts(150, 150, 1, 0))
    assert judged(stuck)["inference"].level == Level.ERROR
    assert "one frame for 12 s" in judged(stuck)["inference"].message
    slow = replace(HEALTHY, busy=1.0, recent=Counts(30, 30, 1, 0), instances=None)
    assert judged(slow)["output"].level == judged(slow)["inference"].level == Level.STALE


@pytest.mark.parametrize(("asked", "level"), [("auto", Level.WARN), ("cuda:0", Level.ERROR)])
def test_a_fallback_weighs_more_where_the_device_was_named(asked, level):
    model = replace(MODEL, device="cpu", asked=asked, fallback="out of memory")
    status = judged(replace(HEALTHY, model=model))["inference"]
    assert (status.level, "out of memory" in status.message) == (level, True)


def test_unheard_topics_come_before_silence():
    image = Topic("/image_rect", 0, "no publisher on /image_rect; nobody publishes any")
    status = judged(replace(HEALTHY, image=image, silence=60.0))["input"]
    assert (status.level, status.message) == (Level.ERROR, image.fault)
    silent = judged(replace(HEALTHY, silence=60.0))["input"]
    assert silent.message == "no image on /image_rect for 60 s although it has a publisher"


def test_whoever_waits_for_a_trigger_or_is_disabled_has_no_fault():
    quiet = replace(HEALTHY, recent=Counts(), silence=60.0)
    for idle, word in (
        (replace(quiet, mode="on_demand"), "~/trigger"),
        (replace(quiet, enabled=False), "~/enable"),
    ):
        parts = judged(idle)
        assert all(parts[name].level != Level.ERROR for name in parts)
        assert word in parts["output"].message
    assert judged(quiet)["input"].level == Level.ERROR


def test_an_inactive_node_is_stale_in_every_part():
    parts = judged(replace(HEALTHY, lifecycle="inactive"))
    assert {(s.level, s.message) for s in parts.values()} == {(Level.STALE, "the node is inactive")}


def test_counts_subtract():
    later = Counts(10, 9, 8, 7, {Cause.AGE: 3, Cause.SIZE: 1})
    earlier = Counts(4, 4, 4, 4, {Cause.AGE: 1})
    assert later.since(earlier) == Counts(6, 5, 4, 3, {Cause.AGE: 2, Cause.SIZE: 1})


def test_latencies_are_kept_in_a_bounded_window():
    now = [0.0]
    monitor = Monitor(clock=lambda: now[0])
    assert monitor.latency == Spread(0.0, 0.0)
    for _ in range(KEPT):
        monitor.published(arrived=-1000.0, instances=1)
    for step in range(1, KEPT + 1):
        monitor.published(arrived=-step / 100, instances=2)
    assert monitor.latency == pytest.approx((1.50, 2.97))
    assert len(monitor.timelines) == KEPT
    monitor.begin()
    now[0] = 3.0
    assert monitor.busy == 3.0
    monitor.end()
    assert (monitor.busy, monitor.instances) == (0.0, 2)


def test_the_stages_of_a_frame_add_up_to_its_latency():
    now = [0.0]
    monitor = Monitor(clock=lambda: now[0])
    for lost in (False, True, False):  # what a lost frame took belongs to no other
        now[0] += 10.0
        arrived = now[0]
        now[0] += 0.25
        monitor.begin()
        for stage, seconds in (("prepare", 1.0), ("estimate", 2.0), ("convert", 0.5)):
            now[0] += seconds
            monitor.mark(stage)
        now[0] += 0.125
        if not lost:
            monitor.published(arrived, 1)
        monitor.end()
    expected = {"wait": 0.25, "prepare": 1.0, "estimate": 2.0, "convert": 0.5, "publish": 0.125}
    assert [timeline.stages for timeline in monitor.timelines] == [expected, expected]
    assert monitor.timelines[1].arrived == arrived
    assert monitor.stages == {name: Spread(value, value) for name, value in expected.items()}
    assert monitor.latency == Spread(3.875, 3.875)
    values = judged(replace(HEALTHY, stages=monitor.stages))["inference"].values
    assert values["stage_convert_p50_ms"] == "500.0"
    monitor.clear()
    assert (monitor.timelines, monitor.stages) == ((), {})
