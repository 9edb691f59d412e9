"""The node over real DDS: where images come from and in what form."""

import array

import cv2
import numpy as np
import pytest
from node_fakes import FakeEstimator, gray, make_image, make_info
from node_harness import running
from sensor_msgs.msg import CompressedImage

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
        rig.send(message, make_info())
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
        rig.send(message, make_info())
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
