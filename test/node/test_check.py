"""cope_check over DDS: names what is wrong and what to do; its exit code says if poses come."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from node_fakes import FakeEstimator, gray, make_image, make_info
from node_harness import Rig, running
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from cope_ros.check.causes import Cause, causes
from cope_ros.check.command import main
from cope_ros.check.facts import Facts, Status
from cope_ros.check.report import report

LOOK = ["--seconds", "1.5"]


@contextmanager
def camera(
    rig: Rig,
    image: str = "image_rect",
    info: str | None = "camera_info",
    change: Callable[[Image, CameraInfo], Any] = lambda image, info: None,
    qos: QoSProfile | int = 10,
) -> Iterator[None]:
    """Publishes at 20 Hz from a thread of its own."""
    images = rig.client.create_publisher(Image, image, qos)
    infos = rig.client.create_publisher(CameraInfo, info, qos) if info else None
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.05):
            stamp = rig.client.get_clock().now().to_msg()
            message, description = make_image(gray(value=90)), make_info()
            message.header.stamp = description.header.stamp = stamp
            change(message, description)
            if infos is not None:
                infos.publish(description)
            images.publish(message)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def look(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str]:
    code = main([*LOOK, *arguments])
    return code, capsys.readouterr().out


def test_all_is_well(capsys: pytest.CaptureFixture) -> None:
    with running(FakeEstimator(), {"track.confirm": 2}) as rig, camera(rig):
        code, text = look(capsys)
    assert code == 0, text
    assert "node        /cope: active" in text
    assert "track.confirm: 2" in text
    assert "image       /image_rect (sensor_msgs/msg/Image): " in text
    assert "Hz, rgb8, 64x48 px, frame_id 'camera_optical_frame'" in text
    assert "from /client (reliable, volatile)" in text
    assert "reads best_effort, volatile" in text
    assert "fx 60.0, fy 60.0" in text
    assert "poses come: 3 instances" in text
    assert "torch 2" in text


def test_no_node(capsys: pytest.CaptureFixture) -> None:
    code, text = look(capsys)
    assert code == 1
    assert "there is no node /cope" in text
    assert "ros2 launch cope_ros cope.launch.py" in text


def test_another_name(capsys: pytest.CaptureFixture) -> None:
    with running(FakeEstimator(), arguments=("-r", "__ns:=/left")):
        code, text = look(capsys)
    assert code == 1
    assert "there is no node /cope, but /left/cope" in text
    assert "cope_check /left/cope" in text


def test_a_node_that_is_not_active(capsys: pytest.CaptureFixture) -> None:
    with running(FakeEstimator(), activate=False):
        code, text = look(capsys)
    assert code == 1
    assert "/cope is unconfigured" in text
    assert "ros2 lifecycle set /cope configure" in text


def test_images_on_another_topic(capsys: pytest.CaptureFixture) -> None:
    with running(FakeEstimator()) as rig, camera(rig, "cam/image_raw", "cam/camera_info"):
        code, text = look(capsys)
    assert code == 1
    assert "no publisher on /image_rect; sensor_msgs/msg/Image is published on /cam/imag" in text
    assert "start the launch file with that argument" in text


def test_no_camera_info(capsys: pytest.CaptureFixture) -> None:
    with running(FakeEstimator()) as rig, camera(rig, info=None):
        code, text = look(capsys)
    assert code == 1
    assert "no publisher on /camera_info" in text
    assert "name its topic: camera_info:=" in text


def test_without_a_camera_the_nodes_own_pictures_are_not_proposed(
    capsys: pytest.CaptureFixture,
) -> None:
    with running(FakeEstimator()):
        code, text = look(capsys)
    assert code == 1
    assert "nobody publishes any sensor_msgs/msg/Image" in text


def test_incompatible_qos(capsys: pytest.CaptureFixture) -> None:
    wanted = {"qos_overrides./image_rect.subscription.reliability": "reliable"}
    sent = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    with running(FakeEstimator(), wanted) as rig, camera(rig, qos=sent):
        code, text = look(capsys)
    assert code == 1
    assert "has incompatible QoS" in text
    assert "qos_overrides./image_rect.subscription.reliability:=best_effort" in text


def uncalibrated(_: Image, info: CameraInfo) -> None:
    info.k = [0.0] * 9
    info.p = [0.0] * 12


def resized(_: Image, info: CameraInfo) -> None:
    info.width, info.height = 128, 96


def of_another_frame(_: Image, info: CameraInfo) -> None:
    info.header.frame_id = "camera_link"


def of_no_frame(image: Image, info: CameraInfo) -> None:
    image.header.frame_id = info.header.frame_id = ""


@pytest.mark.parametrize(
    ("change", "cause", "code"),
    [
        (uncalibrated, "calibrate the camera", 1),
        (resized, "camera_info has to come from the camera of the images", 1),
        (of_another_frame, "got 'camera_link'", 1),
        (of_no_frame, "images have no frame_id", 0),
    ],
)
def test_what_camera_info_says(
    capsys: pytest.CaptureFixture, change: Callable, cause: str, code: int
) -> None:
    with running(FakeEstimator()) as rig, camera(rig, change=change):
        found, text = look(capsys)
    assert found == code, text
    assert cause in text


def test_camera_info_that_is_kept_and_a_frame_that_cannot_be_reached(
    capsys: pytest.CaptureFixture,
) -> None:
    kept = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    with running(FakeEstimator(), {"target_frame": "base_link"}) as rig:
        rig.client.create_publisher(CameraInfo, "camera_info", kept).publish(make_info())
        with camera(rig, info=None):
            code, text = look(capsys)
    assert code == 1
    assert "camera_info /camera_info (sensor_msgs/msg/CameraInfo): 1 messages" in text
    assert "detections cannot be given in target_frame" in text
    assert "ros2 run tf2_ros tf2_echo base_link" in text


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--seconds", "x"], ["a", "b"]])
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def active(**changes: Any) -> Facts:
    return Facts("/cope", 10.0, found=True, state="active", **changes)


def test_clocks_and_modes_without_ros() -> None:
    late = causes(active(age=-500.0, instances=2))
    assert [cause.fatal for cause in late] == [False]
    assert "use_sim_time" in late[0].advice
    dropped = causes(active(age=500.0, values={"max_age": 1.0}))
    assert dropped[0].fatal
    waiting = causes(active(values={"mode": "on_demand"}))
    assert waiting == [Cause(waiting[0].text, waiting[0].advice, False)]
    assert "std_srvs/srv/Trigger" in waiting[0].advice
    silent = causes(active(statuses=[Status("output", 1, "nobody listens")]))
    assert silent[0].fatal
    assert "nobody listens" in silent[0].advice
    broken = causes(active(statuses=[Status("inference", 2, "no memory")]))
    assert broken[0].text == "inference: no memory"


def test_the_report_ends_with_numbered_causes() -> None:
    facts = active(versions={"ROS": "jazzy"})
    text = report(facts, [Cause("one thing", "do this"), Cause("another", "do that", False)])
    tail = ["no poses come:", "1. one thing", "   -> do this", "2. another", "   -> do that"]
    assert text.splitlines()[-5:] == tail
