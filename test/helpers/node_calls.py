"""Service calls of the node tests, with a second way where DDS fails them."""

import faulthandler
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

Wait = Callable[[Callable[[], bool], str, float], None]  # condition, its name, s
SETTLE = 1.0  # s, in which a service meets a client that has met it; else its answer may be lost
TIMES = 3  # that a service is asked: an answer to the outsider has once not come either


class Calls:
    """Clients of services, the same one of a service at every call.

    Once in some twenty runs of all tests, a service and a client of Fast DDS have been seen never
    to learn of each other, in one participant and in two, and once an answer did not come. To a
    new participant all is announced anew; so it is asked from there what the first says nothing of.

    Args:
        node: the first to ask.
        wait: spins ``node`` and ``spin_once`` until a condition; fails as AssertionError.
        patience: s, for a service or an answer.
    """

    def __init__(self, node: Node, wait: Wait, patience: float) -> None:
        self._node, self._wait, self._patience = node, wait, patience
        self.clients: dict[str, Any] = {}
        self._outsider: tuple[Node, SingleThreadedExecutor] | None = None

    def client(self, kind: Any, name: str) -> Any:
        """A client that has met the service ``name``."""
        if name not in self.clients:
            self.clients[name] = self._node.create_client(kind, name)
        try:
            self._wait(self.clients[name].service_is_ready, name, self._patience / 4)
        except AssertionError:
            self._from_outside(kind, name)
        return self.clients[name]

    def ask(
        self,
        kind: Any,
        name: str,
        request: Any,
        settled: Callable[[], bool] = lambda: False,
    ) -> Any | None:
        """The answer of the service ``name``, asked again from outside if it does not come.

        Args:
            settled: whether the request has been fulfilled all the same: it is not to be made
                again then, and the answer is none.
        """
        for _ in range(TIMES - 1):
            try:
                return self._answer(self.client(kind, name), name, request)
            except AssertionError:
                faulthandler.dump_traceback()  # what the node's thread is doing
            if settled():
                return None
            self._from_outside(kind, name)
        return self._answer(self.clients[name], name, request)

    def spin_once(self) -> None:
        if self._outsider is not None:
            self._outsider[1].spin_once(timeout_sec=0.0)

    def close(self) -> None:
        if self._outsider is not None:
            node, executor = self._outsider
            executor.shutdown()
            node.destroy_node()
            node.context.try_shutdown()

    def _answer(self, client: Any, name: str, request: Any) -> Any:
        future = client.call_async(request)
        self._wait(future.done, f"the answer of {name}", self._patience / 2)
        return future.result()

    def _from_outside(self, kind: Any, name: str) -> None:
        if self._outsider is None:
            context = Context()
            rclpy.init(context=context)
            node = Node("outsider", context=context)
            self._outsider = node, SingleThreadedExecutor(context=context)
            self._outsider[1].add_node(node)
        self.clients[name] = self._outsider[0].create_client(kind, name)
        self._wait(self.clients[name].service_is_ready, name, self._patience)
        end = time.monotonic() + SETTLE
        self._wait(lambda: time.monotonic() > end, "time to pass", 2 * SETTLE + self._patience)
