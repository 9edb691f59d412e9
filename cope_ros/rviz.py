"""``cope_rviz``: RViz with the camera's frame as its fixed one, read off the first camera_info.

Takes rviz2's arguments and the node's remappings; becomes rviz2 as soon as the frame is known.
"""

import os
import sys
from functools import partial
from pathlib import Path

import rclpy
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo

from cope_ros.input.topics import input_topics
from cope_ros.stopping import Stopper

PATIENCE = 5.0  # s until the console says what is waited for
LISTENERS = (
    QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
    QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),  # sent once, before us
)


def main() -> int:
    """Waits for the frame and becomes rviz2; returns the exit code where it does not."""
    stopper = Stopper()
    try:
        program = Path(get_package_prefix("rviz2")) / "lib" / "rviz2" / "rviz2"
    except PackageNotFoundError:
        print("cope_rviz: the package rviz2 is not installed", file=sys.stderr)
        return 1
    frame = _first_frame(stopper)
    if frame is None:
        return stopper.leave(0)
    os.execv(program, [str(program), "-f", frame, *sys.argv[1:]])


def _first_frame(stopper: Stopper) -> str | None:
    """The frame of the camera's first camera_info; None where a signal came before."""
    found: Future = Future()
    stopper.started(partial(found.set_result, None))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node, executor = Node("cope_rviz"), SingleThreadedExecutor()
    topic = input_topics(node, compressed=False).info
    for qos in LISTENERS:
        node.create_subscription(CameraInfo, topic, partial(_take, found), qos)
    executor.add_node(node)
    executor.spin_until_future_complete(found, PATIENCE)
    if not found.done():
        node.get_logger().info(f"RViz opens with the first camera_info on {topic}")
        executor.spin_until_future_complete(found)
    node.destroy_node()
    rclpy.shutdown()
    frame: str | None = found.result()
    return frame


def _take(found: Future, info: CameraInfo) -> None:
    frame = info.header.frame_id.lstrip("/")
    if frame and not found.done():
        found.set_result(frame)


if __name__ == "__main__":
    sys.exit(main())
