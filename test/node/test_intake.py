"""What is refused at the door: malformed images, unusable camera_info."""

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge
from hypothesis import given, settings
from hypothesis import strategies as st
from node_fakes import gray, make_image, make_info
from sensor_msgs.msg import CompressedImage, Image

from cope_ros.diagnostics.counters import WARN_PERIOD, FrameCounters
from cope_ros.input.drops import ENCODINGS, Cause, FrameError, check_image
from cope_ros.input.intrinsics import Undistorter, camera_from_info, image_size
from cope_ros.output.messages import rgb_from_image


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0}, ("1 to", "0x48")),
        ({"height": 0}, ("1 to", "64x0")),
        ({"height": 2**31}, ("1 to 16384", str(2**31))),
        ({"encoding": "rgb7"}, ("rgb8", "'rgb7'")),
        ({"encoding": "32FC1"}, ("rgb8", "'32FC1'")),
        ({"step": 191}, ("step >= 192", "191")),
        ({"data": array.array("B", bytes(9215))}, ("192*48 = 9216", "9215")),
        ({"data": array.array("B")}, ("9216", "0")),
        ({"width": 33, "encoding": "yuyv"}, ("even width", "33")),
        ({"width": 1, "encoding": "bayer_rggb8"}, ("2x2", "1x48")),
    ],
)
def test_a_malformed_image_is_refused_with_expected_and_got(changes, words):
    with pytest.raises(FrameError) as caught:
        check_image(make_image(gray(), **changes))
    assert caught.value.cause is Cause.IMAGE
    assert all(word in str(caught.value) for word in words)


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(0, 40),
    height=st.integers(0, 40),
    encoding=st.sampled_from([*ENCODINGS, "8UC3", "", "nonsense"]),
    extra_step=st.integers(-3, 5),
    extra_data=st.sampled_from([0, 0, 0, -1, 1]),
    big=st.booleans(),
)
def test_any_image_is_decoded_or_refused(width, height, encoding, extra_step, extra_data, big):
    step = max(0, width * ENCODINGS.get(encoding, 3) + extra_step)
    image = Image(width=width, height=height, encoding=encoding, step=step, is_bigendian=big)
    image.data = array.array("B", bytes(max(0, step * height + extra_data)))
    try:
        check_image(image)
    except FrameError:
        return
    rgb = rgb_from_image(CvBridge(), image)
    assert rgb.shape == (height, width, 3)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), spoil=st.integers(0, 500))
def test_any_compressed_image_is_decoded_or_refused(data, spoil):
    _, good = cv2.imencode(".png", gray(16, 16))
    message = CompressedImage(data=array.array("B", good.tobytes()[:spoil] + data))
    try:
        rgb = rgb_from_image(CvBridge(), message)
    except FrameError:
        return
    assert rgb.shape[2] == 3


def test_p_counts_for_rectified_images_and_k_where_p_is_zero():
    info = make_info(k=[50.0, 0, 3, 0, 51, 4, 0, 0, 1])
    assert camera_from_info(info, True).K[0, 0] == 60
    assert camera_from_info(info, False).K[0, 0] == 50
    info.p = [0.0] * 12
    assert camera_from_info(info, True).K.tolist() == [[50, 0, 3], [0, 51, 4], [0, 0, 1]]


def test_binning_and_region_of_interest_move_the_principal_point():
    info = make_info((640, 480), focal=600.0)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 40, 320, 240
    info.binning_x, info.binning_y = 2, 4
    assert image_size(info) == (160, 60)
    K = camera_from_info(info, True).K
    # The ray through full-resolution pixel (100 + 2*50 + 0.5, 40 + 4*20 + 1.5), the middle of a
    # binned block, must go through binned pixel (50, 20).
    ray = np.linalg.solve(info.p.reshape(3, 4)[:, :3], [200.5, 121.5, 1])
    assert (K @ ray)[:2] == pytest.approx([50, 20])
    assert K[0, 0] == 300
    assert K[1, 1] == 150


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": [0.0] * 9, "p": [0.0] * 12}, "not calibrated"),
        ({"p": [float("nan")] + [0.0] * 11}, "finite"),
        ({"p": [-5.0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 1, 0]}, "positive focal"),
        ({"p": [5.0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 2, 0]}, "last row 0 0 1"),
    ],
)
def test_unusable_intrinsics_are_refused_with_the_reason(changes, words):
    with pytest.raises(FrameError, match=words) as caught:
        camera_from_info(make_info(**changes), True)
    assert caught.value.cause is Cause.INTRINSICS


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"d": [0.1, 0.2]}, "coefficients, got 2"),
        ({"d": [float("inf"), 0.0, 0.0, 0.0, 0.0]}, "finite"),
        ({"d": [0.1] * 5, "distortion_model": "thin_prism"}, "'thin_prism'"),
        ({"d": [0.1] * 5, "distortion_model": "equidistant"}, "coefficients, got 5"),
    ],
)
def test_unusable_distortion_is_refused_unless_rectified(changes, words):
    info = make_info(**changes)
    assert camera_from_info(info, True).distortion == ()
    with pytest.raises(FrameError, match=words):
        camera_from_info(info, False)


@pytest.mark.parametrize(
    ("model", "D"),
    [
        ("plumb_bob", [-0.25, 0.08, 0.001, -0.002, 0.01]),
        ("rational_polynomial", [0.2, -0.1, 0.001, 0.0, 0.02, 0.4, -0.1, 0.01]),
        ("equidistant", [-0.03, 0.01, -0.002, 0.0005]),
    ],
)
def test_undistortion_puts_points_where_the_pinhole_camera_sees_them(model, D):
    info = make_info((320, 240), focal=200.0, d=D, distortion_model=model)
    camera = camera_from_info(info, False)
    points = np.array([[[-0.4, -0.3, 1.0]], [[0.5, 0.2, 1.0]], [[0.1, -0.4, 1.0]]])
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    seen = project(points, np.zeros(3), np.zeros(3), camera.K, np.array(D))[0].reshape(-1, 2)
    undistort = Undistorter()
    for point, (u, v) in zip(points[:, 0], seen, strict=True):
        image = np.zeros((240, 320, 3), np.uint8)
        cv2.circle(image, (round(u), round(v)), 4, (255, 255, 255), -1)
        rows, columns = np.nonzero(undistort(image, camera)[:, :, 0] > 128)
        expected = (camera.K @ point)[:2]
        assert (columns.mean(), rows.mean()) == pytest.approx(expected, abs=1.0)


def test_undistortion_maps_follow_the_camera():
    undistort = Undistorter()
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    D = [-0.25, 0.08, 0.0, 0.0, 0.0]
    cameras = [camera_from_info(make_info((320, 240), focal=f, d=D), False) for f in (200.0, 150.0)]
    results = [undistort(image, camera) for camera in cameras * 2]
    assert not np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
    assert undistort(image, camera_from_info(make_info(), True)) is image


def test_counters_warn_once_per_cause_and_period():
    warnings: list[str] = []
    clock = SimpleNamespace(now=0.0)
    counters = FrameCounters(warnings.append, lambda: clock.now)
    for _ in range(3):
        counters.count_dropped(FrameError(Cause.IMAGE, "bad"))
        counters.count_dropped(FrameError(Cause.SUPERSEDED, "late"))
    counters.count_dropped(FrameError(Cause.SIZE, "small"))
    clock.now = WARN_PERIOD
    counters.count_dropped(FrameError(Cause.IMAGE, "worse"))
    assert warnings == [
        "dropped a frame (image, 1 in all): bad",
        "dropped a frame (size, 1 in all): small",
        "dropped 3 frames (image, 4 in all): worse",
    ]
    assert counters.dropped == {Cause.IMAGE: 4, Cause.SUPERSEDED: 3, Cause.SIZE: 1}
