"""Image messages -> RGB pixels. Knows no ROS: the bridge comes from outside.

cv_bridge (Jazzy's 4.1, in Python) turns padded rows whose step is no multiple of the pixel into a
sheared image, and under NumPy 2 raises AttributeError at any big-endian one. So it is given
dense rows in this machine's byte order, and asked for the colours alone.
"""

import sys
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from cope_ros.input.compressed import decompress, stated_size
from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.encodings import PIXELS, PLANAR, layout_of
from cope_ros.input.image_header import is_compressed

# cv_bridge promises CvBridgeError, a TypeError, and lets through what NumPy, OpenCV and its own
# extension raise. One frame is lost, whatever it is.
DECODING_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, LookupError),
    *(MemoryError, OSError, RuntimeError, TypeError, ValueError, ImportError, cv2.error),
)
PLANAR_CODES = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
LEAST_MOSAIC = 4  # px a side; OpenCV leaves smaller ones black


def rgb_from_image(bridge: Any, message: Any, assumed: str = "") -> np.ndarray:
    """Decodes a sensor_msgs/Image or CompressedImage.

    Args:
        bridge: a ``cv_bridge.CvBridge`` or what has its ``imgmsg_to_cv2``.
        assumed: what images hold whose encoding is a type alone ("8UC3").

    Returns:
        (H, W, 3) uint8 RGB, contiguous; 16-bit images are scaled to full range.

    Raises:
        FrameError: (cause IMAGE) the data cannot be decoded, for whatever reason.
    """
    try:
        if is_compressed(message):
            image = _rgb(bridge, *decompress(message, assumed))
        else:
            image = _decode(bridge, message, assumed)
    except FrameError:
        raise
    except DECODING_ERRORS as error:
        text = f"image: cannot be decoded: {type(error).__name__}: {error}"
        raise FrameError(Cause.IMAGE, text) from error
    return np.require(image, requirements=("C", "W"))


def size_of(image: Any) -> tuple[int, int]:
    """(width, height) px of an image message, without decoding it.

    Raises:
        FrameError: (cause IMAGE) a compressed image without a readable header.
    """
    return stated_size(image) if is_compressed(image) else (image.width, image.height)


def check_image(image: Any, assumed: str = "") -> None:
    """Refuses an image message that cannot be decoded, as far as its header tells.

    Raises:
        FrameError: (cause IMAGE) with what was expected and what was found.
    """
    if is_compressed(image):
        stated_size(image)
    else:
        layout_of(image, assumed)


def _decode(bridge: Any, message: Any, assumed: str) -> np.ndarray:
    layout = layout_of(message, assumed)
    data = np.frombuffer(message.data, dtype=np.uint8).reshape(layout.rows, message.step)
    rows = np.ascontiguousarray(data[:, : layout.row_bytes])
    if layout.encoding in PLANAR:
        return _from_planes(rows, layout.encoding, message.height, message.width)
    pixel = PIXELS[layout.encoding]
    if layout.encoding.endswith("16"):
        rows = rows.view(">u2" if message.is_bigendian else "<u2").astype(np.uint16, copy=False)
    channels = pixel // rows.itemsize
    image = rows.reshape(layout.rows, -1, channels) if channels > 1 else rows
    rgb = _rgb(bridge, image, layout.encoding)
    return rgb[:, : message.width]  # of pairs, an odd width has half of one too many


def _rgb(bridge: Any, image: np.ndarray, encoding: str) -> np.ndarray:
    """Converts (H, W) or (H, W, channels) of uint8 or uint16, in the machine's byte order."""
    if encoding == "rgb8":
        return image
    mosaic = encoding.startswith("bayer") and min(image.shape[:2]) < LEAST_MOSAIC
    if mosaic:  # mirrored about the outermost pixels, so that the pattern goes on
        image = np.pad(image, LEAST_MOSAIC, mode="reflect")
    dense = SimpleNamespace(
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=image[0].nbytes,
        data=np.ascontiguousarray(image).reshape(-1).view(np.uint8),
    )
    rgb: np.ndarray = bridge.imgmsg_to_cv2(dense, desired_encoding="rgb8")
    return rgb[LEAST_MOSAIC:-LEAST_MOSAIC, LEAST_MOSAIC:-LEAST_MOSAIC] if mosaic else rgb


def _from_planes(rows: np.ndarray, encoding: str, height: int, width: int) -> np.ndarray:
    """cv_bridge knows no planes, and OpenCV none of odd size."""
    if height % 2:
        rows = np.concatenate([rows[:height], rows[height - 1 : height], rows[height:]])
    return cv2.cvtColor(rows, PLANAR_CODES[encoding])[:height, :width]
