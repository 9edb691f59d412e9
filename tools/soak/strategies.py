"""Hypothesis strategies for every field of Image, CameraInfo and CompressedImage.

A message is sound, sound but for some fields, or wild in all fields: what is wrong from the
first byte is refused at the door, and only what is nearly right gets any further.
"""

import array
import time
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from cope_ros.input.encodings import ENCODINGS, least_bytes
from tools.soak.names import FUZZ_FRAME, GOOD_FRAME, SMALL_SIZES

SECOND = 1_000_000_000  # ns
INT32 = st.integers(-(2**31), 2**31 - 1)
UINT32 = st.integers(0, 2**32 - 1)
UINT8 = st.integers(0, 255)
# A nul ends a string on the wire.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
FLOAT = st.floats(allow_nan=True, allow_infinity=True)
FOCAL = 60.0  # px, of sound fuzzed intrinsics

Fields = Mapping[str, SearchStrategy[Any]]


def _near_now(offset: int) -> Time:
    sec, nanosec = divmod(time.time_ns() + offset, SECOND)
    return Time(sec=sec, nanosec=nanosec)


STAMPS = st.one_of(
    st.builds(_near_now, st.integers(-5 * SECOND, 5 * SECOND)),  # late, early, out of order
    st.builds(Time, sec=INT32, nanosec=UINT32),
    st.just(Time(sec=1)),  # again and again the same
)


def _headers(frames: SearchStrategy[str]) -> SearchStrategy[Header]:
    return st.builds(Header, stamp=STAMPS, frame_id=frames)


SOUND_HEADERS = _headers(st.just(FUZZ_FRAME))
WILD_HEADERS = _headers(st.sampled_from([FUZZ_FRAME, GOOD_FRAME, ""]) | TEXT)


@st.composite
def _spoiled(draw: Any, sound: SearchStrategy[Any], wild: Fields) -> Any:
    """A sound message with some of its fields replaced."""
    message = draw(sound)
    for name in draw(st.sets(st.sampled_from(sorted(wild)), min_size=1, max_size=3)):
        setattr(message, name, draw(wild[name]))
    return message


def _any_of(
    kind: Any, sound: SearchStrategy[Any], spoilt: SearchStrategy[Any], wild: Fields
) -> SearchStrategy[Any]:
    return st.one_of(sound, spoilt, st.builds(kind, **wild))


def _tiled(seed: bytes, length: int) -> "array.array[int]":
    """``seed`` repeated to a length: long data without long draws."""
    return array.array("B", (seed * (length // len(seed) + 1))[:length])


def _bytes(max_size: int) -> SearchStrategy["array.array[int]"]:
    return st.binary(max_size=max_size).map(lambda data: array.array("B", data))


@st.composite
def _sound_images(draw: Any) -> Image:
    width, height = draw(st.sampled_from(SMALL_SIZES))
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    rows, least = least_bytes(encoding, width, height)
    step = least + draw(st.sampled_from([0, 0, 0, 1, 2]))
    message = Image(header=draw(SOUND_HEADERS), width=width, height=height, step=step)
    message.encoding, message.is_bigendian = encoding, draw(st.integers(0, 1))
    message.data = _tiled(draw(st.binary(min_size=1, max_size=16)), step * rows)
    return message


WILD_IMAGES: Fields = {
    "header": WILD_HEADERS,
    "height": st.integers(0, 100) | UINT32,
    "width": st.integers(0, 100) | UINT32,
    "encoding": st.sampled_from([*sorted(ENCODINGS), "32FC1", "8UC3"]) | TEXT,
    "is_bigendian": UINT8,
    "step": st.integers(0, 300) | UINT32,
    "data": _bytes(200),
}


@st.composite
def _sound_infos(draw: Any) -> CameraInfo:
    width, height = draw(st.sampled_from(SMALL_SIZES))
    message = CameraInfo(header=draw(SOUND_HEADERS), width=width, height=height)
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    message.k = [FOCAL, 0.0, width / 2, 0.0, FOCAL, height / 2, 0.0, 0.0, 1.0]
    message.p = np.column_stack([np.reshape(message.k, (3, 3)), np.zeros(3)]).reshape(-1)
    return message


def _numbers(count: int) -> SearchStrategy[list[float]]:
    return st.lists(FLOAT | st.floats(-2000, 2000), min_size=count, max_size=count)


REGIONS = st.builds(
    RegionOfInterest,
    **{name: st.integers(0, 100) | UINT32 for name in ("x_offset", "y_offset", "height", "width")},
    do_rectify=st.booleans(),
)
WILD_INFOS: Fields = {
    "header": WILD_HEADERS,
    "height": st.integers(0, 100) | UINT32,
    "width": st.integers(0, 100) | UINT32,
    "distortion_model": st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant"]) | TEXT,
    "d": st.sampled_from([0, 4, 5, 8, 12, 14]).flatmap(_numbers) | st.lists(FLOAT, max_size=20),
    "k": _numbers(9),
    "r": _numbers(9),
    "p": _numbers(12),
    "binning_x": st.integers(0, 4) | UINT32,
    "binning_y": st.integers(0, 4) | UINT32,
    "roi": REGIONS,
}


def _encoded() -> list[bytes]:
    pixels = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    shapes = (pixels, pixels[:24, :32], pixels[..., 0])
    return [
        cv2.imencode(suffix, image)[1].tobytes()
        for suffix in (".png", ".jpg", ".bmp", ".webp")
        for image in shapes
    ]


@st.composite
def _damaged(draw: Any) -> "array.array[int]":
    """An encoded image with some bytes changed, and perhaps its end cut off."""
    data = bytearray(draw(st.sampled_from(ENCODED)))
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(UINT8)
    return array.array("B", data[: draw(st.just(len(data)) | st.integers(0, len(data)))])


ENCODED = _encoded()
SOUND_COMPRESSED = st.builds(
    CompressedImage,
    header=SOUND_HEADERS,
    format=st.sampled_from(["jpeg", "png", "rgb8; jpeg compressed bgr8"]),
    data=st.sampled_from(ENCODED).map(lambda data: array.array("B", data)),
)
WILD_COMPRESSED: Fields = {
    "header": WILD_HEADERS,
    "format": TEXT,
    "data": _damaged() | _bytes(300),
}

SOUND_IMAGES, SOUND_INFOS = _sound_images(), _sound_infos()
IMAGES = _any_of(Image, SOUND_IMAGES, _spoiled(SOUND_IMAGES, WILD_IMAGES), WILD_IMAGES)
INFOS = _any_of(CameraInfo, SOUND_INFOS, _spoiled(SOUND_INFOS, WILD_INFOS), WILD_INFOS)
COMPRESSED_IMAGES = _any_of(
    CompressedImage,
    SOUND_COMPRESSED,
    _spoiled(SOUND_COMPRESSED, WILD_COMPRESSED),
    WILD_COMPRESSED,
)
