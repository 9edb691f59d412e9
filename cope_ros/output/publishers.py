"""The node's publishers: detections, transforms, the vision information, and the views."""

from pathlib import Path
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header
from tf2_ros import TransformBroadcaster
from vision_msgs.msg import Detection3DArray, VisionInfo

from cope_ros.core.catalogue import Catalogue
from cope_ros.output.target_frame import Placed, TargetFrame, in_place
from cope_ros.output.visualization import Views
from cope_ros.qos import overridable


def latched() -> QoSProfile:
    """Reliable, the last message kept for late subscribers."""
    return QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Outputs:
    """Everything the node publishes of frames; exists from configure to cleanup.

    Attributes:
        views: markers and the debug image.
    """

    def __init__(
        self, node: LifecycleNode, catalogue: Catalogue, model: Path, target_frame: str
    ) -> None:
        """Creates the publishers.

        Args:
            model: the model's directory or file.
            target_frame: of detections and markers, "" for the images' own.

        Raises:
            RuntimeError: a refused QoS override.
        """
        self._node = node
        self._detections = node.create_publisher(
            Detection3DArray,
            "~/detections",
            QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE),
            qos_overriding_options=overridable(),
        )
        self._vision_info = node.create_publisher(VisionInfo, "~/vision_info", latched())
        self._broadcaster = TransformBroadcaster(node)
        self._target = TargetFrame(node, target_frame) if target_frame else None
        self.views = Views(node, catalogue, model)

    def send_transforms(self, transforms: list[TransformStamped]) -> None:
        """Sends the transforms of one frame as one batch."""
        # tf2 refuses a transform without a parent.
        if transforms and transforms[0].header.frame_id:
            self._broadcaster.sendTransform(transforms)

    def place(self, header: Header, estimate: Any, timeout: float) -> Placed:
        """The estimate in the target frame at the image's stamp; waits at most ``timeout`` s.

        Raises:
            FrameError: (cause TRANSFORM) there is no such transform.
        """
        if self._target is None:
            return in_place(header, estimate)
        return self._target.place(header, estimate, timeout)

    def publish(self, detections: Detection3DArray) -> None:
        """Sends the detections of one frame."""
        self._detections.publish(detections)

    def subscribers(self) -> dict[str, int]:
        """How many listen, by topic."""
        return {
            "detections": self._detections.get_subscription_count(),
            "tf": self._broadcaster.pub_tf.get_subscription_count(),
            **self.views.subscribers(),
        }

    def publish_vision_info(self, metadata: dict[str, Any], database: str) -> None:
        """Latches what the model is and where the description of its objects lies."""
        message = VisionInfo(header=Header(stamp=self._node.get_clock().now().to_msg()))
        message.method = f"COPE {metadata.get('preset', '')}".strip()
        message.database_location = database
        self._vision_info.publish(message)

    def destroy(self) -> None:
        """Takes the publishers off the graph."""
        self.views.destroy()
        if self._target is not None:
            self._target.destroy()
        for publisher in (self._detections, self._vision_info, self._broadcaster.pub_tf):
            self._node.destroy_publisher(publisher)
