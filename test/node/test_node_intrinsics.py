"""The node over real DDS: camera_info that cannot be true, and what is said about it."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from node_fakes import FakeEstimator, gray, make_estimate, make_image, make_info
from node_harness import running

from cope_ros.input.drops import Cause

SIZE = (640, 480)
DEFAULTS = [1.0, 0, 320.0, 0, 1.0, 240.0, 0, 0, 1.0]
IDENTITY = [1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0]


def status(rig, part):
    """Waits for the next report and returns (level, message) of one part."""
    got = []
    subscription = rig.client.create_subscription(DiagnosticArray, "/diagnostics", got.append, 10)
    rig.wait(lambda: bool(got), "diagnostics")
    rig.client.destroy_subscription(subscription)
    (found,) = (s for s in got[-1].status if s.name.endswith(f": {part}"))
    return found.level[0], found.message


def picture(stamp=1):
    return make_image(gray(480, 640), stamp)


def test_a_drivers_default_intrinsics_give_no_poses_and_say_why():
    with running(FakeEstimator()) as rig:
        rig.connect()
        info = make_info(
            SIZE, k=DEFAULTS, p=[*DEFAULTS[:3], 0, *DEFAULTS[3:6], 0, *DEFAULTS[6:], 0]
        )
        rig.send(picture(), info)
        rig.wait_for_drop(Cause.INTRINSICS)
        level, message = status(rig, "intrinsics")
        assert level == 2
        assert "not calibrated" in message
        assert rig.detections == []
        rig.send_in_order(picture(2), make_info(SIZE, 2, focal=600.0))
        rig.wait_for(1)


def test_k_stands_in_for_an_identity_p_and_it_is_said_once():
    estimator = FakeEstimator()
    with running(estimator) as rig:
        rig.connect()
        for stamp in range(1, 4):
            info = make_info(SIZE, stamp, focal=600.0, p=IDENTITY)
            rig.send_in_order(picture(stamp), info)
            rig.wait_for(stamp)
        level, message = status(rig, "intrinsics")
        assert level == 1
        assert "K is used in place of P" in message
        rig.send_in_order(picture(9), make_info(SIZE, 9, focal=600.0))
        rig.wait_for(4)
        assert status(rig, "intrinsics")[0] == 0
    assert {K[0, 0] for _, K in estimator.seen} == {600.0}


@pytest.mark.parametrize(("topic", "level"), [("image_raw", 1), ("image_rect", 0)])
def test_a_raw_topic_with_distortion_that_passes_for_rectified_is_warned_of(topic, level):
    with running(FakeEstimator(), arguments=("-r", f"image_rect:=/cam/{topic}")) as rig:
        rig.connect(f"/cam/{topic}", "/cam/camera_info")
        rig.send(picture(), make_info(SIZE, focal=600.0, d=[-0.3, 0.1, 0.0, 0.0, 0.0]))
        rig.wait_for(1)
        found, message = status(rig, "intrinsics")
        assert found == level
        assert ("image_is_rectified" in message) == bool(level)


def test_poses_behind_the_camera_are_left_out_and_it_is_said():
    answer = make_estimate(8)
    answer.t[:, 2] = np.linspace(0.001, -0.011, 8)
    answer.t[0, 2] = np.nan
    with running(FakeEstimator(answer=answer)) as rig:
        rig.connect()
        rig.send(picture(), make_info(SIZE, focal=600.0))
        assert rig.wait_for(1).detections == []
        level, message = status(rig, "inference")
        assert level == 1
        assert "radius" in message


def test_binning_that_is_applied_already_is_believed():
    estimator = FakeEstimator()
    with running(estimator) as rig:
        rig.connect()
        rig.send(picture(), make_info(SIZE, focal=600.0, binning_x=2, binning_y=2))
        rig.wait_for(1)
        assert "binning" in status(rig, "intrinsics")[1]
    assert estimator.seen[0][1][0, 0] == 600.0
