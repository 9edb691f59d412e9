"""The node's subscriptions: images, camera_info and depth into the mailbox.

camera_info is subscribed to as a stream. Some drivers send it once and keep it for those that come
later (transient local); where such a publisher appears, a second subscription takes that. It is not
made before, since every other driver would warn of incompatible QoS.
"""

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cope_ros.control import Control
from cope_ros.diagnostics.connections import keeps
from cope_ros.diagnostics.counters import FrameCounters
from cope_ros.diagnostics.depth_counters import DepthCounters
from cope_ros.input import topics
from cope_ros.input.compressed_depth import check_depth_header
from cope_ros.input.decoding import check_image
from cope_ros.input.depth_image import DepthError
from cope_ros.input.drops import FrameError
from cope_ros.input.mailbox import Mailbox
from cope_ros.parameters import Parameters
from cope_ros.qos import overridable

IMAGE_DEPTH, INFO_DEPTH = 1, 10
LOOK = 0.5  # s between two looks for publishers that keep camera_info


class Inputs:
    """Subscribed from activation to deactivation."""

    def __init__(
        self,
        node: Node,
        parameters: Callable[[], Parameters],
        mailbox: Mailbox,
        control: Control,
        counters: FrameCounters,
        depth: DepthCounters | None = None,
    ) -> None:
        """Subscribes.

        Args:
            parameters: the current ones.
            depth: counts depth images; without it none are subscribed to.

        Raises:
            RuntimeError: a refused QoS override.
        """
        self._node = node
        self._parameters = parameters
        self._mailbox = mailbox
        self._control = control
        self._counters = counters
        self._depth = depth
        self.subscriptions: list[Subscription] = []
        self._kept: dict[str, Subscription] = {}  # of what publishers keep, by topic
        self._latecomers: dict[str, Callable[[Any], None]] = {}  # where that is looked for
        self._timer = node.create_timer(
            LOOK, self._look_for_kept, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._streams = False  # whether camera_info came as a stream
        wanted = topics.input_topics(node, parameters().image_transport == topics.COMPRESSED)
        kind = CompressedImage if wanted.compressed else Image
        try:
            self._subscribe(kind, wanted.image, self._put_image, IMAGE_DEPTH)
            self._subscribe(CameraInfo, wanted.info, self._put_info, INFO_DEPTH)
            self._latecomers[wanted.info] = self._put_kept_info
            if depth is not None:
                packed = node.resolve_topic_name(topics.DEPTH).endswith(topics.COMPRESSED_DEPTH)
                kind = CompressedImage if packed else Image
                self._subscribe(kind, topics.DEPTH, self._put_depth, IMAGE_DEPTH)
                self._subscribe(CameraInfo, topics.DEPTH_INFO, mailbox.put_depth_info, INFO_DEPTH)
                info = node.resolve_topic_name(topics.DEPTH_INFO)
                self._latecomers[info] = mailbox.put_depth_info
        except RuntimeError:
            self.destroy()
            raise

    @property
    def image_topic(self) -> str:
        """Resolved."""
        return str(self.subscriptions[0].topic_name)

    @property
    def names(self) -> str:
        """All topics, for the log."""
        return " and ".join(subscription.topic_name for subscription in self.subscriptions)

    def destroy(self) -> None:
        """Unsubscribes."""
        self._node.destroy_timer(self._timer)
        for subscription in [*self.subscriptions, *self._kept.values()]:
            self._node.destroy_subscription(subscription)
        self.subscriptions, self._kept = [], {}

    def _subscribe(
        self, kind: Any, topic: str, callback: Callable[[Any], None], depth: int
    ) -> None:
        qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.subscriptions.append(
            self._node.create_subscription(
                kind, topic, callback, qos, qos_overriding_options=overridable()
            )
        )

    def _look_for_kept(self) -> None:
        for topic, callback in self._latecomers.items():
            publishers = self._node.get_publishers_info_by_topic(topic)
            if topic not in self._kept and keeps(publishers):
                self._subscribe_kept(topic, callback)

    def _subscribe_kept(self, topic: str, callback: Callable[[Any], None]) -> None:
        qos = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        self._kept[topic] = self._node.create_subscription(CameraInfo, topic, callback, qos)

    def _put_image(self, message: Image | CompressedImage) -> None:
        self._counters.count_received(message.header.frame_id)
        try:
            self._control.admit()
            check_image(message, self._parameters().image_encoding)
            self._mailbox.put_image(message)
        except FrameError as error:
            self._counters.count_dropped(error)

    def _put_info(self, message: CameraInfo) -> None:
        self._streams = True
        self._counters.count_info()
        self._mailbox.put_info(message)

    def _put_kept_info(self, message: CameraInfo) -> None:
        if not self._streams:  # those of a stream come here too
            self._counters.count_info()
        self._mailbox.put_info(message)

    def _put_depth(self, message: Image | CompressedImage) -> None:
        assert self._depth is not None
        self._depth.count_received()
        try:
            check_depth_header(message)
            self._mailbox.put_depth(message)
        except DepthError as error:
            self._depth.count_fault(error)
