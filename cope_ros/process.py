"""From a command line to a node that spins, and to an exit code."""

import sys
from contextlib import suppress
from functools import partial

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from cope_ros import parameter_files
from cope_ros.core.errors import CopeError
from cope_ros.node import CopeNode
from cope_ros.stopping import Stopper


def run(args: list[str] | None = None, stopper: Stopper | None = None) -> int:
    """Runs the node; 1 where it cannot start or broke down, 0 where it was told to stop."""
    stop: Future = Future()
    if stopper is not None:
        stopper.started(partial(stop.set_result, None))
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # rclpy's RCLError: ROS arguments or a file among them
        return _refuse(error)
    try:
        files = parameter_files.named_in(sys.argv if args is None else args)
        return _spin(CopeNode(files=files), stop)
    except (CopeError, ParameterException) as error:
        return _refuse(error)
    finally:
        rclpy.try_shutdown()


def _refuse(error: Exception) -> int:
    print(f"cope_node: {error}", file=sys.stderr)
    return 1


def spin_until(executor: Executor, stop: Future) -> None:
    """Executes callbacks until ``stop`` is done, in whatever thread that happens.

    rclpy's ``spin_until_future_complete`` does it, too, and keeps a function for each callback that
    it has executed, 0.2 kB: two gigabytes a day for a camera at 60 Hz.

    Raises:
        ExternalShutdownException: rclpy was shut down by somebody else.
    """
    stop.add_done_callback(lambda _: executor.create_task(lambda: None))  # ends spin_once's wait
    while not stop.done():
        executor.spin_once()


def _spin(node: CopeNode, stop: Future) -> int:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if not node.parameters.autostart:
            node.get_logger().info("unconfigured: waiting for a lifecycle transition")
        elif not node.start():
            return 1
        with suppress(ExternalShutdownException):
            spin_until(executor, stop)
        return 0 if node.fault is None else 1
    finally:
        node.halt()  # what else it holds ends with the process
        node.destroy_node()
