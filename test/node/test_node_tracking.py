"""Ids over DDS: they stay with their objects, in detections and in TF alike."""

from dataclasses import fields, replace

import numpy as np
import pytest
from node_fakes import FakeEstimator, gray, make_estimate, make_image, make_info
from node_harness import running
from rclpy.parameter import Parameter

from cope_ros.core.deployment.runtime import Estimate


def reversed_rows(estimate: Estimate) -> Estimate:
    """The same instances, listed from the last to the first."""
    return replace(estimate, **{f.name: getattr(estimate, f.name)[::-1] for f in fields(estimate)})


def test_ids_follow_their_objects_when_the_order_changes() -> None:
    estimator = FakeEstimator()
    with running(estimator) as rig:
        rig.connect()
        rig.send(make_image(gray(), 1000), make_info(stamp=1000))
        first = rig.wait_for(1)
        before = {d.id: d.results[0].pose.pose.position.x for d in first.detections}
        moved = make_estimate()
        moved.t[:, 0] += 0.01
        estimator.answer = reversed_rows(moved)
        rig.send(make_image(gray(), 1100), make_info(stamp=1100))
        second = rig.wait_for(2)
        after = {d.id: d.results[0].pose.pose.position.x for d in second.detections}
        rig.wait(lambda: len(rig.transforms) >= 2, "transforms")
    assert set(before) == set(after) == {"carton_0", "carton_1", "cup_0"}
    assert all(abs(after[name] - before[name] - 0.01) < 1e-5 for name in before)
    assert {t.child_frame_id for t in rig.transforms[1].transforms} == set(after)


def test_an_object_that_returns_has_its_id_and_a_new_one_another() -> None:
    estimator = FakeEstimator()
    with running(estimator) as rig:
        rig.connect()
        rows = make_estimate()
        left = np.array([0, 1])  # the second carton is out of sight for a while
        without = replace(rows, **{f.name: getattr(rows, f.name)[left] for f in fields(rows)})
        elsewhere = make_estimate()
        elsewhere.t[2] = [0.0, 0.4, 1.5]
        seen = []
        for number, answer in enumerate((rows, without, rows, elsewhere)):
            estimator.answer = answer
            stamp = 1000 + 400 * number
            rig.send(make_image(gray(), stamp), make_info(stamp=stamp))
            seen.append([d.id for d in rig.wait_for(number + 1).detections])
    assert seen[0] == seen[2]
    assert seen[1] == seen[0][:2]
    assert seen[3] == [*seen[0][:2], "carton_2"]


def test_confirmation_is_a_live_parameter() -> None:
    with running(FakeEstimator()) as rig:
        rig.connect()
        result = rig.node.set_parameters([Parameter("track.confirm", value=2)])
        assert result[0].successful
        counts = []
        for number in range(3):
            stamp = 1000 + 100 * number
            rig.send(make_image(gray(), stamp), make_info(stamp=stamp))
            counts.append(len(rig.wait_for(number + 1).detections))
        refused = rig.node.set_parameters([Parameter("track.confirm", value=0)])
    assert counts == [0, 3, 3]
    assert not refused[0].successful


@pytest.mark.parametrize("stamps", [[0] * 14, [1000 * (i // 5) for i in range(14)]])
def test_drivers_without_a_clock_get_confirmed_ids_and_one_line(stamps) -> None:
    """All stamps zero, or whole seconds: tracks are confirmed by the images' arrival."""
    with running(FakeEstimator()) as rig:
        rig.connect()
        assert rig.node.set_parameters([Parameter("track.confirm", value=3)])[0].successful
        counts, ids = [], set()
        for number, stamp in enumerate(stamps):
            rig.send(make_image(gray(), stamp), make_info(stamp=stamp))
            found = rig.wait_for(number + 1).detections
            counts.append(len(found))
            ids |= {d.id for d in found}
        notices = rig.node.notices.standing
    assert counts[-3:] == [3, 3, 3]
    assert ids == {"carton_0", "carton_1", "cup_0"}
    assert ["do not advance" in text for text in notices["age"]] == [True]


def test_a_short_loop_starts_anew_and_goes_on() -> None:
    with running(FakeEstimator()) as rig:
        rig.connect()
        seen = []
        for number in range(15):
            stamp = 1000 + 100 * (number % 5)
            rig.send(make_image(gray(), stamp), make_info(stamp=stamp))
            seen.append({d.id for d in rig.wait_for(number + 1).detections})
    assert seen == [{"carton_0", "carton_1", "cup_0"}] * 15
