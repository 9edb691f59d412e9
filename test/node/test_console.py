"""The lines at level info: ready, the first result, what is missing; and nothing per frame."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from node_fakes import FakeEstimator, gray, make_image, make_info
from node_harness import running
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from test_judgement import HEALTHY, MODEL

from cope_ros.diagnostics.console import AGAIN, LOST, MISSING, Console, ready
from cope_ros.diagnostics.notices import Notices
from cope_ros.diagnostics.snapshot import Topic

QUIET = replace(HEALTHY, instances=None)


@pytest.fixture
def desk():
    desk = SimpleNamespace(now=0.0, warnings=[], infos=[])
    notices = Notices(desk.warnings.append, desk.infos.append, lambda: desk.now)
    desk.console = Console(notices, "/cope/detections")
    return desk


def watch(desk, seconds, **changes):
    """A snapshot a second, as the node takes them."""
    for _ in range(seconds):
        desk.now += 1.0
        desk.console.report(replace(QUIET, **changes))


def test_the_line_of_readiness_has_model_classes_device_topics_and_the_way_to_the_results():
    line = ready(MODEL, list("abcdefg"), "/image_rect and /camera_info", "/left/cope/detections")
    wanted = ["/models/mine", "7 objects: a, b, c, d, e and 2 more", "cuda:0", "/image_rect"]
    wanted += ["/camera_info", "ros2 topic echo /left/cope/detections"]
    assert all(word in line for word in wanted)
    assert "\n" not in line


def test_the_first_result_is_one_line_and_frames_are_none(desk):
    watch(desk, 3)
    assert not desk.infos
    watch(desk, 100, instances=4)
    (line,) = desk.infos
    assert "first result: 4 instances on /cope/detections, 40 ms after its image" in line
    assert not desk.warnings


@pytest.mark.parametrize("label", ["image", "camera_info"])
def test_what_is_missing_is_said_after_five_seconds_and_every_thirty(desk, label):
    silence = {"image": "silence", "camera_info": "info_missing"}[label]
    topic = {"image": "image", "camera_info": "info"}[label]
    there = Topic("/cam/x", 1, None, ("/driver",))
    for second in range(1, 70):
        watch(desk, 1, **{silence: float(second), topic: there})
    assert len(desk.warnings) == 1 + int((70 - MISSING) // AGAIN)
    assert desk.warnings[0] == (
        f"no {label} on /cam/x for 5 s: /driver publishes it, but nothing arrives"
        + (LOST if label == "image" else "")
    )
    watch(desk, 5)
    assert desk.infos == [f"{label} on /{'image_rect' if label == 'image' else label} arrives"]


def test_an_input_that_comes_and_goes_is_no_flood(desk):
    topic = Topic("/cam/x", 1, None, ("/driver",))
    for _ in range(12):
        for second in (5.0, 6.0, 0.0):
            watch(desk, 1, silence=second, image=topic)
    assert len(desk.warnings) == len(desk.infos) == 2  # of 12 gaps in 36 s


def test_the_cause_is_named_where_the_graph_shows_it(desk):
    fault = "no publisher on /image_rect; nobody publishes any sensor_msgs/msg/Image"
    watch(desk, 1, silence=6.0, image=Topic("/image_rect", 0, fault))
    assert fault in desk.warnings[0]


def test_before_the_activation_nothing_is_missing(desk):
    watch(desk, 9, lifecycle="inactive", silence=99.0, info_missing=99.0)
    assert not desk.warnings


def said(capfd, rig, *words):
    """Waits for a line of the log with all these words; returns the lines so far."""
    log = []

    def there():
        log.extend(capfd.readouterr().err.splitlines())
        return any(all(word in line for word in words) for line in log)

    rig.wait(there, f"a line with {words}")
    return log


def test_a_camera_elsewhere_is_named_in_the_log(capfd):
    with running(FakeEstimator()) as rig:
        rig.client.create_publisher(Image, "/cam/image_raw", 1)
        log = said(capfd, rig, "no image on /image_rect", "/cam/image_raw", "image:=/cam/image_raw")
        assert sum("ready: " in line for line in log) == 1


def test_images_of_the_other_transport_are_named(capfd):
    with running(FakeEstimator()) as rig:
        rig.client.create_publisher(CompressedImage, "/cam/image_raw/compressed", 1)
        said(capfd, rig, "image:=/cam/image_raw image_transport:=compressed")


def test_a_publisher_that_cannot_be_heard_is_named_with_its_qos(capfd):
    arguments = ("-p", "qos_overrides./image_rect.subscription.reliability:=reliable")
    with running(FakeEstimator(), arguments=arguments) as rig:
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        rig.client.create_publisher(Image, "/image_rect", qos)
        said(capfd, rig, "no image on /image_rect", "incompatible QoS", "/client")


def test_all_is_well_in_two_lines(capfd):
    with running(FakeEstimator()) as rig:
        rig.connect()
        for stamp in range(1, 40):
            rig.send(make_image(gray(), stamp), make_info(stamp=stamp))
            rig.wait_for(1)
        log = said(capfd, rig, "first result: ")
        lines = [line for line in log if "[cope]" in line and "INFO" in line]
        assert len(lines) == 2, lines
