"""What is wrong with a frame: the causes of a drop."""

from enum import Enum

from cope_ros.core.errors import CopeError

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
    DEPTH = "depth"  # depth.mode required: no depth image that could be used
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
