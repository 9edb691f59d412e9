"""Message classes of a bag's library that are made like rclpy's: every field has a default."""

from collections.abc import Callable
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from cope_ros.bag.definitions import TF_MESSAGE, VISION_MSGS_ROS1, VISION_MSGS_ROS2

DETECTIONS = "vision_msgs/msg/Detection3DArray"
MARKERS = "visualization_msgs/msg/MarkerArray"
TF = "tf2_msgs/msg/TFMessage"
# What the node's writers of messages make (cope_ros.output).
MADE = {
    "ColorRGBA": "std_msgs/msg/ColorRGBA",
    "Detection3D": "vision_msgs/msg/Detection3D",
    "Detection3DArray": DETECTIONS,
    "Marker": "visualization_msgs/msg/Marker",
    "MarkerArray": MARKERS,
    "ObjectHypothesisWithPose": "vision_msgs/msg/ObjectHypothesisWithPose",
    "Pose": "geometry_msgs/msg/Pose",
    "TFMessage": TF,
    "TransformStamped": "geometry_msgs/msg/TransformStamped",
    "Vector3": "geometry_msgs/msg/Vector3",
}


def output_store(of_bag: Typestore | None, ros2: bool) -> Typestore:
    """The types of what is written, in the bag's own version where it has them."""
    base = get_typestore(Stores.ROS2_JAZZY if ros2 else Stores.ROS1_NOETIC)
    types = dict(base.fielddefs)
    for name, text in (TF_MESSAGE | (VISION_MSGS_ROS2 if ros2 else VISION_MSGS_ROS1)).items():
        types.update(get_types_from_msg(text, name))
    if of_bag is not None:
        types.update(of_bag.fielddefs)
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return store


class MessageTypes:
    """ROS 2's message classes by their short names, for the writers of ``cope_ros.output``.

    ROS 1's messages are filled from the same objects, see :func:`add_ros1_fields`.
    """

    def __init__(self) -> None:
        self._store = output_store(None, ros2=True)
        self._classes: dict[str, Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in MADE:
            raise AttributeError(name)
        return self.named(MADE[name])

    def named(self, msgtype: str) -> Callable[..., Any]:
        """The class of a type such as ``geometry_msgs/msg/Pose``."""
        if msgtype not in self._classes:
            self._classes[msgtype] = self._make(msgtype)
        return self._classes[msgtype]

    def _make(self, msgtype: str) -> Callable[..., Any]:
        constants, members = self._store.fielddefs[msgtype]
        defaults = {name: self._default(kind) for name, kind in members}

        def fill(message: Any, **values: Any) -> None:
            unknown = set(values) - set(defaults)
            if unknown:
                raise TypeError(f"{msgtype} has no field {', '.join(sorted(unknown))}")
            for name, make in defaults.items():
                setattr(message, name, values[name] if name in values else make())

        body = {name: value for name, _, value in constants}
        return type(msgtype.rpartition("/")[2], (), {**body, "__init__": fill})

    def _default(self, kind: Any) -> Callable[[], Any]:
        """Makes a zero, an empty text, an empty list or a message of a field's kind."""
        node, detail = kind
        if node == Nodetype.BASE:
            return {"string": str, "bool": bool}.get(
                detail[0], float if detail[0].startswith("float") else int
            )
        if node == Nodetype.NAME:
            return lambda: self.named(detail)()
        (inner, inner_detail), length = detail
        size = length if node == Nodetype.ARRAY else 0
        if inner == Nodetype.BASE and inner_detail[0] not in ("string", "wstring"):
            dtype = np.dtype(inner_detail[0])
            return lambda: np.zeros(size, dtype)
        if inner == Nodetype.BASE:
            return lambda: [""] * size
        return lambda: [self.named(inner_detail)() for _ in range(size)]


def add_ros1_fields(detections: Any, obj_ids: dict[str, int], store: Typestore) -> None:
    """Gives detections, in place, what ROS 1's vision_msgs has and ROS 2's has not.

    Args:
        obj_ids: number of each class_id; ROS 1 has no names for classes.
    """
    header = detections.header
    Cloud = store.types["sensor_msgs/msg/PointCloud2"]
    empty = np.zeros(0, np.uint8)
    cloud = Cloud(header, 0, 0, [], False, 0, 0, empty, False)
    for detection in detections.detections:
        detection.source_cloud = cloud
        for result in detection.results:
            result.id = obj_ids[result.hypothesis.class_id]
            result.score = result.hypothesis.score
