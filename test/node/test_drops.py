"""What is refused at the door: malformed images, unusable camera_info."""

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from cv_bridge import CvBridge
from hypothesis import given, settings
from hypothesis import strategies as st
from node_fakes import gray, make_image
from sensor_msgs.msg import CompressedImage, Image

from cope_ros.diagnostics.counters import WARN_PERIOD, FrameCounters
from cope_ros.input.drops import ENCODINGS, Cause, FrameError, check_image
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
