"""What is wrong with a frame: the causes of a drop, and the check of a raw image message."""

from enum import Enum
from typing import Any

from cope_ros.core.errors import CopeError

# Bytes per pixel of the encodings that cv_bridge turns into colour
# (names: sensor_msgs/image_encodings.hpp).
ENCODINGS = {
    "rgb8": 3,
    "bgr8": 3,
    "rgba8": 4,
    "bgra8": 4,
    "mono8": 1,
    "mono16": 2,
    "bayer_rggb8": 1,
    "bayer_bggr8": 1,
    "bayer_gbrg8": 1,
    "bayer_grbg8": 1,
    "yuv422": 2,
    "yuv422_yuy2": 2,
    "uyvy": 2,
    "yuyv": 2,
}
# Chroma is shared by pairs of columns, colour filters repeat every two rows and columns.
EVEN_WIDTH = ("yuv422", "yuv422_yuy2", "uyvy", "yuyv")
MAX_SIDE = 16384  # px; no camera is larger, and a corrupt header often claims to be


class Cause(str, Enum):
    """Why a frame was not processed."""

    SUPERSEDED = "superseded"  # a newer one came before the estimator was free
    IMAGE = "image"  # malformed or undecodable
    NO_CAMERA_INFO = "no_camera_info"
    UNPAIRED = "unpaired"  # sync.policy exact: no camera_info of this stamp
    FRAME_ID = "frame_id"  # camera_info speaks of another camera
    SIZE = "size"  # camera_info speaks of another image size
    INTRINSICS = "intrinsics"  # camera_info without a usable K, P or D
    AGE = "age"  # older than max_age
    ESTIMATE = "estimate"  # the estimator refused or failed
    TRANSFORM = "transform"  # no way from the image's frame to target_frame at its stamp
    DISABLED = "disabled"  # ~/enable said so
    NOT_TRIGGERED = "not_triggered"  # mode on_demand, and nobody asked


class FrameError(CopeError):
    """One frame cannot be processed; the next one may be fine."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def check_image(image: Any) -> None:
    """Refuses a sensor_msgs/Image whose fields contradict each other.

    Raises:
        FrameError: (cause IMAGE) with what was expected and what was found.
    """
    width, height, step = image.width, image.height, image.step
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        _refuse(f"expected a size of 1 to {MAX_SIDE} px a side, got {width}x{height}")
    if image.encoding not in ENCODINGS:
        known = ", ".join(ENCODINGS)
        _refuse(f"expected an encoding out of {known}; got '{image.encoding[:40]}'")
    least = width * ENCODINGS[image.encoding]
    if step < least:
        _refuse(f"expected step >= {least} for {width} px of {image.encoding}, got {step}")
    if len(image.data) != step * height:
        _refuse(f"expected {step}*{height} = {step * height} bytes of data, got {len(image.data)}")
    if image.encoding in EVEN_WIDTH and width % 2:
        _refuse(f"expected an even width for {image.encoding}, got {width}")
    if image.encoding.startswith("bayer") and min(width, height) < 2:
        _refuse(f"expected at least 2x2 px for {image.encoding}, got {width}x{height}")
    if image.encoding == "mono16" and step % 2:
        _refuse(f"expected an even step for mono16, got {step}")


def _refuse(message: str) -> None:
    raise FrameError(Cause.IMAGE, f"image: {message}")
