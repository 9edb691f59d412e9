"""The overlay's CvBridge against closed-form pixels and malformed messages."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("cv_bridge", reason="CvBridge needs the ROS environment")

from cv_bridge import CvBridge, CvBridgeError
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

BRIDGE = CvBridge()
RED = np.array([200, 10, 30], dtype=np.uint8)  # as R, G, B
TYPES = {"8UC": np.uint8, "8SC": np.int8, "16UC": np.uint16, "32SC": np.int32, "64FC": np.float64}


def random_image(shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    return (np.random.default_rng(7).random(shape) * 100).astype(dtype)


def message(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    """An Image with `padding` bytes of rubbish after every row."""
    rows = pixels.reshape(pixels.shape[0], -1).view(np.uint8)
    rubbish = np.full((rows.shape[0], padding), 0xAB, dtype=np.uint8)
    data = np.concatenate([rows, rubbish], axis=1)
    image = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    image.step = data.shape[1]
    image.data = data.tobytes()
    return image


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.integers(1, 4),
    kind=st.sampled_from(sorted(TYPES)),
    padding=st.integers(0, 3),
)
def test_any_type_with_whole_pixels_of_padding_comes_back(
    height: int, width: int, channels: int, kind: str, padding: int
) -> None:
    pixels = random_image((height, width, channels), TYPES[kind])
    padded = message(pixels, f"{kind}{channels}", padding * pixels[0, 0].nbytes)
    decoded = BRIDGE.imgmsg_to_cv2(padded)
    assert decoded.dtype == pixels.dtype
    np.testing.assert_array_equal(decoded, pixels[:, :, 0] if channels == 1 else pixels)


def test_rows_padded_by_half_a_pixel_are_sheared() -> None:
    """As upstream does, which reads every row that many bytes too early."""
    pixels = random_image((3, 2, 3))
    flat = message(pixels, "rgb8", padding=2)
    decoded = BRIDGE.imgmsg_to_cv2(flat)
    dense = np.frombuffer(bytes(flat.data)[:18], np.uint8).reshape(3, 2, 3)
    np.testing.assert_array_equal(decoded, dense)
    assert not np.array_equal(decoded, pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_arrays_survive_the_round_trip(dtype: type, shape: tuple[int, ...]) -> None:
    pixels = random_image(shape, dtype)
    packed = BRIDGE.cv2_to_imgmsg(pixels)
    assert packed.step == 5 * pixels[0, 0].nbytes
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(packed), pixels)


@pytest.mark.parametrize("encoding", ["mono16", "rgb8"])
def test_big_endian_messages_fail_as_upstream_under_numpy_2(encoding: str) -> None:
    pixels = random_image((2, 3, 3)) if encoding == "rgb8" else random_image((2, 3), np.uint16)
    packed = message(pixels, encoding)
    packed.is_bigendian = 1
    with pytest.raises(AttributeError, match="newbyteorder"):
        BRIDGE.imgmsg_to_cv2(packed)


def test_big_endian_arrays_are_packed_as_they_are() -> None:
    packed = BRIDGE.cv2_to_imgmsg(np.array([[1, 0x1234]], dtype=">u2"), "mono16")
    assert packed.is_bigendian
    assert bytes(packed.data) == b"\x00\x01\x12\x34"


@pytest.mark.parametrize(
    ("encoding", "pixel"),
    [
        ("rgb8", RED),
        ("bgr8", RED[::-1]),
        ("rgba8", np.append(RED, 255)),
        ("bgra8", np.append(RED[::-1], 255)),
        ("rgb16", RED.astype(np.uint16) * 257),
    ],
)
def test_colour_encodings_become_rgb8(encoding: str, pixel: np.ndarray) -> None:
    dtype = np.uint16 if encoding.endswith("16") else np.uint8
    pixels = np.tile(pixel.astype(dtype), (2, 3, 1))
    decoded = BRIDGE.imgmsg_to_cv2(message(pixels, encoding), "rgb8")
    np.testing.assert_array_equal(decoded, np.tile(RED, (2, 3, 1)))


def test_grey_becomes_rgb8_with_full_scale_kept_and_rounded() -> None:
    wide = np.array([[0, 65535, 257 * 9, 257 * 9 + 200]], dtype=np.uint16)
    decoded = BRIDGE.imgmsg_to_cv2(message(wide, "mono16"), "rgb8")
    np.testing.assert_array_equal(decoded[0, :, 1], [0, 255, 9, 10])
    narrow = np.array([[0, 7, 255]], dtype=np.uint8)
    decoded = BRIDGE.imgmsg_to_cv2(message(narrow, "mono8"), "mono16")
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, [[0, 7 * 257, 65535]])


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("depth", [8, 16])
def test_bayer_mosaics_of_one_colour_become_that_colour(pattern: str, depth: int) -> None:
    scale, dtype = (257, np.uint16) if depth == 16 else (1, np.uint8)
    tile = np.array([RED["rgb".index(letter)] for letter in pattern], dtype=dtype).reshape(2, 2)
    mosaic = np.tile(tile * dtype(scale), (4, 4))
    decoded = BRIDGE.imgmsg_to_cv2(message(mosaic, f"bayer_{pattern}{depth}"), "rgb8")
    np.testing.assert_array_equal(decoded[2:-2, 2:-2], np.tile(RED, (4, 4, 1)))


@pytest.mark.parametrize(("encoding", "first"), [("yuv422", "u"), ("yuv422_yuy2", "y")])
def test_yuv422_grey_becomes_grey_of_the_limited_range(encoding: str, first: str) -> None:
    luma, chroma = np.uint8(126), np.uint8(128)
    pair = [chroma, luma] if first == "u" else [luma, chroma]
    pixels = np.tile(np.array(pair, dtype=np.uint8), (2, 4, 1))
    decoded = BRIDGE.imgmsg_to_cv2(message(pixels, encoding), "rgb8")
    # ITU-R BT.601: 1.164 (Y - 16) without chroma.
    assert np.abs(decoded.astype(int) - round(1.164 * (126 - 16))).max() <= 1


@pytest.mark.parametrize("encoding", ["", "rgb9", "nv12", "depth"])
def test_unknown_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(CvBridgeError, match="Unrecognized image encoding"):
        BRIDGE.imgmsg_to_cv2(message(random_image((2, 2)), encoding), "rgb8")


@pytest.mark.parametrize(("source", "target"), [("8UC3", "rgb8"), ("rgb8", "8UC1")])
def test_conversions_without_sense_are_refused(source: str, target: str) -> None:
    with pytest.raises(CvBridgeError):
        BRIDGE.imgmsg_to_cv2(message(random_image((2, 2, 3)), source), target)


def test_short_data_are_type_errors_and_small_steps_narrow_images() -> None:
    cut = message(random_image((4, 4, 3)), "rgb8")
    cut.data = cut.data[:-1]
    with pytest.raises(TypeError):
        BRIDGE.imgmsg_to_cv2(cut)
    narrow = message(random_image((4, 4, 3)), "rgb8")
    narrow.step = 2
    assert BRIDGE.imgmsg_to_cv2(narrow).shape == (4, 0, 3)  # upstream believes any step


def test_packing_checks_the_encoding_and_the_type() -> None:
    with pytest.raises(CvBridgeError, match="incompatible type 8UC3"):
        BRIDGE.cv2_to_imgmsg(random_image((2, 2, 3)), "mono8")
    with pytest.raises(TypeError, match="not a numpy array"):
        BRIDGE.cv2_to_imgmsg([[1, 2]])


def test_compressed_images_come_back() -> None:
    pixels = random_image((6, 5, 3))
    packed = BRIDGE.cv2_to_compressed_imgmsg(pixels, "png")
    assert packed.format == "png"
    np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(packed), pixels)
    rgb = BRIDGE.compressed_imgmsg_to_cv2(packed, "rgb8")
    np.testing.assert_array_equal(rgb, pixels[:, :, ::-1])
    flat = np.full((16, 16, 3), 90, dtype=np.uint8)
    jpeg = BRIDGE.compressed_imgmsg_to_cv2(BRIDGE.cv2_to_compressed_imgmsg(flat), "bgr8")
    assert np.abs(jpeg.astype(int) - 90).max() <= 1


@pytest.mark.parametrize("data", [b"\x00" * 64, b"\x89PNG\r\n\x1a\n" + b"\x00" * 9])
def test_broken_compressed_data_are_none_or_refused(data: bytes) -> None:
    broken = CompressedImage(format="png", data=data)
    assert BRIDGE.compressed_imgmsg_to_cv2(broken) is None
    assert BRIDGE.compressed_imgmsg_to_cv2(broken, "bgr8") is None
    with pytest.raises(CvBridgeError):
        BRIDGE.compressed_imgmsg_to_cv2(broken, "rgb8")


def test_no_compressed_data_at_all_are_opencvs_error() -> None:
    with pytest.raises(cv2.error):
        BRIDGE.compressed_imgmsg_to_cv2(CompressedImage(format="png"), "bgr8")


def test_grey_compressed_images_follow_upstream() -> None:
    _, encoded = cv2.imencode(".png", random_image((4, 4)))
    packed = CompressedImage(format="png", data=encoded.tobytes())
    assert BRIDGE.compressed_imgmsg_to_cv2(packed, "bgr8").shape == (4, 4)
    with pytest.raises(CvBridgeError):
        BRIDGE.compressed_imgmsg_to_cv2(packed, "rgb8")
    with pytest.raises(cv2.error):
        BRIDGE.cv2_to_compressed_imgmsg(random_image((4, 4)), "nothing")
