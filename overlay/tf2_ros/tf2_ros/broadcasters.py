"""Broadcasters with the interface of ROS 2's tf2_ros: transforms out, on /tf and /tf_static."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from tf2_msgs.msg import TFMessage


class _Broadcaster:
    """Publishes lists of transforms on one topic."""

    def __init__(self, node: Any, topic: str, qos: QoSProfile | int) -> None:
        self.pub_tf = node.create_publisher(TFMessage, topic, qos)

    def sendTransform(  # the name is upstream's
        self, transform: TransformStamped | Iterable[TransformStamped]
    ) -> None:
        """Publish one transform, or several as one message."""
        single = isinstance(transform, TransformStamped)
        self.pub_tf.publish(TFMessage(transforms=[transform] if single else list(transform)))


class TransformBroadcaster(_Broadcaster):
    """Sends changing transforms on /tf (reliable, volatile, the last 100 kept)."""

    def __init__(self, node: Any, qos: QoSProfile | int | None = None) -> None:
        super().__init__(node, "/tf", QoSProfile(depth=100) if qos is None else qos)


class StaticTransformBroadcaster(_Broadcaster):
    """Sends constant transforms on /tf_static, which late subscribers still receive."""

    def __init__(self, node: Any, qos: QoSProfile | int | None = None) -> None:
        latched = QoSProfile(
            depth=1,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
            history=HistoryPolicy.KEEP_LAST,
        )
        super().__init__(node, "/tf_static", latched if qos is None else qos)
