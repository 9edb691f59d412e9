"""Image messages to RGB: every encoding, padded, in both byte orders, odd, or refused."""

import array

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge
from hypothesis import given, settings
from hypothesis import strategies as st
from image_encoding import pack, smooth_rgb
from node_fakes import gray, make_image
from sensor_msgs.msg import CompressedImage, Image

from cope_ros.bag.decoding import BagBridge
from cope_ros.input.decoding import check_image, rgb_from_image
from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.encodings import ENCODINGS, least_bytes

BRIDGES = {"cv_bridge": CvBridge(), "rosbags": BagBridge()}
SIZES = [(64, 48), (62, 47), (63, 48), (7, 5), (3, 3), (2, 2), (1, 1), (1, 4), (4, 1)]


def decoded(message, bridge="cv_bridge", assumed=""):
    check_image(message, assumed)
    return rgb_from_image(BRIDGES[bridge], message, assumed)


def expected_rgb(rgb, encoding):
    if encoding.startswith(("mono", "8U", "16U")):
        return np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[:, :, None], 3, 2)
    return rgb


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("big", [0, 1])
@pytest.mark.parametrize("padding", [0, 1, 2, 5])
def test_every_encoding_becomes_rgb_whatever_the_step(encoding, bridge, big, padding):
    rgb = smooth_rgb()
    image = decoded(pack(rgb, encoding, padding, big), bridge)
    assert image.shape == rgb.shape
    assert image.flags.c_contiguous
    inside = np.s_[4:-4, 4:-4]  # demosaicing extrapolates at the border
    error = np.abs(image[inside].astype(int) - expected_rgb(rgb, encoding)[inside].astype(int))
    exact = encoding.startswith(("rgb", "bgr", "mono", "8U", "16U"))
    assert error.max() <= (1 if exact else 6)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", SIZES)
def test_odd_and_tiny_images_are_right_or_refused(encoding, size):
    width, height = size
    rgb = np.full((height, width, 3), (200, 90, 40), np.uint8)
    for padding in (0, 3):
        message = pack(rgb, encoding, padding)
        if encoding.startswith("bayer") and min(size) < 2:
            with pytest.raises(FrameError, match="2x2"):
                decoded(message)
            continue
        error = decoded(message).astype(int) - expected_rgb(rgb, encoding).astype(int)
        assert np.abs(error).max() <= 4


def test_half_a_pair_is_refused():
    message = make_image(np.zeros((4, 5, 2), np.uint8), encoding="yuyv")
    with pytest.raises(FrameError, match="odd width"):
        check_image(message)


@pytest.mark.parametrize(
    ("encoding", "assumed"),
    [
        *(("8UC3", name) for name in ("rgb8", "bgr8")),
        *(("8UC4", name) for name in ("rgba8", "bgra8")),
        *(("16UC3", name) for name in ("rgb16", "bgr16")),
        *(("8UC2", name) for name in ("yuv422", "yuv422_yuy2")),
        *(("8UC1", name) for name in ("mono8", "bayer_gbrg8")),
        ("16UC1", "bayer_rggb16"),
    ],
)
def test_a_type_alone_is_what_the_parameter_says(encoding, assumed):
    message = pack(smooth_rgb(), assumed, 1)
    expected = decoded(message)
    message.encoding = encoding
    assert np.array_equal(decoded(message, assumed=assumed), expected)
    if not encoding.endswith("C1"):
        with pytest.raises(FrameError, match="parameter image_encoding") as caught:
            decoded(message)
        assert assumed in str(caught.value)


@pytest.mark.parametrize("name", ["RGB8", "Bgr8", " mono16", "BAYER_GRBG8", "UYVY", "NV12 "])
def test_the_spelling_of_an_encoding_does_not_matter(name):
    message = pack(smooth_rgb(), name.strip().lower(), 0)
    expected = decoded(message)
    message.encoding = name
    assert np.array_equal(decoded(message), expected)


def test_an_encoding_of_another_size_cannot_be_assumed():
    message = make_image(gray(), encoding="8UC3")
    with pytest.raises(FrameError, match="3 bytes per pixel"):
        decoded(message, assumed="rgba8")


def test_a_named_encoding_is_not_overruled():
    message = pack(smooth_rgb(), "bgr8", 0)
    assert np.array_equal(decoded(message, assumed="rgb8"), smooth_rgb())


@pytest.mark.parametrize(
    "error",
    [AttributeError, TypeError, ValueError, RuntimeError, MemoryError, KeyError, OverflowError,
     ImportError, cv2.error, OSError],
)  # fmt: skip
def test_whatever_a_bridge_raises_is_one_refused_frame(error):
    class Broken:
        def imgmsg_to_cv2(self, message, desired_encoding):
            raise error("broken")

    with pytest.raises(FrameError, match="broken") as caught:
        rgb_from_image(Broken(), pack(smooth_rgb(), "bgr8", 0))
    assert caught.value.cause is Cause.IMAGE


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
        ({"width": 33, "encoding": "yuyv", "step": 66}, ("step >= 68", "odd width", "66")),
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
    rows, least = least_bytes(encoding if encoding in ENCODINGS else "rgb8", width, height)
    step = max(0, least + extra_step)
    image = Image(width=width, height=height, encoding=encoding, step=step, is_bigendian=big)
    image.data = array.array("B", bytes(max(0, step * rows + extra_data)))
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
