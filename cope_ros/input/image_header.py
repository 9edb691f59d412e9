"""The size of a jpeg or png image from its first bytes, before anything is decoded. Knows no ROS.

A damaged or hostile header of a few bytes can claim a billion pixels, and decoders reserve the
memory for them at once.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from cope_ros.input.drops import MAX_SIDE, Cause, FrameError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_HEADER = 24  # bytes up to the end of IHDR's width and height
JPEG_SIGNATURE = b"\xff\xd8"
JPEG_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: TEM, RST, SOI
JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, the size is in them
JPEG_SCAN, JPEG_END, PNG_END = 0xDA, b"\xff\xd9", b"IEND"
JPEG_FRAME_HEADER = 9  # bytes: marker, length, precision, height, width


def is_compressed(image: Any) -> bool:
    """Whether an image message is a sensor_msgs/CompressedImage."""
    return not hasattr(image, "encoding")


def encoded_size(data: Sequence[int]) -> tuple[int, int]:
    """(width, height) in px that the header of a jpeg or png image states.

    Args:
        data: the whole file, a sequence of bytes such as ``array('B')``.

    Raises:
        FrameError: (cause IMAGE) neither of both, cut off, or larger than MAX_SIDE.
    """
    start = bytes(data[:PNG_HEADER])
    if start.startswith(PNG_SIGNATURE) and len(start) == PNG_HEADER:
        size = int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
    elif start.startswith(JPEG_SIGNATURE):
        size = _jpeg_size(data)
    else:
        raise _refusal(f"expected jpeg or png data, got {len(data)} other bytes")
    if not all(0 < side <= MAX_SIDE for side in size):
        width, height = size
        raise _refusal(f"expected a size of 1 to {MAX_SIDE} px a side, got {width}x{height}")
    return size


def is_whole(data: bytes) -> bool:
    """Whether a jpeg or png image ends where it should; bytes after its end do not matter."""
    if data.startswith(PNG_SIGNATURE):
        return PNG_END in data[PNG_HEADER:]
    scan = next((at for marker, at in _jpeg_segments(data) if marker == JPEG_SCAN), None)
    return scan is not None and data.rfind(JPEG_END) > scan


def _jpeg_size(data: Sequence[int]) -> tuple[int, int]:
    for marker, at in _jpeg_segments(data):
        if marker in JPEG_FRAMES and at + JPEG_FRAME_HEADER <= len(data):
            height, width = (256 * data[at + k] + data[at + k + 1] for k in (5, 7))
            return width, height
    raise _refusal(f"expected a jpeg header with a size, got none in {len(data)} bytes")


def _jpeg_segments(data: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(marker, offset) of each segment up to the first scan, whose data follow it."""
    at = len(JPEG_SIGNATURE)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in JPEG_ALONE:
            at += 2
        else:
            yield marker, at
            if marker == JPEG_SCAN:
                return
            at += 2 + 256 * data[at + 2] + data[at + 3]


def _refusal(message: str) -> FrameError:
    return FrameError(Cause.IMAGE, f"image: {message}")
