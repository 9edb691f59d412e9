"""What the processes of the demonstration share: topics, images sent, detections received."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE = 10.0  # Hz of the camera
IMAGE_TOPIC = "/camera/image_rect"
INFO_TOPIC = "/camera/camera_info"
DETECTIONS_TOPIC = "/cope/detections"
DIAGNOSTICS_TOPIC = "/diagnostics"
# Gray images in this frame, whose answer tells the listener that everything is connected. DDS
# has no other sign: the far ends of two matches may hear of them seconds after this one.
PROBE_FRAME = "probe"


@dataclass(frozen=True)
class Pose:
    """One detection: an instance with its pose in the camera's optical frame."""

    class_id: str
    track_id: str  # the detection's id, which is also its TF frame
    score: float  # in [0, 1]
    T_cam_obj: np.ndarray  # (4, 4) float64, m
    covariance: np.ndarray | None = None  # (6, 6) float64, REP-103 order


@dataclass(frozen=True)
class Processed:
    """One message of the node: everything it found in one image."""

    stamp: int  # ns, the image's
    latency: float  # ms, from the image's stamp to the arrival of the detections
    poses: tuple[Pose, ...]


@dataclass(frozen=True)
class Shot:
    """One published image: its index in the folder's list and the stamp it got."""

    index: int
    stamp: int  # ns

    @staticmethod
    def read_log(path: Path) -> "list[Shot]":
        """Reads what ``write_log`` wrote."""
        return [Shot(index, stamp) for index, stamp in json.loads(path.read_text())]

    @staticmethod
    def write_log(path: Path, shots: "Sequence[Shot]") -> None:
        """Writes all at once: the file's existence tells the listener that the camera is done."""
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps([[shot.index, shot.stamp] for shot in shots]))
        draft.replace(path)
