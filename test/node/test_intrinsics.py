"""camera_info read as drivers send it: impossible, contradictory, binned."""

import math

import numpy as np
import pytest
from node_fakes import make_info

from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.intrinsics import camera_from_info
from cope_ros.input.resolution import image_size


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


WIDTH, HEIGHT, FOCAL = 640, 480, 600.0
NAN, INF = math.nan, math.inf


def K_of(fx, fy=None, cx=319.5, cy=239.5, skew=0.0):
    return [fx, skew, cx, 0.0, fx if fy is None else fy, cy, 0.0, 0.0, 1.0]


def P_of(*values, **named):
    K = K_of(*values, **named)
    return [*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0]


GOOD_K, GOOD_P = K_of(FOCAL), P_of(FOCAL)
IMPOSSIBLE = {
    "zeros": [0.0] * 9,
    "identity": [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0],
    "unit focal length, centred": K_of(1.0, cx=320.0, cy=240.0),
    "normalised by the size": K_of(0.94, 1.25, 0.5, 0.5),
    "normalised centre alone": K_of(FOCAL, cx=0.5, cy=0.5),
    "centre never set": K_of(FOCAL, cx=0.0, cy=0.0),
    "millimetres": K_of(3.6, cx=3.2, cy=2.4),
    "metres": K_of(0.0036),
    "180 degrees": K_of(2.0),
    "one degree": K_of(50_000.0),
    "huge": K_of(1e308),
    "negative": K_of(-FOCAL),
    "one negative": K_of(FOCAL, -FOCAL),
    "one zero": K_of(FOCAL, 0.0),
    "unlike": K_of(FOCAL, 3 * FOCAL),
    "very unlike": K_of(FOCAL, 1.0),
    "centre far away": K_of(FOCAL, cx=5000.0),
    "centre far below": K_of(FOCAL, cy=-1000.0),
    "skew": K_of(FOCAL, skew=FOCAL),
    "NaN": K_of(NAN),
    "NaN centre": K_of(FOCAL, cy=NAN),
    "infinite": K_of(INF),
    "infinite centre": K_of(FOCAL, cx=-INF),
    "not homogeneous": [*K_of(FOCAL)[:8], 2.0],
    "last row zero": [*K_of(FOCAL)[:6], 0.0, 0.0, 0.0],
    "transposed": [FOCAL, 0, 0, 0, FOCAL, 0, 319.5, 239.5, 1.0],
}


def camera(rectified=True, **changes):
    values = {"k": GOOD_K, "p": GOOD_P, **changes}
    return camera_from_info(make_info((WIDTH, HEIGHT), **values), rectified)


def projection(K):
    return [*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0]


@pytest.mark.parametrize("case", IMPOSSIBLE)
@pytest.mark.parametrize("rectified", [True, False])
def test_an_impossible_camera_matrix_is_no_calibration(case, rectified):
    K = IMPOSSIBLE[case]
    for P in ([0.0] * 12, projection(K)):
        with pytest.raises(FrameError, match="not calibrated") as caught:
            camera(rectified, k=K, p=P)
        assert caught.value.cause is Cause.INTRINSICS


@pytest.mark.parametrize("case", [name for name in IMPOSSIBLE if name != "zeros"])
def test_k_stands_in_for_an_impossible_p(case):
    read = camera(p=projection(IMPOSSIBLE[case]))
    assert read.K.reshape(9).tolist() == GOOD_K
    (note,) = read.notes
    assert "K is used in place of P" in note.text


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_p_needs_no_k_for_rectified_images(case):
    read = camera(k=IMPOSSIBLE[case])
    assert read.K.reshape(9).tolist() == GOOD_K
    assert read.notes == ()


def test_a_zero_p_is_silently_k():
    assert camera(p=[0.0] * 12).notes == ()


@pytest.mark.parametrize(
    ("ratio", "d", "model", "believed"),
    [
        (1.9, [0.0] * 5, "plumb_bob", True),
        (0.51, [], "", True),
        (2.1, [0.0] * 5, "plumb_bob", False),
        (0.4, [], "plumb_bob", False),
        (0.5, [], "plumb_bob", False),
        (2.0, [0.0] * 5, "", False),
        (0.4, [-0.3, 0.1, 0.0, 0.0, 0.0], "plumb_bob", True),
        (0.4, [0.0] * 4, "equidistant", True),
        (0.2, [-0.3, 0.1, 0.0, 0.0, 0.0], "plumb_bob", False),
        (5.0, [-0.3, 0.1, 0.0, 0.0, 0.0], "plumb_bob", False),
    ],
)
def test_p_is_believed_as_far_as_rectification_can_move_it_from_k(ratio, d, model, believed):
    read = camera(p=P_of(ratio * FOCAL), d=d, distortion_model=model)
    assert read.K[0, 0] == (ratio * FOCAL if believed else FOCAL)
    assert len(read.notes) == (0 if believed else 1)


@pytest.mark.parametrize(
    "K",
    [
        K_of(90.0),  # 148 degrees
        K_of(7000.0),  # 5.2 degrees
        K_of(FOCAL, 300.0),  # every other line
        K_of(FOCAL, cx=-200.0),  # cut out, and nobody said so
        K_of(FOCAL, skew=5.0),
    ],
)
def test_unusual_cameras_are_believed(K):
    for rectified in (True, False):
        assert camera(rectified, k=K, p=projection(K)).K.reshape(9).tolist() == K


def test_thumbnails_and_line_cameras_are_believed():
    small, line = make_info((8, 6), focal=60.0), make_info((2048, 16), focal=1500.0)
    for info in (small, line):
        assert camera_from_info(info, True).K[0, 0] == info.k[0]


def test_a_stereo_baseline_in_p_does_not_matter():
    P = P_of(FOCAL)
    P[3] = -72.0
    assert camera(p=P).K.reshape(9).tolist() == GOOD_K


@pytest.mark.parametrize(
    ("changes", "size", "focal", "noted"),
    [
        ({"binning_x": 2, "binning_y": 2}, (320, 240), 300.0, ""),
        ({"binning_x": 2, "binning_y": 2}, (640, 480), 600.0, "binning"),
        ({"binning_x": 2}, (640, 480), 600.0, "binning"),
    ],
)
def test_binning_that_the_size_contradicts_is_taken_as_applied(changes, size, focal, noted):
    info = make_info((WIDTH, HEIGHT), focal=FOCAL, **changes)
    read = camera_from_info(info, True, size)
    assert read.K[0, 0] == focal
    assert read.size == size
    assert [note.text.split()[1] for note in read.notes] == ([noted] if noted else [])


def test_k_of_the_unbinned_image_is_told_by_its_centre():
    info = make_info((WIDTH, HEIGHT), binning_x=2, binning_y=2)
    info.k, info.p = K_of(1200.0, cx=639.5, cy=479.5), [0.0] * 12
    read = camera_from_info(info, True, (WIDTH, HEIGHT))
    assert read.K.tolist() == [[600, 0, 319.5], [0, 600, 239.5], [0, 0, 1]]


def test_a_region_of_interest_that_was_not_cut_is_ignored():
    info = make_info((WIDTH, HEIGHT), focal=FOCAL, binning_x=2, binning_y=2)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 40, 320, 240
    by_size = {size: camera_from_info(info, True, size) for size in
               [(160, 120), (320, 240), (640, 480)]}  # fmt: skip
    assert [read.K[0, 0] for read in by_size.values()] == [300.0, 600.0, 600.0]
    assert by_size[320, 240].K[0, 2] == 219.5
    assert by_size[640, 480].K[0, 2] == 319.5
    with pytest.raises(FrameError, match="expected size 100x100") as caught:
        camera_from_info(info, True, (100, 100))
    assert caught.value.cause is Cause.SIZE


@pytest.mark.parametrize("center", [(319.5, 239.5), (1319.5, 739.5)], ids=["roi", "sensor"])
def test_a_size_that_is_the_rois_own_leaves_no_offset(center):
    """Some drivers give the roi's size as width and height; K is of the roi or of the sensor."""
    info = make_info((WIDTH, HEIGHT), focal=FOCAL)
    info.k, info.p = K_of(FOCAL, None, *center), P_of(FOCAL, None, *center)
    info.roi.x_offset, info.roi.y_offset = 1000, 500
    for info.roi.width, info.roi.height in ((0, 0), (WIDTH, HEIGHT)):
        read = camera_from_info(info, True, (WIDTH, HEIGHT))
        assert read.K.tolist() == [[FOCAL, 0, 319.5], [0, FOCAL, 239.5], [0, 0, 1]]
        assert ["a roi at (1000, 500) leaves 640x480" in note.text for note in read.notes] == [True]


def test_a_roi_beyond_the_sensor_that_is_not_the_images_is_ignored():
    info = make_info((WIDTH, HEIGHT), focal=FOCAL)
    info.roi.x_offset, info.roi.width, info.roi.height = 600, 320, 240
    assert camera_from_info(info, True, (WIDTH, HEIGHT)).K[0, 2] == 319.5
    with pytest.raises(FrameError, match="expected size 320x240"):
        camera_from_info(info, True, (320, 240))
