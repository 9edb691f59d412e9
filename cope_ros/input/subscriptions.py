"""The node's subscriptions: images and camera_info into the mailbox."""

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cope_ros.control import Control
from cope_ros.diagnostics.counters import FrameCounters
from cope_ros.input import topics
from cope_ros.input.drops import FrameError, check_image
from cope_ros.input.image_header import encoded_size
from cope_ros.input.mailbox import Mailbox
from cope_ros.qos import overridable

IMAGE_DEPTH, INFO_DEPTH = 1, 10


class Inputs:
    """Subscribed from activation to deactivation."""

    def __init__(
        self,
        node: Node,
        compressed: bool,
        mailbox: Mailbox,
        control: Control,
        counters: FrameCounters,
    ) -> None:
        """Subscribes.

        Raises:
            RuntimeError: a refused QoS override.
        """
        self._node = node
        self._compressed = compressed
        self._mailbox = mailbox
        self._control = control
        self._counters = counters
        self.subscriptions: list[Subscription] = []
        image_topic, info_topic = topics.input_topics(node, compressed)
        kind = CompressedImage if compressed else Image
        try:
            self._subscribe(kind, image_topic, self._put_image, IMAGE_DEPTH)
            self._subscribe(CameraInfo, info_topic, self._put_info, INFO_DEPTH)
        except RuntimeError:
            self.destroy()
            raise

    @property
    def image_topic(self) -> str:
        """Resolved."""
        return str(self.subscriptions[0].topic_name)

    @property
    def names(self) -> str:
        """Both topics, for the log."""
        return " and ".join(subscription.topic_name for subscription in self.subscriptions)

    def destroy(self) -> None:
        """Unsubscribes."""
        for subscription in self.subscriptions:
            self._node.destroy_subscription(subscription)
        self.subscriptions = []

    def _subscribe(
        self, kind: Any, topic: str, callback: Callable[[Any], None], depth: int
    ) -> None:
        qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.subscriptions.append(
            self._node.create_subscription(
                kind, topic, callback, qos, qos_overriding_options=overridable()
            )
        )

    def _put_image(self, message: Image | CompressedImage) -> None:
        self._counters.count_received(message.header.frame_id)
        try:
            self._control.admit()
            if self._compressed:
                encoded_size(message.data)
            else:
                check_image(message)
            self._mailbox.put_image(message)
        except FrameError as error:
            self._counters.count_dropped(error)

    def _put_info(self, message: CameraInfo) -> None:
        self._counters.count_info()
        self._mailbox.put_info(message)
