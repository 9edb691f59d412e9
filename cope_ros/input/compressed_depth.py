"""compressedDepth, as compressed_depth_image_transport writes it -> a plain depth image. No ROS.

``data`` is a header of twelve bytes (an enumeration and two parameters) and a PNG of 16 bits. It
holds 16UC1 as it is, and 32FC1 as inverse depths: depth = a / (value - b) with the header's a, b.
"""

import struct
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from cope_ros.input.depth_image import DepthError, Fault, check_depth
from cope_ros.input.drops import FrameError
from cope_ros.input.image_header import encoded_size, is_compressed, is_whole

TRANSPORT = "compressedDepth"
HEADER = struct.Struct("<iff")


def check_depth_header(message: Any) -> None:
    """Refuses what cannot be decoded to depth, as far as its header tells; decodes nothing.

    Args:
        message: a sensor_msgs/Image or CompressedImage.

    Raises:
        DepthError: (fault MALFORMED) with what was expected and what was found.
    """
    if not is_compressed(message):
        return check_depth(message)
    _encoding_of(message)
    return _check_png(memoryview(message.data)[HEADER.size :])


def plain_depth(message: Any) -> Any:
    """A depth image that has passed ``check_depth``, of a sensor_msgs/Image or CompressedImage.

    Raises:
        DepthError: (fault MALFORMED) no depth image, or a broken one.
    """
    plain = decompress_depth(message) if is_compressed(message) else message
    check_depth(plain)
    return plain


def decompress_depth(message: Any) -> Any:
    """What a sensor_msgs/Image would say of a CompressedImage.

    Raises:
        DepthError: (fault MALFORMED) another format, or a broken one; names it.
    """
    encoding = _encoding_of(message)
    data = np.frombuffer(message.data, np.uint8)
    stored = _pixels(data[HEADER.size :])
    if encoding == "32FC1":
        _, a, b = HEADER.unpack(data[: HEADER.size].tobytes())
        below = stored.astype(np.float32) - np.float32(b)
        known = (stored > 0) & (below > 0)
        stored = np.where(known, np.float32(a) / np.where(known, below, 1), 0).astype(np.float32)
    rows = stored.astype(stored.dtype.newbyteorder("<")).view(np.uint8)
    height, width = stored.shape
    return SimpleNamespace(
        header=message.header, height=height, width=width, encoding=encoding, is_bigendian=0,
        step=rows.shape[1], data=rows.reshape(-1),
    )  # fmt: skip


def _encoding_of(message: Any) -> str:
    """The encoding of the raw depth image, as ``format`` says it."""
    encoding, _, rest = (part.strip() for part in message.format.partition(";"))
    words = rest.split()
    if not words or words[0] != TRANSPORT or words[1:] not in ([], ["png"]):
        text = f"expected format '16UC1; compressedDepth png', got '{message.format[:60]}'"
        raise DepthError(Fault.MALFORMED, text)
    return encoding


def _check_png(data: memoryview) -> None:
    """Refuses what is no PNG, or one of a size that no camera has, by its first bytes."""
    try:
        encoded_size(data)
    except FrameError as error:
        raise DepthError(Fault.MALFORMED, f"{TRANSPORT}: {error}") from error


def _pixels(data: np.ndarray) -> np.ndarray:
    """(H, W) uint16 of a PNG, whose size is looked at before it is decoded."""
    png = data.tobytes()
    _check_png(memoryview(png))
    stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if is_whole(png) else None
    if stored is None or stored.ndim != 2 or stored.dtype != np.uint16:
        got = f"{stored.dtype} {stored.shape}" if stored is not None else "one cut off or broken"
        raise DepthError(Fault.MALFORMED, f"{TRANSPORT}: expected a PNG of 16 bits, got {got}")
    return stored
