"""The node over real DDS: what comes out for what goes in."""

import array
import threading
import time

import numpy as np
import pytest
from node_fakes import (
    FRAME,
    FakeEstimator,
    gray,
    make_estimate,
    make_image,
    make_info,
    milliseconds_of,
)
from node_harness import record_topics, running

from cope_ros.core.errors import CopeError
from cope_ros.input.drops import Cause


def test_one_frame_becomes_transforms_and_detections():
    with running(FakeEstimator(), {"tf.prefix": "left_"}) as rig:
        rig.connect()
        rig.send(make_image(gray(), 1234), make_info(stamp=1234))
        message = rig.wait_for(1)
        rig.wait(lambda: bool(rig.transforms), "tf")
    assert message.header.frame_id == FRAME
    assert milliseconds_of(message.header.stamp) == 1234
    first = message.detections[0]
    assert first.results[0].hypothesis.class_id == "carton"
    assert first.results[0].hypothesis.score == pytest.approx(0.9)
    pose = first.results[0].pose
    assert (pose.pose.position.x, pose.pose.position.z) == pytest.approx((0.3, 1.0))
    assert pose.covariance.reshape(6, 6).diagonal() == pytest.approx(np.arange(1, 7) * 1e-6)
    # The carton's box centre is (0, 0, 80) mm in its frame.
    assert first.bbox.center.position.z == pytest.approx(1.08)
    assert (first.bbox.size.x, first.bbox.size.y, first.bbox.size.z) == (0.1, 0.06, 0.16)
    assert [d.id for d in message.detections] == ["left_carton_1", "left_cup_0", "left_carton_0"]
    batch = rig.transforms[0]
    assert [t.child_frame_id for t in batch.transforms] == [d.id for d in message.detections]
    assert all(t.header == message.header for t in batch.transforms)
    half = np.sqrt(0.5)
    rotation = batch.transforms[0].transform.rotation
    assert (rotation.x, rotation.y, rotation.z, rotation.w) == pytest.approx((0, 0, half, half))


def test_an_empty_estimate_is_published_and_moves_no_frame():
    with running(FakeEstimator(answer=make_estimate(0))) as rig:
        rig.connect()
        rig.send(make_image(gray()), make_info())
        assert rig.wait_for(1).detections == []
    assert rig.transforms == []


def test_transforms_can_be_switched_off_and_the_best_kept():
    with running(FakeEstimator(), {"tf.enable": False, "max_instances": 2}) as rig:
        rig.connect()
        rig.send(make_image(gray()), make_info())
        scores = [d.results[0].hypothesis.score for d in rig.wait_for(1).detections]
    assert scores == pytest.approx([0.9, 0.8])
    assert rig.transforms == []


def test_transforms_leave_before_detections(monkeypatch):
    sent = record_topics(monkeypatch)
    with running(FakeEstimator()) as rig:
        rig.connect()
        rig.send(make_image(gray()), make_info())
        rig.wait_for(1)
    assert [t for t in sent if t in ("/tf", "/cope/detections")] == ["/tf", "/cope/detections"]


def test_no_non_finite_number_leaves_the_node():
    estimate = make_estimate(3)
    estimate.t[0, 2] = np.nan
    estimate.covariance[1, 3, 3] = np.inf
    with running(FakeEstimator(answer=estimate)) as rig:
        rig.connect()
        rig.send(make_image(gray()), make_info())
        message = rig.wait_for(1)
    assert [d.results[0].hypothesis.score for d in message.detections] == pytest.approx([0.7])


NANS = [float("nan")] * 12
BAD_FRAMES = {
    "short data": (make_image(gray(), data=array.array("B", b"abc")), make_info(), Cause.IMAGE),
    "zero size": (make_image(gray(), width=0), make_info(), Cause.IMAGE),
    "unknown encoding": (make_image(gray(), encoding="rgb7"), make_info(), Cause.IMAGE),
    "small step": (make_image(gray(), step=5), make_info(), Cause.IMAGE),
    "zero K": (make_image(gray()), make_info(k=[0.0] * 9, p=[0.0] * 12), Cause.INTRINSICS),
    "NaN in K": (make_image(gray()), make_info(k=NANS[:9], p=NANS), Cause.INTRINSICS),
    "other size": (make_image(gray()), make_info((32, 24)), Cause.SIZE),
    "other frame": (make_image(gray()), make_info(frame_id="elsewhere"), Cause.FRAME_ID),
}


def test_bad_frames_are_counted_by_cause_and_the_next_good_one_is_processed():
    expected: dict[Cause, int] = {}
    with running(FakeEstimator()) as rig:
        rig.connect()
        for number, (image, info, cause) in enumerate(BAD_FRAMES.values()):
            rig.send(image, info)
            expected[cause] = expected.get(cause, 0) + 1
            rig.wait_for_drop(cause, expected[cause])
            rig.send(make_image(gray(), 1000 + number), make_info(stamp=1000 + number))
            message = rig.wait_for(number + 1)
            assert milliseconds_of(message.header.stamp) == 1000 + number
        assert rig.node.counters.dropped == expected
        counters = rig.node.counters  # counted when the messages are out
        rig.wait(lambda: counters.processed == len(BAD_FRAMES), "all good frames to be counted")


def test_a_failing_estimator_costs_its_frame_only():
    failures = [CopeError("refused"), RuntimeError("CUDA out of memory")]
    with running(FakeEstimator(failures=failures)) as rig:
        rig.connect()
        for count in (1, 2):
            rig.send(make_image(gray(), count), make_info(stamp=count))
            rig.wait_for_drop(Cause.ESTIMATE, count)
        rig.send(make_image(gray(), 3), make_info(stamp=3))
        assert milliseconds_of(rig.wait_for(1).header.stamp) == 3


def test_frames_that_pile_up_are_dropped_and_the_newest_is_next():
    estimator = FakeEstimator(gate=threading.Event())
    with running(estimator) as rig:
        rig.connect()
        rig.send(make_image(gray(), 1), make_info(stamp=1))
        rig.wait(lambda: len(estimator.seen) == 1, "the first image")
        for number in range(2, 12):
            rig.send(make_image(gray(), number), make_info(stamp=number))
            rig.wait(lambda n=number: rig.node.counters.received >= n, "the image")
        estimator.gate.set()
        stamps = [milliseconds_of(rig.wait_for(n).header.stamp) for n in (1, 2)]
        rig.wait_for_drop(Cause.SUPERSEDED, 9)
    assert stamps == [1, 11]


def test_of_a_camera_too_fast_the_newest_images_are_taken_and_none_waits():
    estimator = FakeEstimator(delay=0.3)
    with running(estimator) as rig:
        rig.connect()
        for stamp in range(1, 41):
            rig.send(make_image(gray(), stamp), make_info(stamp=stamp))
            time.sleep(1 / 60)
        counters = rig.node.counters
        rig.wait(
            lambda: counters.processed + sum(counters.dropped.values()) == counters.received,
            "an empty mailbox",
        )
        stamps = [milliseconds_of(message.header.stamp) for message in rig.detections]
        assert set(counters.dropped) == {Cause.SUPERSEDED}
    assert stamps == sorted(stamps)
    assert counters.received > 2 * len(estimator.seen)


def test_images_too_old_are_dropped_before_they_are_estimated():
    estimator = FakeEstimator()
    with running(estimator, {"max_age": 1.0}) as rig:
        rig.connect()
        rig.send(make_image(gray(), 1), make_info(stamp=1))
        rig.wait_for_drop(Cause.AGE)
        now = rig.client.get_clock().now().nanoseconds // 1_000_000
        rig.send(make_image(gray(), now), make_info(stamp=now))
        assert milliseconds_of(rig.wait_for(1).header.stamp) == now
    assert len(estimator.seen) == 1


def test_the_rate_is_limited():
    arrivals = []
    with running(FakeEstimator(), {"max_rate": 4.0}) as rig:
        rig.connect()
        for number in (1, 2, 3):
            rig.send(make_image(gray(), number), make_info(stamp=number))
            rig.wait_for(number)
            arrivals.append(time.monotonic())
    assert min(np.diff(arrivals)) > 0.2


def test_new_intrinsics_and_sizes_act_on_the_next_frame():
    estimator = FakeEstimator()
    with running(estimator) as rig:
        rig.connect()
        for number, (size, focal) in enumerate(
            [((64, 48), 60.0), ((64, 48), 90.0), ((32, 20), 5.0)]
        ):
            info = make_info(size, number, focal)
            rig.send_in_order(make_image(gray(size[1], size[0]), number), info)
            rig.wait_for(number + 1)
    assert [K[0, 0] for _, K in estimator.seen] == [60.0, 90.0, 5.0]
    assert [image.shape for image, _ in estimator.seen] == [(48, 64, 3), (48, 64, 3), (20, 32, 3)]


def test_one_camera_info_serves_all_images_unless_stamps_must_match():
    with running(FakeEstimator()) as rig:
        rig.connect()
        rig.send(make_image(gray(), 1), make_info(stamp=1))
        rig.wait_for(1)
        rig.send(make_image(gray(), 2), None)
        rig.wait_for(2)
    with running(FakeEstimator(), {"sync.policy": "exact"}) as rig:
        rig.connect()
        rig.send(make_image(gray(), 1), make_info(stamp=1))
        rig.wait_for(1)
        rig.send(make_image(gray(), 2), None)
        rig.wait_for_drop(Cause.UNPAIRED)
