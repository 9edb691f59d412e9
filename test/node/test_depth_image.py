"""Depth messages: decoded to metres, checked, and their camera."""

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from node_fakes import FRAME, make_image, make_info

from cope_ros.input.compressed_depth import check_depth_header, plain_depth
from cope_ros.input.depth_image import (
    DepthError,
    Fault,
    check_credible,
    check_depth,
    check_registered,
    depth_camera,
    meters,
)
from cope_ros.input.intrinsics import camera_from_info

MM = np.array([[0, 1, 500], [65535, 1234, 700]], np.uint16)
METERS = np.array([[0.0, np.nan, np.inf], [-np.inf, -1.0, 1.25]], np.float32)


def message(pixels: np.ndarray, encoding: str, padding: int = 0, big: bool = False):
    """An Image whose rows are padded, in the byte order asked for."""
    order = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = np.frombuffer(order.tobytes(), np.uint8).reshape(len(pixels), -1)
    made = make_image(np.pad(rows, ((0, 0), (0, padding)), constant_values=7), encoding=encoding)
    made.width, made.is_bigendian = pixels.shape[1], int(big)
    return made


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("big", [False, True])
def test_both_encodings_become_metres(padding: int, big: bool) -> None:
    depth = message(MM, "16UC1", padding, big)
    check_depth(depth)
    assert np.allclose(meters(depth), MM / 1000.0)
    depth = message(METERS, "32FC1", padding, big)
    check_depth(depth)
    assert np.array_equal(meters(depth), [[0, 0, 0], [0, 0, 1.25]])
    assert meters(depth).dtype == np.float32


@pytest.mark.parametrize("encoding", ["mono8", "rgb8", "mono16", "64FC1", "", "x" * 500])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(DepthError, match="expected encoding 16UC1") as caught:
        check_depth(message(MM, encoding))
    assert caught.value.fault == Fault.MALFORMED
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "change",
    [{"step": 5}, {"step": 0}, {"height": 3}, {"width": 0}, {"width": 10**6}, {"height": 0}],
)
def test_fields_that_contradict_each_other_are_refused(change: dict) -> None:
    depth = message(MM, "16UC1")
    for name, value in change.items():
        setattr(depth, name, value)
    with pytest.raises(DepthError):
        check_depth(depth)


def test_registered_depth_has_the_images_frame() -> None:
    image, depth = make_image(MM), message(MM, "16UC1")
    check_registered(depth, image)
    for alike in (f"/{FRAME}", ""):
        depth.header.frame_id = alike
        check_registered(depth, image)
    depth.header.frame_id = "depth_frame"
    with pytest.raises(DepthError, match=f"'{FRAME}'.*'depth_frame'.*aligned depth") as caught:
        check_registered(depth, image)
    assert caught.value.fault == Fault.FRAME_ID


def test_smaller_depth_images_share_the_field_of_view() -> None:
    color = camera_from_info(make_info((64, 48), focal=60.0), True)
    same = depth_camera(message(np.zeros((48, 64), np.uint16), "16UC1"), None, color, True)
    assert np.allclose(same.K, color.K)
    half = depth_camera(message(np.zeros((24, 32), np.uint16), "16UC1"), None, color, True)
    assert np.allclose(half.K, [[30.0, 0, 15.5], [0, 30.0, 11.5], [0, 0, 1]])
    with pytest.raises(DepthError, match="depth_camera_info would tell") as caught:
        depth_camera(message(np.zeros((24, 24), np.uint16), "16UC1"), None, color, True)
    assert caught.value.fault == Fault.SIZE


def test_its_own_camera_info_counts() -> None:
    color = camera_from_info(make_info((64, 48)), True)
    depth = message(np.zeros((24, 24), np.uint16), "16UC1")
    camera = depth_camera(depth, make_info((24, 24), focal=33.0), color, True)
    assert camera.K[0, 0] == 33.0
    assert camera.size == (24, 24)
    for info in (make_info((32, 24)), make_info((24, 24), focal=0.0)):
        with pytest.raises(DepthError, match="depth_camera_info") as caught:
            depth_camera(depth, info, color, True)
        assert caught.value.fault == Fault.INTRINSICS
    with pytest.raises(DepthError, match="'other'"):
        depth_camera(depth, make_info((24, 24), frame_id="other"), color, True)


@pytest.mark.parametrize(
    ("pixels", "fault"),
    [
        (np.full((9, 9), 700, np.uint16), None),
        (np.full((9, 9), 0.7, np.float32), None),
        (np.full((9, 9), 2, np.uint16), Fault.UNIT),  # metres, cut to integers
        (np.full((9, 9), 700.0, np.float32), Fault.UNIT),  # millimetres
        (np.zeros((9, 9), np.uint16), Fault.EMPTY),
        (np.full((9, 9), np.nan, np.float32), Fault.EMPTY),
        (np.full((9, 9), np.inf, np.float32), Fault.EMPTY),
        (np.pad(np.full((1, 1), 700, np.uint16), ((3, 5), (3, 5))), None),  # one pixel is some
    ],
)
def test_depth_that_cannot_be_true_is_named(pixels: np.ndarray, fault: Fault | None) -> None:
    encoding = "16UC1" if pixels.dtype == np.uint16 else "32FC1"
    depth = meters(message(pixels, encoding))
    if fault is None:
        return check_credible(depth, encoding)
    with pytest.raises(DepthError) as caught:
        check_credible(depth, encoding)
    assert caught.value.fault == fault
    if fault == Fault.UNIT:
        said = "metres, it seems" if encoding == "16UC1" else "is 700: millimetres, it seems"
        assert said in str(caught.value)
    return None


def packed(pixels: np.ndarray, form: str, header: bytes = bytes(12)) -> SimpleNamespace:
    """A CompressedImage as compressed_depth_image_transport makes it."""
    return SimpleNamespace(
        header=make_image(MM).header,
        format=form,
        data=header + cv2.imencode(".png", pixels)[1].tobytes(),
    )


def test_compressed_depth_is_as_the_plain_one() -> None:
    assert np.allclose(meters(plain_depth(packed(MM, "16UC1; compressedDepth"))), MM / 1000.0)
    a, b = 100.0, 9.0  # values are a / depth + b
    values = np.rint(a / np.array([[0.5, 1.25, 4.0]]) + b).astype(np.uint16)
    values[0, 0] = 0
    quantised = packed(values, "32FC1; compressedDepth png", struct.pack("<iff", 0, a, b))
    assert np.allclose(meters(plain_depth(quantised)), [[0, 1.25, 4.0]])


@pytest.mark.parametrize(
    "broken",
    [
        packed(MM, "16UC1; compressedDepth rvl"),
        packed(MM, "16UC1; png compressed"),
        packed(MM, "mono8; compressedDepth png"),
        packed(MM.astype(np.uint8), "16UC1; compressedDepth png"),
        SimpleNamespace(format="16UC1; compressedDepth png", data=bytes(5)),
        SimpleNamespace(
            format="16UC1; compressedDepth png",
            data=packed(MM, "").data[:-14],
        ),
    ],
)
def test_other_compressed_images_are_no_depth(broken: SimpleNamespace) -> None:
    with pytest.raises(DepthError, match="expected") as caught:
        plain_depth(broken)
    assert caught.value.fault == Fault.MALFORMED


@pytest.mark.parametrize(
    "broken",
    [
        packed(MM, "16UC1; png compressed"),
        SimpleNamespace(format="16UC1; compressedDepth png", data=bytes(5)),
        SimpleNamespace(format="16UC1; compressedDepth png", data=bytes(99)),
        message(MM, "mono8"),
    ],
)
def test_a_header_tells_without_decoding(broken: SimpleNamespace) -> None:
    check_depth_header(packed(MM, "16UC1; compressedDepth png"))
    check_depth_header(message(MM, "16UC1"))
    with pytest.raises(DepthError, match="expected") as caught:
        check_depth_header(broken)
    assert caught.value.fault == Fault.MALFORMED
