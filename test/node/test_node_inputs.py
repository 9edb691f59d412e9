"""The node over real DDS: where images come from and in what form."""

import array

import cv2
import numpy as np
import pytest
import rclpy
from node_fakes import FRAME, FakeEstimator, gray, make_image, make_info
from node_harness import running
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage

from cope_ros.diagnostics.measurements import resident_mib
from cope_ros.input.drops import Cause


def test_distorted_images_are_rectified():
    pixels = gray(value=0)
    pixels[:, ::8] = 255
    D = [-0.3, 0.1, 0.0, 0.0, 0.0]
    estimator = FakeEstimator()
    with running(estimator, {"image_is_rectified": False}) as rig:
        rig.connect()
        # P must not matter: it describes the rectified image that this one is not.
        info = make_info(d=D, p=[1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0])
        rig.send(make_image(pixels), info)
        rig.wait_for(1)
    image, K = estimator.seen[0]
    assert K[0, 0] == 60.0
    expected = cv2.undistort(pixels, K, np.array(D))
    assert np.abs(image.astype(int) - expected.astype(int)).mean() < 2
    assert np.abs(image.astype(int) - pixels.astype(int)).mean() > 10


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_compressed_images(suffix):
    pixels = gray()
    pixels[:, :32] = (250, 10, 10)
    _, data = cv2.imencode(suffix, pixels[:, :, ::-1])
    message = CompressedImage(format=suffix[1:], data=array.array("B", data.tobytes()))
    message.header = make_image(pixels).header
    estimator = FakeEstimator()
    with running(estimator, {"image_transport": "compressed"}) as rig:
        rig.connect(image="image_rect/compressed", kind=CompressedImage)
        rig.send(message, make_info((32, 24)))
        rig.wait_for_drop(Cause.SIZE)
        rig.send_in_order(message, make_info())
        rig.wait_for(1)
    assert np.abs(estimator.seen[0][0].astype(int) - pixels.astype(int)).mean() < 3


def test_a_header_that_claims_more_pixels_than_camera_info_is_never_decoded():
    data = cv2.imencode(".jpg", gray())[1].tobytes()
    claim = data.replace(b"\0\x30\0\x40", b"\x3f\xff\x3f\xff")  # 16383x16383: 805 MB of pixels
    assert claim != data
    message = CompressedImage(format="jpeg", data=array.array("B", claim))
    message.header = make_image(gray()).header
    with running(FakeEstimator(), {"image_transport": "compressed"}) as rig:
        rig.connect(image="image_rect/compressed", kind=CompressedImage)
        before = resident_mib()
        rig.send(message, make_info())
        rig.wait_for_drop(Cause.SIZE)
        assert resident_mib() < before + 100
        message.data = array.array("B", data)
        rig.send_in_order(message, make_info())
        rig.wait_for(1)


def test_vision_info_waits_for_late_subscribers():
    with running(FakeEstimator()) as rig:
        assert rig.latched().method == "COPE fake"


@pytest.mark.parametrize(
    ("arguments", "image", "info"),
    [
        (("-r", "image_rect:=/a/b/image"), "/a/b/image", "/a/b/camera_info"),
        (("-r", "image_rect:=/a/img", "-r", "camera_info:=/c/info"), "/a/img", "/c/info"),
        (("-r", "__ns:=/left"), "/left/image_rect", "/left/camera_info"),
    ],
)
def test_camera_info_is_expected_beside_the_image(arguments, image, info):
    with running(FakeEstimator(), arguments=arguments) as rig:
        rig.connect(image, info)
        rig.send(make_image(gray()), make_info())
        assert len(rig.wait_for(1).detections) == 3


def test_quality_of_service_can_be_overridden():
    overrides = {"qos_overrides./image_rect.subscription.reliability": "reliable"}
    with running(FakeEstimator(), overrides) as rig:
        rig.connect()
        (endpoint,) = rig.client.get_subscriptions_info_by_topic("/image_rect")
        (output,) = rig.client.get_publishers_info_by_topic("/cope/detections")
    assert endpoint.qos_profile.reliability.name == "RELIABLE"
    assert output.qos_profile.reliability.name == "RELIABLE"


KEPT = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def test_publishers_that_keep_nothing_are_not_warned_of(capfd):
    with running(FakeEstimator()) as rig:
        rig.connect()
        rig.send(make_image(gray(), 1000), make_info(stamp=1000))
        rig.wait_for(1)
    assert "incompatible" not in "".join(capfd.readouterr())


def test_camera_info_that_was_published_once_before_the_node_came_is_received():
    """As drivers that latch it do: transient local, one message, nobody there yet."""
    context = Context()
    rclpy.init(context=context)
    driver = Node("driver", context=context)
    publisher = driver.create_publisher(CameraInfo, "camera_info", KEPT)
    publisher.publish(make_info(stamp=1))
    try:
        with running(FakeEstimator()) as rig:
            rig.connect()
            rig.wait(lambda: rig.node.counters.infos == 1, "the kept camera_info")
            for number in range(3):
                rig.send(make_image(gray(), 1000 + number), None)
                rig.wait_for(number + 1)
            assert rig.node.counters.infos == 1
    finally:
        driver.destroy_node()
        rclpy.shutdown(context=context)


def test_images_without_a_frame_id_are_estimated_and_named_once():
    with running(FakeEstimator()) as rig:
        rig.connect()
        for number in range(3):
            image = make_image(gray(), 1000 + number)
            image.header.frame_id = ""
            rig.send(image, make_info(stamp=1000 + number))
            assert rig.wait_for(number + 1).detections
        notices = rig.node.notices.standing["output"]
        assert not rig.transforms
    assert ["no frame_id" in text for text in notices] == [True]


def test_a_leading_slash_of_the_frame_id_is_left_out_as_tf2_wants_it():
    with running(FakeEstimator()) as rig:
        rig.connect()
        image = make_image(gray(), 1000)
        image.header.frame_id = f"/{FRAME}"
        rig.send(image, make_info(stamp=1000))
        assert rig.wait_for(1).header.frame_id == FRAME
        rig.wait(lambda: bool(rig.transforms), "tf")
        assert rig.transforms[0].transforms[0].header.frame_id == FRAME
        assert ["slash" in text for text in rig.node.notices.standing["output"]] == [True]


def test_camera_info_of_another_frame_is_refused_until_told_otherwise():
    with running(FakeEstimator()) as rig:
        rig.connect()
        rig.send(make_image(gray(), 1000), make_info(stamp=1000, frame_id="camera_link"))
        rig.wait_for_drop(Cause.FRAME_ID)
        assert "sync.any_frame_id" in rig.node.counters.reasons[Cause.FRAME_ID]
        rig.node.set_parameters([Parameter("sync.any_frame_id", value=True)])
        rig.send(make_image(gray(), 1100), make_info(stamp=1100, frame_id="camera_link"))
        assert rig.wait_for(1).detections
