"""Messages <-> arrays."""

import array

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge
from node_fakes import CATALOGUE, make_estimate, make_image
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from cope_ros.input.drops import ENCODINGS, Cause, FrameError, check_image
from cope_ros.output import ros_types
from cope_ros.output.messages import MessageWriter, quaternions_from_matrices, rgb_from_image

BAYER = {  # the colours of the first two pixels of the first two rows
    "bayer_rggb8": ((0, 1), (1, 2)),
    "bayer_bggr8": ((2, 1), (1, 0)),
    "bayer_gbrg8": ((1, 2), (0, 1)),
    "bayer_grbg8": ((1, 0), (2, 1)),
}


def smooth_rgb() -> np.ndarray:
    """(48, 64, 3) with three different gradients, so that swapped channels show."""
    v, u = np.mgrid[:48, :64]
    return np.stack([40 + 2 * u, 220 - 3 * v, 100 + u + v], axis=2).astype(np.uint8)


def yuv422(rgb: np.ndarray, luma_first: bool) -> np.ndarray:
    """Packs by BT.601 with video range, as cameras do: (48, 64, 2)."""
    y, cr, cb = np.moveaxis(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb).astype(float), 2, 0)
    y = 16 + y * 219 / 255
    chroma = np.stack([cb, cr], 0) * 224 / 255 + 128 * (1 - 224 / 255)
    packed = np.empty((*y.shape, 2))
    packed[:, :, 0 if luma_first else 1] = y
    packed[:, ::2, 1 if luma_first else 0] = chroma[0, :, ::2]
    packed[:, 1::2, 1 if luma_first else 0] = chroma[1, :, ::2]
    return packed.round().astype(np.uint8)


def encode(rgb: np.ndarray, encoding: str) -> np.ndarray:
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    alpha = np.full((*rgb.shape[:2], 1), 7, np.uint8)
    if encoding.startswith("bayer"):
        mosaic = np.empty(rgb.shape[:2], np.uint8)
        for row in (0, 1):
            for column in (0, 1):
                channel = BAYER[encoding][row][column]
                mosaic[row::2, column::2] = rgb[row::2, column::2, channel]
        return mosaic
    return {
        "rgb8": lambda: rgb,
        "bgr8": lambda: rgb[:, :, ::-1],
        "rgba8": lambda: np.concatenate([rgb, alpha], 2),
        "bgra8": lambda: np.concatenate([rgb[:, :, ::-1], alpha], 2),
        "mono8": lambda: gray,
        "mono16": lambda: gray.astype(np.uint16) * 257,
        "yuv422": lambda: yuv422(rgb, luma_first=False),
        "uyvy": lambda: yuv422(rgb, luma_first=False),
        "yuv422_yuy2": lambda: yuv422(rgb, luma_first=True),
        "yuyv": lambda: yuv422(rgb, luma_first=True),
    }[encoding]()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("padding", [0, 6])
def test_every_encoding_becomes_rgb(encoding, padding):
    rgb = smooth_rgb()
    rows = encode(rgb, encoding)
    packed = rows.reshape(48, -1).view(np.uint8)
    packed = np.pad(packed, ((0, 0), (0, padding)), constant_values=99)
    message = make_image(rows, encoding=encoding, step=packed.shape[1])
    message.data = array.array("B", packed.tobytes())
    check_image(message)
    decoded = rgb_from_image(CvBridge(), message)
    expected = rgb
    if encoding.startswith("mono"):
        expected = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[:, :, None], 3, 2)
    inside = np.s_[4:-4, 4:-4]  # demosaicing extrapolates at the border
    error = np.abs(decoded[inside].astype(int) - expected[inside].astype(int))
    assert error.max() <= (0 if encoding[:4] in ("rgb8", "bgr8", "mono") else 5)


def test_big_endian_mono16():
    values = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
    message = make_image(values.astype(">u2"), encoding="mono16", is_bigendian=1)
    decoded = rgb_from_image(CvBridge(), message)
    assert np.abs(decoded[:, :, 0].astype(int) - np.round(values / 257)).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("grey", [False, True])
def test_compressed_colour_and_grey(suffix, grey):
    rgb = smooth_rgb()
    pixels = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) if grey else rgb[:, :, ::-1]
    _, data = cv2.imencode(suffix, pixels)
    message = CompressedImage(data=array.array("B", data.tobytes()))
    decoded = rgb_from_image(CvBridge(), message).astype(int)
    expected = np.repeat(pixels[:, :, None], 3, 2) if grey else rgb
    assert np.abs(decoded - expected.astype(int)).mean() <= (0 if suffix == ".png" else 2)


def test_undecodable_data_is_refused():
    message = CompressedImage(data=array.array("B", b"no image"))
    with pytest.raises(FrameError) as caught:
        rgb_from_image(CvBridge(), message)
    assert caught.value.cause is Cause.IMAGE


def test_quaternions_agree_with_scipy_up_to_half_turns():
    random = Rotation.random(200, random_state=1).as_matrix()
    half_turns = Rotation.from_rotvec(np.pi * np.eye(3)).as_matrix()
    nearly = Rotation.from_rotvec((np.pi - 1e-7) * np.eye(3)).as_matrix()
    R = np.concatenate([random, half_turns, nearly, np.eye(3)[None]])
    q = quaternions_from_matrices(R)
    assert np.allclose(np.linalg.norm(q, axis=1), 1)
    assert (q[:, 3] >= 0).all()
    assert np.allclose(Rotation.from_quat(q).as_matrix(), R, atol=1e-9)
    assert quaternions_from_matrices(np.zeros((0, 3, 3))).shape == (0, 4)


def test_detections_and_transforms_carry_the_same_pose():
    writer = MessageWriter(CATALOGUE, ros_types)
    header = Header(frame_id="camera")
    writer.detections(header, make_estimate(6), list("uvwxyz"))  # leaves nothing behind
    estimate = make_estimate(4)
    R = Rotation.random(4, random_state=2).as_matrix()
    estimate.R[:] = R
    message = writer.detections(header, estimate, list("abcd"))
    transforms = writer.transforms(header, estimate, list("abcd"))
    for row, (detection, transform) in enumerate(zip(message.detections, transforms, strict=True)):
        rotation = transform.transform.rotation
        xyzw = (rotation.x, rotation.y, rotation.z, rotation.w)
        assert np.allclose(Rotation.from_quat(xyzw).as_matrix(), R[row], atol=1e-6)
        at = transform.transform.translation
        assert (at.x, at.y, at.z) == pytest.approx(tuple(estimate.t[row]))
        item = CATALOGUE[estimate.class_index[row]]
        center = detection.bbox.center.position
        assert (center.x, center.y, center.z) == pytest.approx(
            tuple(R[row] @ item.box_center + estimate.t[row]), abs=1e-6
        )
        size = detection.bbox.size
        assert (size.x, size.y, size.z) == pytest.approx(tuple(item.box_size))
        assert detection.results[0].hypothesis.class_id == item.class_id
        assert transform.child_frame_id == detection.id == "abcd"[row]
        assert transform.header.frame_id == detection.header.frame_id == "camera"


def test_no_instance_is_an_empty_message():
    writer = MessageWriter(CATALOGUE, ros_types)
    message = writer.detections(Header(), make_estimate(0), [])
    assert message.detections == []
    assert writer.transforms(Header(), make_estimate(0), []) == []
