"""Lens distortion by every name and length, and its removal."""

import math

import cv2
import numpy as np
import pytest
from node_fakes import make_info

from cope_ros.input.distortion import Undistorter
from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.intrinsics import camera_from_info, unrectified_note

WIDTH, HEIGHT = 640, 480


def camera(rectified, focal=600.0, **changes):
    return camera_from_info(make_info((WIDTH, HEIGHT), focal=focal, **changes), rectified)


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


ALIASES = {
    "plumb_bob": ["radtan", "Plumb_Bob", "plumb bob", "brown_conrady", "RadTan", "thin_prism"],
    "equidistant": ["EQUIDISTANT", "kannala_brandt", "Kannala-Brandt4", "fisheye", "kb4", "Equi"],
    "rational_polynomial": ["Rational_Polynomial", "rational", "RATIONAL POLYNOMIAL"],
}
COEFFICIENTS = {
    "plumb_bob": [-0.25, 0.08, 0.001, -0.002, 0.01],
    "equidistant": [-0.03, 0.01, -0.002, 0.0005],
    "rational_polynomial": [0.2, -0.1, 0.001, 0.0, 0.02, 0.4, -0.1, 0.01],
}


@pytest.mark.parametrize("model", ALIASES)
def test_a_model_has_many_names(model):
    expected = camera(False, d=COEFFICIENTS[model], distortion_model=model)
    assert expected.fisheye == (model == "equidistant")
    for name in ALIASES[model]:
        read = camera(False, d=COEFFICIENTS[model], distortion_model=name)
        assert (read.distortion, read.fisheye) == (expected.distortion, expected.fisheye)


@pytest.mark.parametrize(
    ("model", "d", "expected"),
    [
        ("plumb_bob", [0.1], [0.1, 0, 0, 0]),
        ("plumb_bob", [0.1, 0.2, 0.0], [0.1, 0.2, 0, 0]),
        ("plumb_bob", [0.1, 0.2, 0, 0, 0.3, 0, 0, 0], [0.1, 0.2, 0, 0, 0.3]),
        ("rational_polynomial", [0.1] * 6, [0.1] * 6 + [0, 0]),
        ("rational_polynomial", [0.1] * 8 + [0.0] * 12, [0.1] * 8),
        ("rational_polynomial", [0.1] * 9, [0.1] * 9 + [0] * 3),
        ("", [0.1] * 5, [0.1] * 5),
        ("equidistant", [0.1] * 4 + [0.0], [0.1] * 4),
        ("equidistant", [0.1, 0.2], [0.1, 0.2, 0, 0]),
        ("equidistant", [0.0] * 4, [0.0] * 4),
        ("equidistant", [0.0] * 5, [0.0] * 4),
        ("equidistant", [], [0.0] * 4),
        ("plumb_bob", [0.0] * 5, []),
        ("", [], []),
    ],
)
def test_zeros_beyond_a_model_are_ignored_and_missing_ones_added(model, d, expected):
    assert list(camera(False, d=d, distortion_model=model).distortion) == expected


@pytest.mark.parametrize(
    ("d", "model", "words"),
    [
        ([math.inf, 0.0, 0.0, 0.0, 0.0], "plumb_bob", "finite"),
        ([0.0, 0.0, 0.0, 0.0, math.nan], "equidistant", "finite"),
        ([0.1] * 5, "double_sphere", "'double_sphere'"),
        ([0.1] * 5, "inverse_brown_conrady", "'inverse_brown_conrady'"),
        ([0.1] * 5, "equidistant", "at most 4 coefficients for 'equidistant', got 5"),
        ([0.1] * 15, "rational_polynomial", "at most 14 coefficients"),
    ],
)
def test_unusable_distortion_is_refused_unless_rectified(d, model, words):
    assert camera(True, d=d, distortion_model=model).distortion == ()
    with pytest.raises(FrameError, match=words) as caught:
        camera(False, d=d, distortion_model=model)
    assert caught.value.cause is Cause.INTRINSICS


def test_an_unknown_model_without_coefficients_is_named():
    read = camera(False, d=[0.0] * 5, distortion_model="mine")
    assert read.distortion == ()
    assert "'mine'" in read.notes[0].text


def test_a_fisheye_distorts_with_zeros_too():
    """By the model a ray at 40 degrees lies at f * 0.698 px, where a pinhole has 34.9 degrees."""
    read = camera(False, 300.0, d=[0.0] * 4, distortion_model="equidistant")
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    at = 319.5 + 300.0 * math.radians(40.0)
    cv2.circle(image, (round(at), 240), 4, (255, 255, 255), -1)
    _, columns = np.nonzero(Undistorter()(image, read)[:, :, 0] > 128)
    assert math.degrees(math.atan((columns.mean() - 319.5) / 300.0)) == pytest.approx(40.0, abs=0.3)


@pytest.mark.parametrize(
    ("topic", "d", "model", "warned"),
    [
        ("/camera/image_raw", [-0.3, 0.1, 0.0, 0.0, 0.0], "plumb_bob", True),
        ("/camera/image_color", [0.0, 0.0, 0.001], "plumb_bob", True),
        ("/t265/image_raw", [0.0] * 4, "equidistant", True),
        ("/t265/image_raw", [], "Kannala_Brandt", True),
        ("/camera/image_raw", [0.0] * 5, "plumb_bob", False),
        ("/camera/image_raw", [], "", False),
        ("/camera/image_rect", [-0.3, 0.1, 0.0, 0.0, 0.0], "plumb_bob", False),
        ("/camera/Rectified/image", [-0.3, 0.1, 0.0, 0.0, 0.0], "plumb_bob", False),
    ],
)
def test_a_distorted_image_that_passes_for_rectified_is_noticed(topic, d, model, warned):
    note = unrectified_note(make_info(d=d, distortion_model=model), topic)
    assert (note is not None) == warned
    if note is not None:
        assert topic in note.text
        assert "image_is_rectified" in note.text
