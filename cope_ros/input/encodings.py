"""The encodings of raw images: how their rows are laid out, and the check of a message. No ROS.

Names: sensor_msgs/image_encodings.hpp.
"""

import re
from typing import Any, NamedTuple

from cope_ros.input.drops import MAX_SIDE, Cause, FrameError

BAYER = tuple(f"bayer_{pattern}" for pattern in ("rggb", "bggr", "gbrg", "grbg"))
# Bytes per pixel of a row, by the name that cv_bridge knows.
PIXELS = {
    **{"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1},
    **{"rgb16": 6, "bgr16": 6, "rgba16": 8, "bgra16": 8, "mono16": 2},
    **{f"{name}8": 1 for name in BAYER},
    **{f"{name}16": 2 for name in BAYER},
    **{"yuv422": 2, "yuv422_yuy2": 2},
}
PLANAR = ("nv12", "nv21")  # luma, then rows of chroma pairs at half the resolution
SHARED_CHROMA = ("yuv422", "yuv422_yuy2")  # by pairs of columns
# Other names of the same thing.
SAME = {
    **{"uyvy": "yuv422", "yuyv": "yuv422_yuy2"},
    **{"8UC1": "mono8", "8U": "mono8", "16UC1": "mono16", "16U": "mono16"},
}
ENCODINGS = (*PIXELS, *SAME, *PLANAR)
SPELLINGS = {name.lower(): name for name in ENCODINGS}  # drivers write RGB8 and Mono8 too
TYPE_ALONE = re.compile(r"(8|16)U(?:C([1-4]))?")  # tells the numbers' type, not their meaning
PARAMETER = "image_encoding"  # tells what such images hold


def spelt(encoding: str) -> str:
    """An encoding's name as sensor_msgs spells it; one that is not known stays as it is."""
    return SPELLINGS.get(encoding.strip().lower(), encoding)


def least_bytes(encoding: str, width: int, height: int) -> tuple[int, int]:
    """Rows of data and least bytes of a row, of an image in one of ENCODINGS."""
    layout = _layout(SAME.get(encoding, encoding), width, height)
    return layout.rows, layout.row_bytes


class Layout(NamedTuple):
    """Where the pixels of a raw image lie in its data."""

    encoding: str  # a key of PIXELS, or one of PLANAR
    rows: int  # of data
    row_bytes: int  # of a row that count; the rest of the step is padding


def layout_of(image: Any, assumed: str = "") -> Layout:
    """How to read a sensor_msgs/Image.

    Args:
        assumed: of PIXELS, what images hold whose encoding is a type alone ("8UC3"); "" where
            nobody said.

    Raises:
        FrameError: (cause IMAGE) fields that contradict each other or are not understood; with
            what was expected and what was found.
    """
    width, height, step = image.width, image.height, image.step
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise _refusal(f"expected a size of 1 to {MAX_SIDE} px a side, got {width}x{height}")
    encoding = _resolved(image.encoding, assumed)
    layout = _layout(encoding, width, height)
    if step < layout.row_bytes:
        odd = " (an odd width needs a whole pair)" if _shares(encoding) and width % 2 else ""
        raise _refusal(
            f"expected step >= {layout.row_bytes} for {width} px of {encoding}{odd}, got {step}"
        )
    expected = step * layout.rows
    if len(image.data) != expected:
        text = f"expected {step}*{layout.rows} = {expected} bytes of data"
        raise _refusal(f"{text}, got {len(image.data)}")
    if encoding.startswith("bayer") and min(width, height) < 2:
        raise _refusal(f"expected at least 2x2 px for {encoding}, got {width}x{height}")
    return layout


def _layout(encoding: str, width: int, height: int) -> Layout:
    if encoding in PLANAR:
        return Layout(encoding, height + (height + 1) // 2, width + width % 2)
    whole = width + width % 2 if _shares(encoding) else width
    return Layout(encoding, height, whole * PIXELS[encoding])


def _shares(encoding: str) -> bool:
    return encoding in SHARED_CHROMA or encoding in PLANAR


def _resolved(encoding: str, assumed: str) -> str:
    """The encoding's name as cv_bridge has it."""
    alone = TYPE_ALONE.fullmatch(encoding)
    if alone is not None and assumed:
        size = int(alone[1]) // 8 * int(alone[2] or 1)
        if PIXELS[assumed] == size:
            return assumed
        text = f"expected {size} bytes per pixel, as {encoding} has, in parameter {PARAMETER}"
        raise _refusal(f"{text}, got '{assumed}'")
    name = SAME.get(spelt(encoding), spelt(encoding))
    if name in PIXELS or name in PLANAR:
        return name
    if alone is not None:
        raise _refusal(
            f"expected an encoding that tells the colours, got '{encoding}'; say what such images "
            f"hold by parameter {PARAMETER} ({_choices(int(alone[1]), int(alone[2]))})"
        )
    raise _refusal(f"expected an encoding out of {', '.join(ENCODINGS)}; got '{encoding[:40]}'")


def _choices(bits: int, channels: int) -> str:
    size = bits // 8 * channels
    return ", ".join(name for name, pixel in PIXELS.items() if pixel == size)


def _refusal(message: str) -> FrameError:
    return FrameError(Cause.IMAGE, f"image: {message}")
