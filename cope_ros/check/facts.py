"""What is known of a running system. Knows no ROS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TopicFacts:
    """One topic that the node reads, or that it publishes."""

    label: str  # image, camera_info, depth, detections
    name: str  # resolved
    kind: str  # such as sensor_msgs/msg/Image
    reads: bool  # the node does, else it publishes it
    nodes: list[str] = field(default_factory=list)  # of the other side, with their QoS
    qos: str = ""  # of the node's own side
    fault: str | None = None  # why nothing can come
    count: int = 0  # messages that came during the look
    rate: float = 0.0  # Hz
    frame_id: str | None = None  # of the newest message
    size: tuple[int, int] | None = None  # (width, height) px of the newest message
    encoding: str = ""  # of images; the distortion model of camera_info


@dataclass
class Status:
    """One line of the node's own diagnostics."""

    name: str
    level: int  # 0 OK, 1 WARN, 2 ERROR, 3 STALE
    message: str


@dataclass
class Facts:
    """All that was found in ``seconds`` s."""

    wanted: str  # the node that was looked for
    seconds: float
    found: bool = False
    others: list[str] = field(default_factory=list)  # other nodes of this kind
    state: str = ""  # of the lifecycle; "" where the node did not answer
    parameters: dict[str, Any] = field(default_factory=dict)  # that are not at their defaults
    values: dict[str, Any] = field(default_factory=dict)  # all of them, where the node answered
    topics: list[TopicFacts] = field(default_factory=list)
    pairing: str | None = None  # why camera_info does not describe the image
    intrinsics: str | None = None  # why it is of no use
    notes: list[str] = field(default_factory=list)  # what is tolerated in it
    camera: str = ""  # fx, fy, cx, cy and the view
    age: float | None = None  # s, of the newest image by this machine's clock
    tf: str | None = None  # why detections cannot be moved to target_frame, "" where they can
    statuses: list[Status] = field(default_factory=list)
    instances: int | None = None  # in the newest detections
    versions: Mapping[str, str] = field(default_factory=dict)

    def topic(self, label: str) -> TopicFacts | None:
        """The topic of that label, None where the node has none."""
        return next((t for t in self.topics if t.label == label), None)
