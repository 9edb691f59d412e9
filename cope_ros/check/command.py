"""``cope_check``: looks at a running node and says why poses do not come.

Exit code 0: poses come, or nothing keeps them from coming; 1: they cannot; 2: wrong usage.
"""

import argparse
from collections.abc import Sequence

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from cope_ros.check.causes import causes
from cope_ros.check.probe import Probe
from cope_ros.check.report import report

STOPPED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the report; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="cope_check",
        description=__doc__,
        epilog="example: cope_check /left/cope --seconds 5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("node", nargs="?", default="/cope", help="name of the node (/cope)")
    parser.add_argument("--seconds", type=_seconds, default=10.0, help="to listen for (10)")
    words = remove_ros_args(args=None if arguments is None else ["cope_check", *arguments])[1:]
    options = parser.parse_args(words)
    context = Context()
    rclpy.init(context=context)
    try:
        node = Node("cope_check", context=context, start_parameter_services=False)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        facts = Probe(node, executor, options.node).look(options.seconds)
    except (KeyboardInterrupt, ExternalShutdownException):
        print("\ncope_check: stopped")
        return STOPPED
    finally:
        rclpy.try_shutdown(context=context)
    found = causes(facts)
    print(report(facts, found))
    return int(any(cause.fatal for cause in found))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"expected more than 0 and at most 3600 s, got {text}")
    return value
