"""Faults of the world around the node, over real DDS: stamps, clocks, cameras, bursts, restarts."""

import time

import numpy as np
import pytest
from fault_probe import ANSWER, Probe, numbers, stamp_of
from node_fakes import FakeEstimator, gray, make_estimate, make_image, make_info, time_of
from node_harness import running
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection3DArray

from cope_ros.input.drops import Cause

NOW = 1_000_000  # ms
YEAR = 365 * 24 * 3600 * 1000  # ms
STAMPS = {
    "late": [NOW, NOW - 400, NOW + 33],
    "duplicate": [NOW, NOW, NOW, NOW + 33],
    "reordered": [NOW + 99, NOW + 33, NOW + 66, NOW],
    "future": [NOW, NOW + YEAR, NOW + 33],
    "before the epoch": [NOW, -(2**31) * 1000, NOW + 33],
    "the end of time": [NOW, (2**31 - 1) * 1000, NOW + 33],
    "a clock that jumps": [NOW, NOW + 60_000, NOW - 60_000, NOW],
}


@pytest.mark.parametrize("case", STAMPS)
def test_any_order_of_stamps_is_answered_stamp_by_stamp(case):
    with running(FakeEstimator()) as rig:
        rig.connect()
        probe = Probe(rig)
        for stamp in STAMPS[case]:
            answer = probe.publishes(stamp)
            assert len(answer.detections) == 3
            assert len({detection.id for detection in answer.detections}) == 3
        probe.unharmed()


def test_a_stamp_of_impossible_fields_is_answered_as_it_is():
    with running(FakeEstimator()) as rig:
        rig.connect()
        for nanosec in (2_000_000_000, 2**32 - 1):
            image, info = make_image(gray()), make_info()
            image.header.stamp.nanosec = info.header.stamp.nanosec = nanosec
            count = len(rig.detections)
            rig.send(image, info)
            assert rig.wait_for(count + 1).header.stamp.nanosec == nanosec
        Probe(rig).unharmed()


def test_simulated_time_may_jump_and_stand_still():
    with running(FakeEstimator(), {"use_sim_time": True, "max_age": 1.0}) as rig:
        rig.connect()
        clock = rig.client.create_publisher(Clock, "/clock", 10)
        rig.wait(lambda: clock.get_subscription_count() > 0, "clock")
        probe = Probe(rig)

        def set_clock(milliseconds):
            def reached():
                clock.publish(Clock(clock=time_of(milliseconds)))
                return rig.node.get_clock().now().nanoseconds == milliseconds * 1_000_000

            rig.wait(reached, "the clock")

        dropped = 0
        for now in (NOW, NOW + YEAR, NOW - 500_000, 0, NOW):  # forwards, backwards, standing
            set_clock(now)
            assert probe.publishes(now).detections
            assert probe.publishes(now + 500_000).detections  # of the future: as it comes
            if now:
                old = now - 5_000
                rig.send(make_image(gray(), old), make_info(stamp=old))
                dropped += 1
                rig.wait_for_drop(Cause.AGE, dropped)
        probe.unharmed()


@pytest.mark.parametrize(
    ("policy", "cause"), [("exact", Cause.UNPAIRED), ("latest", None)], ids=["exact", "latest"]
)
def test_camera_info_may_vanish_and_come_back(policy, cause):
    with running(FakeEstimator(), {"sync.policy": policy}) as rig:
        rig.connect()
        probe = Probe(rig)
        probe.publishes(NOW)
        for stamp in range(NOW + 100, NOW + 400, 100):
            count, lost = len(rig.detections), rig.node.counters.dropped.get(cause, 0)
            rig.send(make_image(gray(), stamp), None)
            if cause is None:
                assert stamp_of(rig.wait_for(count + 1)) == stamp
            else:
                rig.wait_for_drop(cause, lost + 1)
                assert len(rig.detections) == count
        probe.unharmed()


def test_before_any_camera_info_images_are_counted_as_such():
    with running(FakeEstimator()) as rig:
        rig.connect()
        rig.send(make_image(gray(), NOW), None)
        rig.wait_for_drop(Cause.NO_CAMERA_INFO)
        Probe(rig).unharmed()


def test_changed_intrinsics_act_on_the_very_image_they_are_stamped_for():
    estimator = FakeEstimator()
    focals = [60.0, 60.0, 90.0, 30.0, 60.0]
    with running(estimator) as rig:
        rig.connect()
        for number, focal in enumerate(focals, 1):
            image, info = make_image(gray(), number), make_info(stamp=number, focal=focal)
            if number < 3:
                rig.send_in_order(image, info)
            else:  # from the third pair on the image may come first
                rig.image_publisher.publish(image)
                rig.info_publisher.publish(info)
            rig.wait_for(number)
        bad = make_info(stamp=99, k=[0.0] * 9, p=[0.0] * 12)
        rig.send_in_order(make_image(gray(), 99), bad)
        rig.wait_for_drop(Cause.INTRINSICS)
        Probe(rig).unharmed()
    assert [K[0, 0] for _, K in estimator.seen[: len(focals)]] == focals


def test_the_resolution_may_change_in_mid_stream():
    estimator = FakeEstimator()
    sizes = [(64, 48), (32, 24), (1, 1), (200, 100), (64, 48)]
    with running(estimator) as rig:
        rig.connect()
        for number, (width, height) in enumerate(sizes, 1):
            image = make_image(gray(height, width), number)
            lost = rig.node.counters.dropped.get(Cause.SIZE, 0)
            rig.send_in_order(image, make_info((width + 2, height), stamp=number))  # it lags
            rig.wait_for_drop(Cause.SIZE, lost + 1)
            rig.send_in_order(image, make_info((width, height), stamp=number))
            assert stamp_of(rig.wait_for(number)) == number
        Probe(rig).unharmed()
    assert [image.shape[1::-1] for image, _ in estimator.seen[: len(sizes)]] == sizes


def test_a_burst_at_200_hz_is_thinned_out_and_its_end_is_fresh():
    frames, delay = 400, 0.02
    estimator = FakeEstimator(delay=delay)
    with running(estimator) as rig:
        rig.connect()
        probe = Probe(rig)
        probe.publishes(NOW)
        start = time.monotonic()
        for number in range(1, frames + 1):
            stamp = NOW + 5 * number
            rig.send(make_image(gray(), stamp), make_info(stamp=stamp))
            if number % 100 == 0:
                assert probe.answers() == "active"
            time.sleep(max(0.0, start + number / 200 - time.monotonic()))
        counters = rig.node.counters

        def settled():
            return counters.received == counters.processed + sum(counters.dropped.values())

        end = time.monotonic()
        rig.wait(settled, "the last frames")
        assert time.monotonic() - end < ANSWER  # nothing was queued
        assert counters.dropped.get(Cause.SUPERSEDED, 0) > 0
        assert set(counters.dropped) == {Cause.SUPERSEDED}
        # The node keeps its last message alone for a listener that is slow.
        fresh = NOW + 5 * (frames - 20)
        rig.wait(lambda: stamp_of(rig.detections[-1]) >= fresh, "the last detections")
        stamps = [stamp_of(message) for message in rig.detections]
        assert stamps == sorted(stamps)
        probe.unharmed()


def test_publishers_and_subscribers_may_restart():
    with running(FakeEstimator()) as rig:
        rig.connect()
        probe = Probe(rig)
        for _ in range(5):
            for publisher in (rig.image_publisher, rig.info_publisher):
                assert rig.client.destroy_publisher(publisher)
            late = []
            extra = rig.client.create_subscription(
                Detection3DArray, "/cope/detections", late.append, 5
            )
            rig.image_publisher = rig.client.create_publisher(Image, "image_rect", 10)
            rig.info_publisher = rig.client.create_publisher(CameraInfo, "camera_info", 10)
            rig.wait(lambda: rig.image_publisher.get_subscription_count() == 1, "image")
            rig.wait(lambda: rig.info_publisher.get_subscription_count() == 1, "info")

            def heard(late=late):
                probe.publishes()
                return bool(late)

            rig.wait(heard, "the late subscriber")
            assert rig.client.destroy_subscription(extra)
        probe.unharmed()


def test_a_parameter_storm_is_answered_call_by_call():
    calls = 300
    with running(FakeEstimator(delay=0.02)) as rig:
        rig.connect()
        probe = Probe(rig)
        client = rig.service(SetParameters, "set_parameters")
        rng, futures, wanted = np.random.default_rng(0), [], []
        for number in range(calls):
            value = float(rng.uniform(-0.5, 1.5))
            wanted.append(value)
            parameter = Parameter("score_threshold", value=value).to_parameter_msg()
            futures.append(client.call_async(SetParameters.Request(parameters=[parameter])))
            if number % 10 == 0:
                rig.send(make_image(gray(), NOW + number), make_info(stamp=NOW + number))
                rig.wait(futures[-1].done, "an answer")
        rig.wait(lambda: all(future.done() for future in futures), "all answers")
        taken = [future.result().results[0].successful for future in futures]
        assert taken == [0 <= value <= 1 for value in wanted]
        last = [value for value, ok in zip(wanted, taken, strict=True) if ok][-1]
        assert rig.node.parameters.score_threshold == last
        probe.unharmed()


@pytest.mark.parametrize(
    ("name", "number"),
    [("score", np.nan), ("R", np.inf), ("t", -np.inf), ("covariance", np.nan)],
)
def test_what_is_not_finite_is_left_out(name, number):
    answer = make_estimate(3)
    getattr(answer, name)[1] = number
    with running(FakeEstimator(answer=answer)) as rig:
        rig.connect()
        probe = Probe(rig)
        message = probe.publishes(NOW)
        assert len(message.detections) == 2
        assert np.isfinite(numbers(rig.detections, rig.transforms)).all()
        probe.unharmed()
