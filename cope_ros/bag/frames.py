"""A recorded image through the node's own processing: pixels, intrinsics, instances, ids."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cope_ros.bag.decoding import BagBridge
from cope_ros.core.deployment.preprocessing import DepthImage
from cope_ros.frame import FrameEstimator, Instances
from cope_ros.input.decoding import check_image, rgb_from_image, size_of
from cope_ros.input.depth_image import DepthError
from cope_ros.input.depth_pairing import DepthPair
from cope_ros.input.intrinsics import Camera, camera_from_info
from cope_ros.tracking import FrameTime, Tracker, TrackSettings

SECOND = 1_000_000_000  # ns
MAX_INSTANCES = 100  # as the node's max_instances


@dataclass(frozen=True)
class PosedFrame:
    """One processed image."""

    time: int  # ns, when it was recorded
    stamp: int  # ns, of its header; the time of recording where the header has none
    header: Any
    image: np.ndarray  # (H, W, 3) uint8 RGB, rectified
    K: np.ndarray  # (3, 3) px, of that image
    found: Instances
    depth: DepthPair | DepthError | None = None  # or why it was of no use; None for none


class Intrinsics:
    """The camera_info of each image: that of its stamp, else the last one before it.

    Only changes are kept, so that hours of equal messages take no memory.
    """

    def __init__(self, infos: Iterable[tuple[int, Any]]) -> None:
        """``infos``: (ns, sensor_msgs/CameraInfo), in any order."""
        self._times: list[int] = []
        self._infos: list[Any] = []
        last = None
        for time, info in sorted(infos, key=lambda item: item[0]):
            content = contents_of(info)
            if content != last:
                self._times.append(time)
                self._infos.append(info)
                last = content

    def __len__(self) -> int:
        """How many different ones there are."""
        return len(self._infos)

    def at(self, stamp: int) -> Any:
        """The camera_info of an image of ``stamp`` (ns); the first one where none is older."""
        return self._infos[max(bisect_right(self._times, stamp) - 1, 0)]


def contents_of(info: Any) -> tuple[Any, ...]:
    """What a camera_info says of the camera."""
    roi = info.roi
    numbers = (tuple(np.asarray(getattr(info, name)).tolist()) for name in ("d", "k", "p"))
    sizes = (info.width, info.height, info.binning_x, info.binning_y)
    return (*numbers, *sizes, roi.x_offset, roi.y_offset, roi.width, roi.height,
            info.distortion_model)  # fmt: skip


def stamp_of(message: Any, recorded: int) -> int:
    """A message's stamp in ns; the time of recording where a driver left it at zero."""
    stamp = message.header.stamp
    return int(stamp.sec) * SECOND + int(stamp.nanosec) or recorded


class FrameReader:
    """Turns the messages of one image topic into poses."""

    def __init__(self, estimator: Any, intrinsics: Intrinsics, rectified: bool) -> None:
        """``rectified``: the node's parameter ``image_is_rectified``."""
        self._frames = FrameEstimator(estimator, Tracker(estimator.catalogue))
        self._intrinsics = intrinsics
        self._rectified = rectified
        self._settings = TrackSettings()
        self._bridge = BagBridge()
        self.notes: dict[str, str] = {}  # what was tolerated in camera_info, by key

    def read(
        self, time: int, message: Any, depth: DepthPair | DepthError | None = None
    ) -> PosedFrame:
        """Processes one image.

        Args:
            time: ns, of recording.
            depth: of the image, or why there is none.

        Raises:
            FrameError: the image or its intrinsics cannot be used.
        """
        stamp = stamp_of(message, time)
        info = self._intrinsics.at(stamp)
        check_image(message)
        camera = camera_from_info(info, self._rectified, size_of(message))
        self.notes |= {note.key: note.text for note in camera.notes}
        image = self._frames.rectify(rgb_from_image(self._bridge, message), camera)
        depth, measured = self._measured(depth, camera)
        estimate = self._frames.estimate(image, camera.K, measured)
        taken = FrameTime(stamp / SECOND, time / SECOND)
        found = self._frames.number(taken, estimate, MAX_INSTANCES, self._settings, "")
        if found.moment.by_arrival:
            self.notes["stamps"] = "stamps of the images do not advance: ids follow the recording's"
        return PosedFrame(time, stamp, message.header, image, camera.K, found, depth)

    def _measured(
        self, depth: DepthPair | DepthError | None, camera: Camera
    ) -> tuple[DepthPair | DepthError | None, DepthImage | None]:
        """Depth in metres where it can be used, else None beside the reason."""
        if not isinstance(depth, DepthPair):
            return depth, None
        try:
            return depth, self._frames.depth(depth, camera, self._rectified)
        except DepthError as error:
            return error, None
