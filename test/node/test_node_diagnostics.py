"""What /diagnostics says over real DDS when something is wrong, and when nothing is."""

import time
from itertools import pairwise

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from node_fakes import FRAME, FakeEstimator, gray, make_image, make_info
from node_harness import running
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool

from cope_ros.diagnostics.judgement import Level
from cope_ros.input.drops import Cause

PARTS = ("input", "synchronisation", "intrinsics", "age", "inference", "output")


class Watch:
    """Collects the diagnostics of a rig's node."""

    def __init__(self, rig):
        self.rig = rig
        self.arrays = []
        rig.client.create_subscription(DiagnosticArray, "/diagnostics", self.arrays.append, 10)

    def status(self, part):
        """The newest one of a part, None before the first."""
        found = [s for s in self.arrays[-1].status if s.name.endswith(f": {part}")]
        return found[0]

    def wait(self, part, level, *words):
        """Waits for a status of that level whose message has these words; returns its values."""

        def there():
            if not self.arrays:
                return False
            status = self.status(part)
            says = all(word in status.message for word in words)
            return says and status.level == bytes([level])

        try:
            self.rig.wait(there, f"{part} {level.name} {words}")
        except AssertionError as error:
            seen = self.arrays and self.status(part).message
            raise AssertionError(f"{error}; the last message: {seen}") from None
        return {item.key: item.value for item in self.status(part).values}


def stream(rig, info=True, count=5, **changes):
    """Sends frames that are a second apart by their stamps, at once."""
    for stamp in range(1, count + 1):
        rig.send(make_image(gray(), stamp), make_info(stamp=stamp, **changes) if info else None)
        rig.wait(lambda s=stamp: rig.node.counters.received >= s, "the image")


def test_a_healthy_node_reports_rates_latency_and_listeners():
    with running(FakeEstimator()) as rig:
        rig.connect()
        watch = Watch(rig)
        for number in range(1, 4):
            now = rig.client.get_clock().now().nanoseconds // 1_000_000
            rig.send(make_image(gray(), now), make_info(stamp=now))
            rig.wait_for(number)
        values = watch.wait("inference", Level.OK, "Hz", "p50")
        assert float(values["latency_p50_ms"]) > 0
        assert float(values["latency_p99_ms"]) >= float(values["latency_p50_ms"])
        assert float(values["rss_mib"]) > 10
        assert (values["device"], values["device_parameter"]) == ("cpu", "auto")
        assert "gpu_mib" not in values
        values = watch.wait("output", Level.OK, "3 instances", "1 listen")
        assert (values["subscribers_detections"], values["subscribers_tf"]) == ("1", "1")
        assert values["frames_published"] == "3"
        watch.wait("input", Level.OK, "Hz images")
        watch.wait("synchronisation", Level.OK, "Hz pairs")
        watch.wait("intrinsics", Level.OK, "fx 60.0", "cx 31.5")
        assert float(watch.wait("age", Level.OK, "ms old")["age_s"]) >= 0
        array = watch.arrays[-1]
        assert [s.name for s in array.status] == [f"cope: {part}" for part in PARTS]
        assert {s.hardware_id for s in array.status} == {FRAME}


def test_a_wrong_topic_name_is_answered_with_the_right_ones():
    with running(FakeEstimator()) as rig:
        watch = Watch(rig)
        watch.wait("input", Level.ERROR, "no publisher on /image_rect", "nobody publishes any")
        rig.client.create_publisher(Image, "/camera/image_rect", 1)
        hint = "sensor_msgs/msg/Image is published on /camera/image_rect"
        watch.wait("input", Level.ERROR, "no publisher on /image_rect", hint)
        rig.client.create_publisher(Image, "/image_rect", 1)
        watch.wait("input", Level.ERROR, "no publisher on /camera_info")


def test_incompatible_qos_is_named():
    overrides = "qos_overrides./image_rect.subscription.reliability"
    with running(FakeEstimator(), {overrides: "reliable"}) as rig:
        watch = Watch(rig)
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        rig.client.create_publisher(Image, "/image_rect", qos)
        words = ("/image_rect", "incompatible QoS", "Best effort publisher", "qos_overrides")
        watch.wait("input", Level.ERROR, *words)


def test_a_publisher_of_another_type_is_named():
    elsewhere = Context()  # one participant knows a topic by one type only
    rclpy.init(context=elsewhere)
    camera = Node("camera", context=elsewhere)
    camera.create_publisher(CompressedImage, "/image_rect", 1)
    with running(FakeEstimator()) as rig:
        watch = Watch(rig)
        words = ("sensor_msgs/msg/CompressedImage", "expected sensor_msgs/msg/Image")
        watch.wait("input", Level.ERROR, *words)
    camera.destroy_node()
    elsewhere.try_shutdown()


def test_a_silent_camera_is_told_from_a_missing_one():
    with running(FakeEstimator()) as rig:
        rig.connect()
        watch = Watch(rig)
        watch.wait("input", Level.ERROR, "no image on /image_rect for", "has a publisher")


UNPAIRED = {
    Cause.NO_CAMERA_INFO: ({"info": False}, {}, "expected one, got none"),
    Cause.FRAME_ID: ({"frame_id": "elsewhere"}, {}, f"expected frame_id '{FRAME}'"),
    Cause.SIZE: ({"size": (32, 24)}, {}, "expected size 64x48"),
    Cause.UNPAIRED: ({}, {"sync.policy": "exact"}, "expected stamp"),
}


@pytest.mark.parametrize("cause", UNPAIRED, ids=lambda cause: cause.value)
def test_images_without_camera_info_are_counted_with_the_cause(cause):
    changes, parameters, words = UNPAIRED[cause]
    with running(FakeEstimator(), parameters) as rig:
        rig.connect()
        watch = Watch(rig)
        if cause is Cause.UNPAIRED:
            rig.info_publisher.publish(make_info(stamp=999))
            changes = {"info": False}
        stream(rig, **changes)
        level = Level.ERROR
        values = watch.wait("synchronisation", level, "5 images", cause.value, words)
        assert values[f"unpaired_{cause.value}"] == "5"
        assert values["pairs"] == "0"


def test_unusable_intrinsics_are_named():
    with running(FakeEstimator()) as rig:
        rig.connect()
        watch = Watch(rig)
        stream(rig, count=1, k=[0.0] * 9, p=[0.0] * 12)
        watch.wait("intrinsics", Level.ERROR, "K is all zero")


def test_malformed_images_are_named():
    with running(FakeEstimator()) as rig:
        rig.connect()
        watch = Watch(rig)
        rig.send(make_image(gray(), encoding="rgb7"), make_info())
        watch.wait("input", Level.ERROR, "1 images refused", "rgb7")


def test_old_images_and_clocks_that_disagree_are_named():
    with running(FakeEstimator(), {"max_age": 1.0}) as rig:
        rig.connect()
        watch = Watch(rig)
        stream(rig, count=1)
        watch.wait("age", Level.ERROR, "age of at most 1.0 s", "use_sim_time")
        assert rig.node.set_parameters([Parameter("max_age", value=0.0)])[0].successful
        rig.send(make_image(gray(), 2), make_info(stamp=2))
        rig.wait_for(1)
        watch.wait("age", Level.WARN, "use_sim_time")


def test_failing_frames_and_a_disabled_node_are_told_apart():
    with running(FakeEstimator(failures=[RuntimeError("bad kernel")])) as rig:
        rig.connect()
        watch = Watch(rig)
        stream(rig, count=1)
        watch.wait("inference", Level.ERROR, "1 frames failed", "bad kernel")
        request = SetBool.Request(data=False)
        assert rig.call(SetBool, "enable", request).success
        watch.wait("output", Level.OK, "disabled by ~/enable")


def test_an_on_demand_node_waits_without_complaint():
    with running(FakeEstimator(), {"mode": "on_demand"}) as rig:
        rig.connect()
        watch = Watch(rig)
        stream(rig, count=1)
        watch.wait("inference", Level.OK, "waiting for ~/trigger")
        assert watch.wait("output", Level.OK, "~/trigger")["dropped_not_triggered"] == "1"


def test_every_state_is_reported_once_a_second_even_while_simulated_time_stands_still():
    parameters = {"use_sim_time": True}
    with running(FakeEstimator(), parameters, activate=False) as rig:
        watch = Watch(rig)
        arrivals = []
        for state, transition in (
            ("unconfigured", Transition.TRANSITION_CONFIGURE),
            ("inactive", Transition.TRANSITION_ACTIVATE),
        ):
            for part in PARTS:
                watch.wait(part, Level.STALE, f"the node is {state}")
            assert rig.change(transition)
        watch.wait("input", Level.ERROR, "no publisher")
        for _ in range(3):
            count = len(watch.arrays)
            rig.wait(lambda n=count: len(watch.arrays) > n, "the next report")
            arrivals.append(time.monotonic())
    gaps = [b - a for a, b in pairwise(arrivals)]
    assert all(0.5 < gap < 3.0 for gap in gaps)
