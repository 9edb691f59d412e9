"""A node under test and a client beside it, over real DDS."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_calls import Calls
from node_fakes import PATIENCE
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray, VisionInfo

from cope_ros.node import CopeNode

START_UP = 180.0  # s; processes that import torch on a busy machine
GOALS = {
    Transition.TRANSITION_CONFIGURE: "inactive",
    Transition.TRANSITION_CLEANUP: "unconfigured",
    Transition.TRANSITION_ACTIVATE: "active",
    Transition.TRANSITION_DEACTIVATE: "inactive",
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: "finalized",
    Transition.TRANSITION_INACTIVE_SHUTDOWN: "finalized",
    Transition.TRANSITION_ACTIVE_SHUTDOWN: "finalized",
}


def record_topics(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on, the topic of every message that any publisher here sends, in order."""
    sent: list[str] = []
    publish = Publisher.publish

    def recording(self: Publisher, message: Any) -> None:
        sent.append(self.topic_name)
        publish(self, message)

    monkeypatch.setattr(Publisher, "publish", recording)
    return sent


class Client:
    """A node that is spun while it waits, for tests whose nodes are other processes."""

    def __init__(self, name: str, context: Context) -> None:
        self.node = Node(name, context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self.calls = Calls(self.node, self._wait, START_UP / 2)

    def wait(
        self,
        condition: Callable[[], bool],
        what: str,
        period: float = 0.02,
        patience: float = START_UP,
    ) -> None:
        """Spins until ``condition``, asked every ``period`` s; fails after ``patience`` s."""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"waited {patience} s for {what}"
            self.calls.spin_once()
            end = time.monotonic() + period
            while (left := end - time.monotonic()) > 0:
                self._executor.spin_once(timeout_sec=left)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self.calls.close()

    def _wait(self, condition: Callable[[], bool], what: str, patience: float) -> None:
        self.wait(condition, what, patience=patience)


class Rig:
    """A node in a thread of its own and a client beside it, over DDS."""

    def __init__(self, context: Context, node: CopeNode) -> None:
        self.context, self.node = context, node
        self.detections: list[Detection3DArray] = []
        self.transforms: list[TFMessage] = []
        self.client = Node("client", context=context)
        self.calls = Calls(self.client, self.wait, PATIENCE)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.client)
        self._node_executor = SingleThreadedExecutor(context=context)
        self._node_executor.add_node(node)
        self._enough: Future = Future()  # ends the node's executor
        self._thread = threading.Thread(target=self._spin_node)
        self._thread.start()

    def connect(
        self, image: str = "image_rect", info: str = "camera_info", kind: Any = Image
    ) -> None:
        """Publishers and subscribers of the client, and waits until all have met."""
        self.image_publisher = self.client.create_publisher(kind, image, 10)
        self.info_publisher = self.client.create_publisher(CameraInfo, info, 10)
        name = self.node.get_fully_qualified_name()
        self.client.create_subscription(
            Detection3DArray, f"{name}/detections", self.detections.append, 50
        )
        self.client.create_subscription(TFMessage, "/tf", self.transforms.append, 50)
        self.wait(lambda: self.image_publisher.get_subscription_count() > 0, "image")
        self.wait(lambda: self.info_publisher.get_subscription_count() > 0, "info")
        self.wait(lambda: self.client.count_publishers(f"{name}/detections") > 0, "detections")
        self.wait(lambda: self.client.count_publishers("/tf") > 0, "tf")
        self.wait(lambda: self.node.count_subscribers("/tf") > 0, "tf subscriber")

    def send(self, image: Image | CompressedImage, info: CameraInfo | None) -> None:
        if info is not None:
            self.info_publisher.publish(info)
        self.image_publisher.publish(image)

    def send_in_order(self, image: Image | CompressedImage, info: CameraInfo) -> None:
        """Sends the image when the node has the camera_info: DDS keeps no order across topics."""
        before = self.node.counters.infos
        self.info_publisher.publish(info)
        self.wait(lambda: self.node.counters.infos > before, "camera_info")
        self.image_publisher.publish(image)

    def wait(self, condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Spins the client until ``condition``; fails after ``patience`` seconds."""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"waited {patience} s for {what}"
            self._executor.spin_once(timeout_sec=0.02)
            self.calls.spin_once()

    def wait_for(self, count: int) -> Detection3DArray:
        """Waits until ``count`` messages have come; returns the last."""
        self.wait(lambda: len(self.detections) >= count, f"{count} detection messages")
        return self.detections[-1]

    def wait_for_drop(self, cause: Any, count: int = 1) -> None:
        self.wait(lambda: self.node.counters.dropped.get(cause, 0) >= count, f"drop by {cause}")

    def service(self, kind: Any, service: str) -> Any:
        """A client that has met a service of the node."""
        return self.calls.client(kind, self._full(service))

    def call(self, kind: Any, service: str, request: Any) -> Any:
        """Calls a service of the node and returns its answer."""
        return self.calls.ask(kind, self._full(service), request)

    def state(self) -> str:
        """The node's state, as it says itself."""
        label: str = self.call(GetState, "get_state", GetState.Request()).current_state.label
        return label

    def change(self, transition: int) -> bool:
        """Asks for a transition; whether it was made."""
        request = ChangeState.Request(transition=Transition(id=transition))
        name, goal = self._full("change_state"), GOALS.get(transition)
        answer = self.calls.ask(ChangeState, name, request, lambda: self.state() == goal)
        return answer is None or bool(answer.success)

    def _full(self, service: str) -> str:
        return f"{self.node.get_fully_qualified_name()}/{service}"

    def latched(self) -> VisionInfo:
        """The vision information that a late subscriber gets."""
        got: list[VisionInfo] = []
        qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        topic = f"{self.node.get_fully_qualified_name()}/vision_info"
        self.client.create_subscription(VisionInfo, topic, got.append, qos)
        self.wait(lambda: bool(got), "vision_info")
        return got[0]

    def join(self) -> None:
        """Waits until the node's executor has ended by itself."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def close(self) -> None:
        self._enough.set_result(None)  # as the process does: nothing goes while it is waited for
        self.join()
        self.node.stop()
        self.context.try_shutdown()
        for executor in (self._executor, self._node_executor):
            executor.shutdown()
        self.client.destroy_node()
        self.node.destroy_node()
        self.calls.close()

    def _spin_node(self) -> None:
        try:
            with suppress(ExternalShutdownException):
                self._node_executor.spin_until_future_complete(self._enough)
        except RuntimeError:  # rclpy's RCLError
            if self.context.ok():
                raise  # else it was about to send something when the context was shut down


@contextmanager
def running(
    estimator: Any,
    parameters: dict[str, Any] | None = None,
    arguments: tuple[str, ...] = (),
    activate: bool = True,
    **options: Any,
) -> Iterator[Rig]:
    """A rig whose node uses ``estimator`` (anything with a ``load``)."""
    context = Context()
    rclpy.init(context=context)
    values = {"model": str(Path(__file__).parent), **(parameters or {})}
    node = CopeNode(
        load=estimator.load,
        context=context,
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        cli_args=["--ros-args", *arguments] if arguments else None,
        **options,
    )
    if activate:
        assert node.start()
    rig = Rig(context, node)
    try:
        yield rig
    finally:
        rig.close()


def parameter_names(node: Node) -> set[str]:
    """What the node itself declares, without rclpy's own parameters."""
    names = node.get_parameters_by_prefix("")
    foreign = ("use_sim_time", "start_type_description_service")
    return {n for n in names if n not in foreign and not n.startswith("qos_overrides.")}
