"""The loop of the node's process: ends at once when told to, and holds nothing back."""

import gc
import threading
import time
from types import FunctionType

import pytest
from plain_node import plain_node
from rclpy.executors import SingleThreadedExecutor
from rclpy.task import Future

from cope_ros.process import spin_until

CALLS = 300


@pytest.fixture
def node():
    with plain_node("spun") as node:
        yield node


@pytest.fixture
def executor(node):
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    yield executor
    executor.shutdown()


def functions() -> int:
    gc.collect()
    return sum(type(thing) is FunctionType for thing in gc.get_objects())


def test_memory_does_not_grow_with_the_callbacks(node, executor):
    stop, counts = Future(), []

    def tick():
        counts.append(functions() if len(counts) in (10, CALLS) else 0)
        if len(counts) > CALLS:
            stop.set_result(None)

    node.create_timer(0.001, tick)
    spin_until(executor, stop)
    first, last = (count for count in counts if count)
    assert last - first < CALLS / 10


def test_a_future_of_another_thread_ends_a_wait_without_any_callback(executor):
    stop = Future()
    ended = threading.Event()

    def spin():
        spin_until(executor, stop)
        ended.set()

    threading.Thread(target=spin, daemon=True).start()
    assert not ended.wait(0.2)
    began = time.monotonic()
    stop.set_result(None)
    assert ended.wait(5.0)
    assert time.monotonic() - began < 0.5


def test_a_future_that_is_done_already(executor):
    stop = Future()
    stop.set_result(None)
    spin_until(executor, stop)
