"""The overlay's broadcasters over real DDS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

rclpy = pytest.importorskip("rclpy", reason="broadcasters need rclpy")

from geometry_msgs.msg import TransformStamped  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster  # noqa: E402

TIMEOUT = 10.0  # s; discovery on a busy machine takes up to a few


@pytest.fixture
def pair() -> Iterator[tuple]:
    """Two nodes (sender, receiver) and the executor that spins them."""
    context = rclpy.Context()
    rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    nodes = [rclpy.create_node(name, context=context) for name in ("sender", "receiver")]
    for node in nodes:
        executor.add_node(node)
    yield (*nodes, executor)
    executor.shutdown()
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def spin_until(executor: SingleThreadedExecutor, done: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not done():
        assert time.monotonic() < end, "nothing arrived"
        executor.spin_once(timeout_sec=0.05)


def transform(child: str) -> TransformStamped:
    stamped = TransformStamped()
    stamped.header.frame_id = "camera"
    stamped.child_frame_id = child
    stamped.transform.translation.z = 0.5
    return stamped


def children(messages: list[TFMessage]) -> list[list[str]]:
    return [[t.child_frame_id for t in message.transforms] for message in messages]


def test_one_and_several_transforms_are_one_message_each(pair: tuple) -> None:
    sender, receiver, executor = pair
    received: list[TFMessage] = []
    receiver.create_subscription(TFMessage, "/tf", received.append, 10)
    broadcaster = TransformBroadcaster(sender)
    spin_until(executor, lambda: sender.count_subscribers("/tf") == 1)
    spin_until(executor, lambda: receiver.count_publishers("/tf") == 1)
    broadcaster.sendTransform(transform("one"))
    broadcaster.sendTransform(transform(c) for c in ("two", "three"))
    spin_until(executor, lambda: len(received) == 2)
    assert children(received) == [["one"], ["two", "three"]]
    assert received[0].transforms[0].header.frame_id == "camera"
    assert received[0].transforms[0].transform.translation.z == 0.5


def test_static_transforms_reach_late_subscribers(pair: tuple) -> None:
    sender, receiver, executor = pair
    StaticTransformBroadcaster(sender).sendTransform([transform("mount")])
    received: list[TFMessage] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    receiver.create_subscription(TFMessage, "/tf_static", received.append, latched)
    spin_until(executor, lambda: bool(received))
    assert children(received) == [["mount"]]
