"""Where the poses of a recorded bag go: messages, a table, a video."""

import csv
from pathlib import Path
from typing import Any, Protocol

import cv2
import imageio_ffmpeg
import numpy as np

from cope_ros.bag.frames import SECOND, PosedFrame
from cope_ros.bag.types import DETECTIONS, MARKERS, TF, MessageTypes, add_ros1_fields
from cope_ros.bag.writing import BagCopy
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.output.debug_image import draw_instances
from cope_ros.output.markers import MarkerWriter
from cope_ros.output.messages import MessageWriter, quaternions_from_matrices

TF_TOPIC = "/tf"
COLUMNS = (
    *("time", "frame_id", "class_id", "id", "score", "x", "y", "z", "qx", "qy", "qz", "qw"),
    *("sigma_x", "sigma_y", "sigma_z", "sigma_rx", "sigma_ry", "sigma_rz", "depth_share"),
)
QUALITY = 7  # of 10, imageio-ffmpeg's scale


class Sink(Protocol):
    """Takes the processed frames one by one."""

    def add(self, frame: PosedFrame) -> None:
        """Takes a frame."""

    def close(self) -> None:
        """Finishes what was written."""


class MessageSink:
    """Writes detections, TF and markers into the bag, at the time the image was recorded."""

    def __init__(self, bag: BagCopy, catalogue: Catalogue, model: Path, ros2: bool) -> None:
        self._bag = bag
        self._types = MessageTypes()
        self._writer = MessageWriter(catalogue, self._types)
        self._markers = MarkerWriter(catalogue, model, self._types)
        self._catalogue = catalogue
        self._ros2 = ros2

    def add(self, frame: PosedFrame) -> None:
        """Writes a frame's messages: transforms first, as the node sends them."""
        found, time = frame.found, frame.time
        detections = self._writer.detections(frame.header, found.estimate, found.ids)
        transforms = self._writer.transforms(frame.header, found.estimate, found.ids)
        if transforms and frame.header.frame_id:  # tf2 refuses a transform without a parent
            self._bag.add(TF_TOPIC, TF, time, self._types.TFMessage(transforms=transforms))
        if not self._ros2:
            numbers = {item.class_id: item.obj_id for item in self._catalogue}
            add_ros1_fields(detections, numbers, self._bag.store)
        self._bag.add("/cope/detections", DETECTIONS, time, detections)
        labels = labels_of(frame, self._catalogue)
        slots = found.slots.tolist()
        array = self._markers.write(frame.header, found.estimate, slots, labels)
        self._bag.add("/cope/markers", MARKERS, time, array)

    def close(self) -> None:
        """Nothing to do: the bag is closed by its owner."""


class TableSink:
    """Writes a CSV file with a line per instance: metres, radians, standard deviations.

    ``depth_share``: how much of the surface depth confirms, 0 where the pose is the image's alone.
    """

    def __init__(self, path: Path, catalogue: Catalogue) -> None:
        self._names = catalogue.class_ids
        self._file = path.open("w", newline="", encoding="utf-8")
        self._table = csv.writer(self._file)
        self._table.writerow(COLUMNS)

    def add(self, frame: PosedFrame) -> None:
        """Writes a frame's instances."""
        estimate = frame.found.estimate
        sigma = np.sqrt(np.maximum(np.diagonal(estimate.covariance, axis1=1, axis2=2), 0))
        time = f"{frame.stamp // SECOND}.{frame.stamp % SECOND:09d}"
        turns = quaternions_from_matrices(estimate.R)
        for row, name in enumerate(frame.found.ids):
            numbers = [*estimate.t[row], *turns[row], *sigma[row], estimate.depth_share[row]]
            score = f"{estimate.score[row]:.4f}"
            class_id = self._names[int(estimate.class_index[row])]
            shown = [f"{value:.6f}" for value in numbers]
            self._table.writerow([time, frame.header.frame_id, class_id, name, score, *shown])

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class VideoSink:
    """Writes overlays with the ids as H.264 in an MP4 file (imageio-ffmpeg's ffmpeg)."""

    def __init__(self, path: Path, catalogue: Catalogue, rate: float) -> None:
        """``rate``: frames per second."""
        self._path = path
        self._catalogue = catalogue
        self._rate = rate
        self._size: tuple[int, int] | None = None
        self._ffmpeg: Any = None

    def add(self, frame: PosedFrame) -> None:
        """Draws a frame; pictures of another size than the first are scaled to it.

        Raises:
            CopeError: the video cannot be written.
        """
        labels = labels_of(frame, self._catalogue)
        estimate = frame.found.estimate
        drawn = draw_instances(frame.image, frame.K, estimate, self._catalogue, labels)
        if self._size is None:
            self._start(drawn.shape)
        assert self._size is not None
        if drawn.shape[1::-1] != self._size:
            drawn = cv2.resize(drawn, self._size, interpolation=cv2.INTER_AREA)
        try:
            self._ffmpeg.send(np.ascontiguousarray(drawn))
        except OSError as error:
            raise CopeError(f"{self._path}: the video cannot be written ({error})") from error

    def _start(self, shape: tuple[int, ...]) -> None:
        # H.264 halves both sides for its colours.
        self._size = shape[1] // 2 * 2, shape[0] // 2 * 2
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._ffmpeg = imageio_ffmpeg.write_frames(
            str(self._path), self._size, fps=self._rate, quality=QUALITY, macro_block_size=2,
            ffmpeg_log_level="error",
        )  # fmt: skip
        self._ffmpeg.send(None)

    def close(self) -> None:
        """Ends the file."""
        if self._ffmpeg is not None:
            self._ffmpeg.close()


def labels_of(frame: PosedFrame, catalogue: Catalogue) -> list[str]:
    """What is written beside each instance: class, id and score."""
    estimate, slots = frame.found.estimate, frame.found.slots.tolist()
    rows = zip(estimate.class_index.tolist(), slots, estimate.score.tolist(), strict=True)
    return [f"{catalogue.class_ids[index]} {slot} {score:.2f}" for index, slot, score in rows]
