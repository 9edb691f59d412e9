"""What /diagnostics says of the depth input."""

from dataclasses import replace

import numpy as np
import pytest
from test_judgement import HEALTHY, judged

from cope_ros.diagnostics.depth_counters import DepthCounters, DepthCounts
from cope_ros.diagnostics.judgement import Level
from cope_ros.diagnostics.snapshot import DepthState, Topic
from cope_ros.input.depth_image import DepthError, Fault

DEPTH = DepthState(
    required=False,
    topic=Topic("/depth", 1, None),
    recent=DepthCounts(150, 140, {}, 1000, 900),
    total=DepthCounts(1500, 1400, {Fault.UNMATCHED: 3}, 10000, 9000),
    reasons={fault: f"reason of {fault.value}" for fault in Fault},
)


def judge(**changes):
    return judged(replace(HEALTHY, depth=replace(DEPTH, **changes)))["depth"]


def test_no_part_of_its_own_where_depth_is_off():
    assert "depth" not in judged(HEALTHY)


def test_healthy_depth_tells_its_rate_and_how_many_poses_it_confirms():
    status = judge()
    assert (status.level, status.message) == (
        Level.OK,
        "30.0 Hz depth images, 90 % of the poses confirmed",
    )
    assert status.values["matched"] == "1400"
    assert status.values["instances_confirmed"] == "9000"
    assert status.values["unmatched"] == "3"
    assert status.values["depth_topic"] == "/depth"


@pytest.mark.parametrize("required", [False, True])
def test_what_is_missing_is_an_error_only_where_it_is_required(required):
    bad = Level.ERROR if required else Level.WARN
    status = judge(required=required, topic=Topic("/depth", 0, "no publisher on /depth"))
    assert (status.level, status.message) == (bad, "no publisher on /depth")
    status = judge(required=required, recent=DepthCounts(150, 0, {Fault.FRAME_ID: 140}))
    assert status.level == bad
    assert status.message.endswith("140 times not (frame_id): reason of frame_id")
    some = DepthCounts(150, 100, {Fault.UNMATCHED: 40, Fault.SIZE: 1}, 500, 400)
    status = judge(required=required, recent=some)
    assert status.level == Level.WARN
    assert "100 images found their depth, 41 times not (unmatched)" in status.message


def test_depth_that_contradicts_every_pose_is_said():
    status = judge(recent=DepthCounts(150, 140, {}, 500, 0))
    assert status.level == Level.WARN
    assert "contradicts all of the last 500 poses" in status.message


def test_nothing_yet_is_stale():
    assert judge(recent=DepthCounts()).level == Level.STALE
    idle = replace(HEALTHY, enabled=False, depth=replace(DEPTH, recent=DepthCounts()))
    assert judged(idle)["depth"].message == "disabled by ~/enable"


def test_counters_count_and_warn_now_and_then():
    now, said = [0.0], []
    counters = DepthCounters(said.append, lambda: now[0])
    counters.count_received()
    counters.count_matched()
    counters.count_instances(np.array([0.0, 0.9, 0.8]))
    for now[0] in (0.0, 1.0, 6.0):
        counters.count_fault(DepthError(Fault.SIZE, "too small"))
    assert counters.counts == DepthCounts(1, 1, {Fault.SIZE: 3}, 3, 2)
    assert counters.counts.since(DepthCounts(1, 0, {Fault.SIZE: 1})).faults == {Fault.SIZE: 2}
    assert len(said) == 2
    assert "(size, 3 in all): depth: too small" in said[1]
    assert counters.reasons == {Fault.SIZE: "depth: too small"}
