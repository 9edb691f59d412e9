"""Compressed images: what ``format`` says of the pixels, and what is refused."""

import array
import struct

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge
from image_encoding import encode, smooth_rgb
from node_fakes import FakeEstimator, gray, make_image, make_info
from node_harness import running
from sensor_msgs.msg import CompressedImage

from cope_ros.input.compressed import Format, read_format
from cope_ros.input.decoding import check_image, rgb_from_image
from cope_ros.input.drops import Cause, FrameError

RGB = smooth_rgb()
GRAY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
INSIDE = np.s_[4:-4, 4:-4]  # demosaicing extrapolates at the border
EXIF_TURNED = (  # APP1 with an Orientation of 6: to be shown turned by 90 degrees
    b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, 6) + b"\0\0\0\0"
)


def compressed(pixels, form, codec=".png"):
    data = cv2.imencode(codec, pixels)[1].tobytes()
    return CompressedImage(format=form, data=array.array("B", data))


def decoded(message, assumed=""):
    check_image(message, assumed)
    return rgb_from_image(CvBridge(), message, assumed)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("", "", "")),
        ("jpeg", ("", "jpeg", "")),
        ("PNG", ("", "png", "")),
        ("rgb8; jpeg compressed bgr8", ("rgb8", "jpeg", "bgr8")),
        ("bayer_rggb8; jpeg compressed ", ("bayer_rggb8", "jpeg", "")),
        ("mono16;png compressed", ("mono16", "png", "")),
    ],
)
def test_the_parts_of_a_format(text, parts):
    assert read_format(text) == Format(*parts)


@pytest.mark.parametrize(
    ("pixels", "form", "expected"),
    [
        (RGB[:, :, ::-1], "png", RGB),
        (RGB[:, :, ::-1], "", RGB),
        (RGB[:, :, ::-1], "rgb8; png compressed bgr8", RGB),
        (RGB[:, :, ::-1], "bgr8; png compressed bgr8", RGB),
        (RGB[:, :, ::-1], "bayer_rggb8; png compressed bgr8", RGB),
        (RGB, "rgb8; png compressed rgb8", RGB),
        (RGB, "RGB8; PNG compressed RGB8", RGB),
        (RGB[:, :, ::-1], "rgba8; png compressed bgra8", RGB),
        (encode(RGB, "bgra8"), "bgra8; png compressed bgra8", RGB),
        (encode(RGB, "bgr16"), "bgr16; png compressed bgr16", RGB),
        (GRAY, "mono8; png compressed ", GRAY),
        (GRAY, "bayer_rggb8; png compressed mono8", GRAY),
        (GRAY.astype(np.uint16) * 257, "mono16; png compressed ", GRAY),
        (GRAY.astype(np.uint16) * 257, "16UC1; png compressed ", GRAY),
    ],
)
def test_channel_order_and_depth_follow_the_format(pixels, form, expected):
    expected = expected if expected.ndim == 3 else np.repeat(expected[:, :, None], 3, 2)
    error = decoded(compressed(pixels, form)).astype(int) - expected.astype(int)
    assert np.abs(error).max() <= 1


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_mosaic_that_was_stored_as_gray_is_debayered(pattern, bits):
    name = f"bayer_{pattern}{bits}"
    image = decoded(compressed(encode(RGB, name), f"{name}; png compressed "))
    assert np.abs(image[INSIDE].astype(int) - RGB[INSIDE].astype(int)).max() <= 6


def test_a_mosaic_through_jpeg_keeps_its_colours():
    flat = np.full((48, 64, 3), (200, 90, 40), np.uint8)
    message = compressed(encode(flat, "bayer_rggb8"), "bayer_rggb8; jpeg compressed ", ".jpg")
    assert np.abs(decoded(message)[INSIDE].mean((0, 1)) - flat[0, 0]).max() < 4


def test_a_type_alone_is_what_the_parameter_says():
    message = compressed(RGB, "8UC3; png compressed ")
    assert np.array_equal(decoded(message, "rgb8"), RGB)
    assert np.array_equal(decoded(message, "bgr8"), RGB[:, :, ::-1])
    message = compressed(encode(RGB, "bayer_gbrg8"), "8UC1; png compressed ")
    colours = decoded(message, "bayer_gbrg8")
    assert np.abs(colours[INSIDE].astype(int) - RGB[INSIDE].astype(int)).max() <= 6


def test_pixels_stay_where_camera_info_has_them_whatever_exif_says():
    data = bytes(compressed(RGB[:, :, ::-1], "", ".jpg").data)
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(EXIF_TURNED) + 2) + EXIF_TURNED
    turned += data[2:]
    shown = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (64, 48, 3)  # OpenCV reads the tag, and obeys where it may
    message = CompressedImage(format="jpeg", data=array.array("B", turned))
    assert decoded(message).shape == (48, 64, 3)


@pytest.mark.parametrize("text", ["16UC1; compressedDepth png", "32FC1; compressedDepth"])
def test_depth_is_refused_by_name(text):
    message = compressed(GRAY.astype(np.uint16), text)
    with pytest.raises(FrameError, match="compressedDepth") as caught:
        check_image(message)
    assert caught.value.cause is Cause.IMAGE


@pytest.mark.parametrize("codec", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_an_image_that_is_cut_off_is_refused(codec, share):
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    message = compressed(noise, codec[1:], codec)
    message.data = message.data[: int(share * len(message.data))]
    with pytest.raises(FrameError, match=r"cut off|header") as caught:
        decoded(message)
    assert caught.value.cause is Cause.IMAGE


@pytest.mark.parametrize("form", ["h264", "webp", "tiff", "nonsense; ; ;"])
def test_other_codecs_are_refused_with_their_format(form):
    message = CompressedImage(format=form, data=array.array("B", bytes(64)))
    with pytest.raises(FrameError, match=form.split(";")[0]):
        decoded(message)


@pytest.mark.parametrize(
    ("remaps", "topic", "parameters"),
    [
        ({"image_rect": "/cam/image_raw/compressed"}, "/cam/image_raw/compressed", {}),
        (
            {"image_rect": "/cam/image_raw/compressed"},
            "/cam/image_raw/compressed",
            {"image_transport": "compressed"},
        ),
        (
            {"image_rect": "/cam/image_raw"},
            "/cam/image_raw/compressed",
            {"image_transport": "compressed"},
        ),
        (
            {"image_rect/compressed": "/cam/jpegs"},
            "/cam/jpegs",
            {"image_transport": "compressed"},
        ),
    ],
)
def test_the_transport_follows_from_the_topics_name(remaps, topic, parameters):
    arguments = tuple(a for old, new in remaps.items() for a in ("-r", f"{old}:={new}"))
    estimator = FakeEstimator()
    with running(estimator, parameters, arguments) as rig:
        rig.connect(topic, "/cam/camera_info", CompressedImage)
        message = compressed(RGB[:, :, ::-1], "bgr8; png compressed bgr8")
        message.header = make_image(gray()).header
        rig.send(message, make_info())
        rig.wait_for(1)
    assert np.array_equal(estimator.seen[0][0], RGB)


def test_depth_on_the_wire_is_a_counted_drop():
    with running(
        FakeEstimator(), arguments=("-r", "image_rect:=/cam/depth/compressedDepth")
    ) as rig:
        rig.connect("/cam/depth/compressedDepth", "/cam/camera_info", CompressedImage)
        message = compressed(GRAY.astype(np.uint16), "16UC1; compressedDepth png")
        message.header = make_image(gray()).header
        rig.send(message, make_info())
        rig.wait_for_drop(Cause.IMAGE)
        assert "compressedDepth" in rig.node.counters.reasons[Cause.IMAGE]
