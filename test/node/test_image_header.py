"""The size of encoded images, told from their headers."""

import array
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from node_fakes import gray

from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.image_header import encoded_size


def encoded(suffix, width=64, height=48, *options):
    return cv2.imencode(suffix, gray(height, width), options)[1].tobytes()


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    options=st.sampled_from(
        [
            (".png",),
            (".jpg",),
            (".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
            (".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
        ]
    ),
)
def test_the_stated_size_is_the_decoded_one(width, height, options):
    suffix, *rest = options
    data = array.array("B", encoded(suffix, width, height, *rest))
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert encoded_size(data) == (width, height) == decoded.shape[1::-1]


def test_other_segments_and_padding_before_the_size_are_skipped():
    data = encoded(".jpg")
    comment = b"\xff\xfe" + struct.pack(">H", 402) + b"\xff\xc0" * 200
    assert encoded_size(data[:2] + comment + b"\xff\xff\xff" + data[2:]) == (64, 48)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ("jpeg or png", "0 other bytes")),
        (encoded(".bmp"), ("jpeg or png",)),
        (encoded(".png")[:20], ("20 other bytes",)),
        (encoded(".jpg")[:10], ("header with a size", "10 bytes")),
        (b"\xff\xd8\xff\xd9", ("header with a size",)),
        (encoded(".png").replace(struct.pack(">II", 64, 48), b"\x7f\xff\xff\xff" * 2), ("16384",)),
        (
            encoded(".jpg").replace(struct.pack(">HH", 48, 64), b"\xff\xff\x3f\xff"),
            ("16383x65535",),
        ),
        (encoded(".jpg").replace(struct.pack(">HH", 48, 64), b"\0\0\0\x40"), ("64x0",)),
    ],
)
def test_what_states_no_believable_size_is_refused(data, words):
    with pytest.raises(FrameError) as caught:
        encoded_size(data)
    assert caught.value.cause is Cause.IMAGE
    assert all(word in str(caught.value) for word in words)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe0"]))
def test_any_bytes_have_a_size_or_are_refused(data, start):
    try:
        width, height = encoded_size(start + data)
    except FrameError:
        return
    assert width > 0
    assert height > 0
