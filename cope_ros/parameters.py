"""The node's parameters: one declaration table that reads into one frozen dataclass.

Each field of :class:`Parameters` carries its ROS name, default, description, range and whether
it may change while the node runs. Declaring, describing, validating and reading (see
``parameter_access``) all follow from these fields; nothing else knows a parameter's name.
"""

import math
import re
from dataclasses import dataclass, fields
from typing import Any

from cope_ros.depth_parameters import DepthParameters
from cope_ros.input.encodings import PIXELS
from cope_ros.overrides import ParameterError as ParameterError
from cope_ros.parameter_declaration import Spec, entry, matching, one_of
from cope_ros.tracking import TrackSettings

DEVICE_PATTERN = re.compile(r"auto|cpu|cuda(:\d+)?")
TF_PREFIX_PATTERN = re.compile(r"([A-Za-z0-9_.\-][A-Za-z0-9_.\-/]*)?")

TRACK = TrackSettings()  # the defaults of track.*


@dataclass(frozen=True)
class Parameters(DepthParameters):
    """The node's settings. Lengths in metres, times in seconds."""

    model: str = entry(
        "model", "demo", "Model directory, model.pt inside one, or the name of a bundled model"
    )
    device: str = entry(
        "device",
        "auto",
        "Where the network runs: auto (CUDA if there is any), cpu, cuda or cuda:N",
        check=matching(DEVICE_PATTERN, "auto, cpu, cuda or cuda:N"),
    )
    half: bool = entry("half", False, "Half precision: float16 on CUDA, bfloat16 on CPUs with it")
    image_transport: str = entry(
        "image_transport",
        "raw",
        "raw (sensor_msgs/Image) or compressed (sensor_msgs/CompressedImage)",
        check=one_of("raw", "compressed"),
    )
    image_is_rectified: bool = entry(
        "image_is_rectified",
        True,
        "true: pixels follow P of camera_info; false: undistort with K and D",
    )
    image_encoding: str = entry(
        "image_encoding",
        "",
        "What images hold whose encoding is a type alone: rgb8 or bgr8 for 8UC3, and so on",
        check=one_of("", *PIXELS),
    )
    autostart: bool = entry(
        "autostart", True, "Configure and activate by itself at start-up", at_start=True
    )
    tf_prefix: str = entry(
        "tf.prefix",
        "",
        "Prepended to the name of every TF frame published (one prefix per camera)",
        check=matching(TF_PREFIX_PATTERN, "a TF name without spaces or a leading slash"),
    )
    tf_enable: bool = entry("tf.enable", True, "Publish one TF frame per instance", live=True)
    target_frame: str = entry(
        "target_frame",
        "",
        "TF frame of detections and markers, at the image's stamp; empty: the image's own frame",
        check=matching(TF_PREFIX_PATTERN, "a TF name without spaces or a leading slash"),
    )
    target_frame_timeout: float = entry(
        "target_frame_timeout",
        0.1,
        "Longest wait for the transform to target_frame, s after the estimate; then dropped",
        live=True,
        span=(0.0, 10.0),
    )
    sync_policy: str = entry(
        "sync.policy",
        "latest",
        "exact: camera_info of the image's stamp only; latest: else the newest that fits",
        live=True,
        check=one_of("exact", "latest"),
    )
    sync_any_frame_id: bool = entry(
        "sync.any_frame_id", False, "Take camera_info of another frame_id too", live=True
    )
    score_threshold: float = entry(
        "score_threshold", 0.5, "Least score; unset: the model's own", live=True, span=(0.0, 1.0)
    )
    iou_threshold: float = entry(
        "iou_threshold",
        0.5,
        "Least overlap (IoU of amodal boxes) that makes two hypotheses one instance",
        live=True,
        span=(0.0, 1.0),
    )
    n_hypotheses: int = entry(
        "n_hypotheses", 10, "Most hypotheses averaged per instance", live=True, span=(1, 64)
    )
    max_instances: int = entry(
        "max_instances",
        100,
        "Most instances published per frame, best scores first (the model has its own limit)",
        live=True,
        span=(1, 10000),
    )
    classes: tuple[str, ...] = entry(
        "classes", ("",), "Class ids to detect; empty or [''] means all of the model", live=True
    )
    track_enable: bool = entry(
        "track.enable",
        TRACK.enable,
        "true: an object keeps its id over time; false: ids from left to right, every frame anew",
        live=True,
    )
    track_confirm: int = entry(
        "track.confirm",
        TRACK.confirm,
        "Frames in which an instance must be seen before it is published",
        live=True,
        span=(1, 100),
    )
    track_timeout: float = entry(
        "track.timeout",
        TRACK.timeout,
        "Seconds without a sighting after which an id is given up",
        live=True,
        span=(0.0, 3600.0),
    )
    track_gate_distance: float = entry(
        "track.gate_distance",
        TRACK.gate_distance,
        "Farthest jump of a tracked object between sightings, in diameters, motion apart",
        live=True,
        span=(0.0, 10.0),
    )
    track_gate_rotation: float = entry(
        "track.gate_rotation",
        TRACK.gate_rotation,
        "Largest rotation of a tracked object between sightings in rad, symmetries apart",
        live=True,
        span=(0.0, math.pi),
    )
    mode: str = entry(
        "mode",
        "continuous",
        "continuous: every image; on_demand: one image per call of ~/trigger",
        live=True,
        check=one_of("continuous", "on_demand"),
    )
    max_age: float = entry(
        "max_age",
        0.0,
        "Images older than this many seconds are dropped; 0 = off",
        live=True,
        span=(0.0, 3600.0),
    )
    max_rate: float = entry(
        "max_rate",
        0.0,
        "Most frames processed per second; 0 = no limit",
        live=True,
        span=(0.0, 1e4),
    )

    @property
    def tracking(self) -> TrackSettings:
        """The values of ``track.*``."""
        return TrackSettings(
            **{f.name: getattr(self, f"track_{f.name}") for f in fields(TrackSettings)}
        )

    @property
    def class_ids(self) -> tuple[str, ...]:
        """The classes asked for, empty for all of them."""
        return tuple(c for c in self.classes if c)


def specs() -> tuple[Spec, ...]:
    """The declaration table, in the order of the fields."""
    return tuple(f.metadata["spec"] for f in fields(Parameters))


def defaults() -> dict[str, Any]:
    """The default of every parameter by its name, lists as rclpy holds them."""
    values = ((item.metadata["spec"].name, item.default) for item in fields(Parameters))
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values}
