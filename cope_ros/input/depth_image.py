"""Depth images: checked, decoded to metres, and the camera of their pixels. Knows no ROS.

Encodings by REP 118: 16UC1 in millimetres, 32FC1 in metres; zero, NaN and infinity mean unknown.
"""

import math
from enum import Enum
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_ros.core.measured_depth import is_credible_depth, median_depth
from cope_ros.input.drops import MAX_SIDE, FrameError
from cope_ros.input.intrinsics import Camera, camera_from_info

TYPES = {"16UC1": ("u2", 1e-3), "32FC1": ("f4", 1.0)}  # NumPy's name, m per unit
SAME_SHAPE = 0.01  # relative difference of width : height up to which fields of view are alike


class Fault(str, Enum):
    """Why a depth image is of no use for a frame."""

    UNMATCHED = "unmatched"  # none within depth.max_difference
    MALFORMED = "malformed"  # wrong encoding, or fields that contradict each other
    FRAME_ID = "frame_id"  # not registered to the colour camera
    SIZE = "size"  # of another shape than the colour image, and no camera_info of its own
    INTRINSICS = "intrinsics"  # its camera_info is unusable
    EMPTY = "empty"  # no pixel has a depth
    UNIT = "unit"  # millimetres where metres belong, or the other way round


class DepthError(CopeError):
    """A depth image cannot be used; the frame may go on without."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(f"depth: {message}")
        self.fault = fault


def check_depth(message: Any) -> None:
    """Refuses a sensor_msgs/Image that is no depth image or whose fields contradict each other.

    Raises:
        DepthError: (fault MALFORMED) with what was expected and what was found.
    """
    width, height, step = message.width, message.height, message.step
    if message.encoding not in TYPES:
        text = f"expected encoding 16UC1 (mm) or 32FC1 (m), got '{message.encoding[:40]}'"
        raise DepthError(Fault.MALFORMED, text)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        text = f"expected a size of 1 to {MAX_SIDE} px a side, got {width}x{height}"
        raise DepthError(Fault.MALFORMED, text)
    least = width * np.dtype(TYPES[message.encoding][0]).itemsize
    if step < least or len(message.data) != step * height:
        text = f"expected {height} rows of at least {least} bytes for {message.encoding}"
        text += f", got step {step} and {len(message.data)} bytes"
        raise DepthError(Fault.MALFORMED, text)


def check_registered(depth: Any, image: Any) -> None:
    """Refuses depth that was measured from another place than the colour image.

    A frame_id that is empty in one of the two, or has a leading slash as in ROS 1, is no
    contradiction.

    Raises:
        DepthError: (fault FRAME_ID).
    """
    expected, got = image.header.frame_id, depth.header.frame_id
    if _differ(expected, got):
        text = f"expected frame_id '{expected[:80]}' (the image's), got '{got[:80]}': it is not "
        text += "registered to the colour camera; take the driver's aligned depth topic"
        raise DepthError(Fault.FRAME_ID, text)


def _differ(first: str, second: str) -> bool:
    first, second = first.lstrip("/"), second.lstrip("/")
    return bool(first and second and first != second)


def meters(message: Any) -> np.ndarray:
    """(H, W) float32 m of a message that has passed ``check_depth``, 0 where unknown."""
    name, unit = TYPES[message.encoding]
    dtype = np.dtype(name).newbyteorder(">" if message.is_bigendian else "<")
    data = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    rows = np.ascontiguousarray(data[:, : message.width * dtype.itemsize]).view(dtype)
    depth = rows.astype(np.float32)
    if dtype.kind == "u":
        return depth * np.float32(unit)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0.0))


def check_credible(depth: np.ndarray, encoding: str) -> None:
    """Refuses a depth image in which nothing was measured, or in a unit that cannot be.

    Args:
        depth: (H, W) m, 0 where unknown.

    Raises:
        DepthError: (faults EMPTY, UNIT).
    """
    middle = median_depth(depth)
    if math.isnan(middle):
        text = "expected distances, all {}x{} px are zero or not finite"
        raise DepthError(Fault.EMPTY, text.format(*depth.shape[::-1]))
    if not is_credible_depth(middle):
        name = "mm" if encoding == "16UC1" else "m"
        likely = {("mm", True): "metres", ("m", False): "millimetres"}
        other = likely.get((name, middle < 1), "another unit")
        unit = TYPES[encoding][1]
        text = f"expected {encoding} in {name}, the median of its values is {middle / unit:.4g}"
        raise DepthError(Fault.UNIT, f"{text}: {other}, it seems")


def depth_camera(depth: Any, info: Any | None, color: Camera, rectified: bool) -> Camera:
    """The camera of a depth image's pixels.

    Args:
        depth: the message.
        info: its own camera_info; without one it has the colour camera's field of view.
        color: the colour camera; a lens that is distorted is so for both.
        rectified: whether the depth image is rectified already.

    Raises:
        DepthError: (faults INTRINSICS, SIZE) it follows from neither.
    """
    size = depth.width, depth.height
    if info is not None:
        if _differ(info.header.frame_id, depth.header.frame_id):
            text = f"expected depth_camera_info of frame_id '{depth.header.frame_id[:80]}'"
            raise DepthError(Fault.INTRINSICS, f"{text}, got '{info.header.frame_id[:80]}'")
        try:
            return camera_from_info(info, rectified, size)
        except FrameError as error:
            raise DepthError(Fault.INTRINSICS, f"depth_{error}") from error
    x, y = size[0] / color.size[0], size[1] / color.size[1]
    if abs(x / y - 1.0) > SAME_SHAPE:
        text = "expected the shape of the image, {}x{}, got {}x{}; a depth_camera_info would tell"
        raise DepthError(Fault.SIZE, text.format(*color.size, *size))
    K = color.K.copy()
    for row, factor in enumerate((x, y)):
        K[row, :2] *= factor
        K[row, 2] = (color.K[row, 2] + 0.5) * factor - 0.5
    return Camera(K, size, color.distortion, color.fisheye)
