"""Fills a buffer from /tf and /tf_static, with the interface of ROS 2's tf2_ros."""

from __future__ import annotations

from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from tf2_ros.buffer import Buffer
from tf2_ros.exceptions import InvalidArgumentException

DEPTH = 100


class TransformListener:
    """Two subscriptions of a node, which somebody else spins."""

    def __init__(
        self,
        buffer: Buffer,
        node: Any,
        *,
        qos: QoSProfile | int | None = None,
        static_qos: QoSProfile | int | None = None,
    ) -> None:
        self.buffer = buffer
        self.node = node
        latched = QoSProfile(
            depth=DEPTH,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
            history=HistoryPolicy.KEEP_LAST,
        )
        group = ReentrantCallbackGroup()
        self.tf_sub = node.create_subscription(
            TFMessage, "/tf", self.callback, qos or QoSProfile(depth=DEPTH), callback_group=group
        )
        self.tf_static_sub = node.create_subscription(
            TFMessage, "/tf_static", self.static_callback, static_qos or latched,
            callback_group=group,
        )  # fmt: skip

    def unregister(self) -> None:
        """Ends both subscriptions."""
        self.node.destroy_subscription(self.tf_sub)
        self.node.destroy_subscription(self.tf_static_sub)

    def callback(self, data: TFMessage) -> None:
        """Takes what came on /tf."""
        self._take(data, self.buffer.set_transform)

    def static_callback(self, data: TFMessage) -> None:
        """Takes what came on /tf_static."""
        self._take(data, self.buffer.set_transform_static)

    def _take(self, data: TFMessage, store: Any) -> None:
        for transform in data.transforms:
            try:
                store(transform, "default_authority")
            except (InvalidArgumentException, ValueError) as error:  # ValueError: a negative stamp
                self.node.get_logger().warning(f"transform ignored: {error}")
