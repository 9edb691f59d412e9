"""A node without anything, in a context of its own, so that tests share no graph."""

from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.node import Node


@contextmanager
def plain_node(name: str) -> Iterator[Node]:
    """Ends with the block."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node(name, context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)
