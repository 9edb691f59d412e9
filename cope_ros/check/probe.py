"""Looks at the running system: the node, both ends of its topics, their messages."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_ros import Buffer, TransformException, TransformListener
from vision_msgs.msg import Detection3DArray

from cope_ros.check.facts import Facts, Status, TopicFacts
from cope_ros.check.versions import versions
from cope_ros.diagnostics.connections import DEPTH, absence_of, fault_of, keeps, type_name
from cope_ros.input.drops import FrameError
from cope_ros.input.intrinsics import camera_from_info
from cope_ros.input.mailbox import mismatch
from cope_ros.parameters import defaults

ANSWER = 2.0  # s to wait for a service
DISCOVERY = 8.0  # s until nodes have found each other
ABSENCE = 3.0  # s after which a node that is not found is not there
SETTLED = 0.5  # s more, in which a node's topics become known
OURS = "reset_tracks"  # a service by which nodes of this kind are known
KINDS = {type_name(kind): kind for kind in (Image, CompressedImage, CameraInfo)}
LABELS = {"sensor_msgs/msg/CameraInfo": "camera_info"}
LISTEN = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
KEPT = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Probe:
    """A node of its own that looks at another one."""

    def __init__(self, node: Node, executor: SingleThreadedExecutor, wanted: str) -> None:
        """``wanted``: name of the node to look at, with or without its namespace."""
        self._node = node
        self._executor = executor
        self._wanted = wanted if wanted.startswith("/") else f"/{wanted}"
        self._newest: dict[str, Any] = {}  # messages by topic
        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, node)

    def look(self, seconds: float) -> Facts:
        """Everything, after listening for ``seconds`` s."""
        facts = Facts(self._wanted, seconds, versions=versions())
        self._spin(ABSENCE, lambda: self._wanted in self._nodes())
        facts.found = self._wanted in self._nodes()
        facts.others = [name for name in self._nodes() if name != self._wanted]
        if not facts.found:
            return facts
        facts.state = self._state()
        self._read_parameters(facts)
        self._listen(facts)
        start = time.monotonic()
        self._spin(seconds)
        self._rates(facts, time.monotonic() - start)
        self._judge(facts)
        return facts

    def _spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            self._executor.spin_once(timeout_sec=0.05)

    def _nodes(self) -> list[str]:
        """Nodes of this kind."""
        services = self._node.get_service_names_and_types()
        return sorted({n.removesuffix(f"/{OURS}") for n, _ in services if n.endswith(f"/{OURS}")})

    def _ask(self, kind: Any, name: str, request: Any) -> Any:
        """A service's answer, None where none comes."""
        client = self._node.create_client(kind, f"{self._wanted}/{name}")
        self._spin(ANSWER, client.service_is_ready)
        future = client.call_async(request)
        self._spin(ANSWER, future.done)
        self._node.destroy_client(client)
        return future.result() if future.done() else None

    def _state(self) -> str:
        answer = self._ask(GetState, "get_state", GetState.Request())
        return "" if answer is None else str(answer.current_state.label)

    def _read_parameters(self, facts: Facts) -> None:
        known = defaults()
        request = GetParameters.Request(names=list(known))
        answer = self._ask(GetParameters, "get_parameters", request)
        for name, value in zip(known, [] if answer is None else answer.values, strict=False):
            given = parameter_value_to_python(value)
            facts.values[name] = given
            if given is not None and given != known[name]:
                facts.parameters[name] = given

    def _listen(self, facts: Facts) -> None:
        """Subscribes to all that the node reads, and to what it says."""
        if facts.state == "active":
            self._spin(DISCOVERY, lambda: len(self._inputs()) > 1)
        self._spin(SETTLED)  # and the other ends
        for topic, kind in self._inputs():
            facts.topics.append(self._input(facts, topic, kind))
        results = f"{self._wanted}/detections"
        kind = type_name(Detection3DArray)
        readers = self._node.get_subscriptions_info_by_topic(results)
        said = TopicFacts("detections", results, kind, False, [_endpoint(r) for r in readers])
        facts.topics.append(said)
        self._node.create_subscription(Detection3DArray, results, self._taking(said), 10)
        prefix = self._wanted[1:]
        self._node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda m: _note(facts, m, prefix), 10
        )

    def _inputs(self) -> list[tuple[str, str]]:
        """Topics with pictures of a camera that the node reads, and their types; images first."""
        found = [
            (topic, kind)
            for topic, kinds in self._node.get_topic_names_and_types()
            for kind in kinds
            if kind in KINDS and self._readers(topic)
        ]
        return sorted(found, key=lambda item: (item[1] in LABELS, item[0]))

    def _readers(self, topic: str) -> list[TopicEndpointInfo]:
        """The node's subscriptions to a topic (asked by node, a namesake could answer)."""
        infos = self._node.get_subscriptions_info_by_topic(topic)
        return [info for info in infos if _name(info) == self._wanted]

    def _input(self, facts: Facts, topic: str, kind: str) -> TopicFacts:
        label = LABELS.get(kind, "image")
        is_depth = facts.values.get("depth.mode", "off") != "off" and DEPTH in topic.lower()
        if is_depth:
            label = "depth" if label == "image" else "depth camera_info"
        own = self._readers(topic)
        publishers = self._node.get_publishers_info_by_topic(topic)
        nodes = [_endpoint(p) for p in publishers]
        found = TopicFacts(label, topic, kind, True, nodes, _qos(own[0]) if own else "")
        if not publishers:
            argument = DEPTH if label == DEPTH else ""
            found.fault = absence_of(self._node, topic, kind, self._wanted, argument)
        elif own:
            found.fault = min((fault_of(topic, kind, o.qos_profile, publishers) for o in own),
                              key=lambda fault: fault is not None)  # fmt: skip
        take = self._taking(found)
        self._node.create_subscription(KINDS[kind], topic, take, LISTEN)
        if kind == type_name(CameraInfo) and keeps(publishers):
            self._node.create_subscription(
                KINDS[kind], topic, lambda message: None if found.count else take(message), KEPT
            )
        return found

    def _taking(self, topic: TopicFacts) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            topic.count += 1
            topic.frame_id = message.header.frame_id
            if hasattr(message, "width"):
                topic.size = (message.width, message.height)
            named = ("encoding", "format", "distortion_model")
            topic.encoding = next((getattr(message, n) for n in named if hasattr(message, n)), "")
            self._newest[topic.name] = message

        return take

    def _rates(self, facts: Facts, seconds: float) -> None:
        for topic in facts.topics:
            topic.rate = topic.count / seconds
            if topic.count and not topic.nodes:
                topic.fault = None  # its publisher came after the first look
        results = facts.topic("detections")
        if results is not None and results.count:
            facts.instances = len(self._newest[results.name].detections)

    def _judge(self, facts: Facts) -> None:
        """Whether the newest camera_info describes the newest image, and TF leads on."""
        image, info = (
            None if topic is None else self._newest.get(topic.name)
            for topic in (facts.topic("image"), facts.topic("camera_info"))
        )
        if image is not None:
            stamp = Time.from_msg(image.header.stamp) if image.header.stamp.sec >= 0 else None
            now = self._node.get_clock().now().nanoseconds
            facts.age = None if stamp is None else (now - stamp.nanoseconds) / 1e9
        if info is not None:
            self._judge_camera(facts, image, info)
        target = facts.values.get("target_frame", "")
        if target and image is not None:
            try:
                self._buffer.lookup_transform(target, image.header.frame_id, Time())
                facts.tf = ""
            except TransformException as error:
                facts.tf = str(error)

    def _judge_camera(self, facts: Facts, image: Any, info: Any) -> None:
        any_frame = bool(facts.values.get("sync.any_frame_id", False))
        fault = None if image is None else mismatch(image, info, any_frame)
        facts.pairing = None if fault is None else str(fault)
        size = (image.width, image.height) if hasattr(image, "width") else None
        if fault is not None and size is not None:
            size = None  # said above
        try:
            camera = camera_from_info(info, facts.values.get("image_is_rectified", True), size)
        except FrameError as error:
            facts.intrinsics = str(error)
            return
        facts.notes = [note.text for note in camera.notes]
        K, (width, height) = camera.K, camera.size
        halves = np.array([width / K[0, 0], height / K[1, 1]]) / 2
        view = 2 * np.degrees(np.arctan(halves))
        facts.camera = (
            f"fx {K[0, 0]:.1f}, fy {K[1, 1]:.1f}, cx {K[0, 2]:.1f}, cy {K[1, 2]:.1f} px of "
            f"{width}x{height}; sees " + " x ".join(f"{v:.0f}" for v in view) + " degrees"
        )


def _note(facts: Facts, message: DiagnosticArray, prefix: str) -> None:
    for status in message.status:
        if not status.name.startswith(prefix):
            continue
        name = status.name.removeprefix(prefix).strip(": ")
        level = int.from_bytes(status.level, "little")
        facts.statuses = [s for s in facts.statuses if s.name != name]
        facts.statuses.append(Status(name, level, status.message))


def _qos(info: TopicEndpointInfo) -> str:
    profile = info.qos_profile
    return f"{profile.reliability.name.lower()}, {profile.durability.name.lower()}"


def _name(info: TopicEndpointInfo) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def _endpoint(info: TopicEndpointInfo) -> str:
    return f"{_name(info)} ({_qos(info)})"
