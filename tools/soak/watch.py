"""Watches the nodes of the soak: what they publish, whether they answer, what they hold."""

import math
import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

import psutil
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future
from rclpy.time import Time
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from tools.soak import names

PATIENCE = 10.0  # s without an answer, or without detections, that count as a hang
MIB = 2**20
OLDEST = 60.0  # s; a stamp further off is a fuzzed one under the camera's name


class Sample(NamedTuple):
    """One look at a node; ``at`` in s since the start."""

    at: float
    rss_mib: float
    answer: float  # s the last service call took


class Watched:
    """One node under watch."""

    def __init__(self, node: Node, namespace: str, process: psutil.Process) -> None:
        self.namespace = namespace
        self.samples: list[Sample] = []
        self.latencies: list[tuple[float, float]] = []  # s since the start, s; of true frames
        self.values: dict[str, str] = {}  # of its diagnostics, the newest
        self.non_finite = 0
        self.published = 0
        self.instances = 0
        self.hangs = 0
        self.slowest_answer = 0.0
        self.last_detections = math.inf
        self._process = process
        self._node = node
        self._start = math.inf
        self._asked = 0.0
        self._answer = 0.0
        self._future: Future | None = None
        self._hanging = False
        name = f"/{namespace}/cope"
        self._client = node.create_client(GetState, f"{name}/get_state")
        depth = QoSProfile(depth=50)
        node.create_subscription(Detection3DArray, f"{name}/detections", self._on_detections, depth)

    def begin(self, start: float) -> None:
        """Time zero (s, steady clock); what came before does not count."""
        self._start = self.last_detections = start
        self.latencies.clear()

    def sample(self, now: float) -> None:
        """Takes a sample, asks the node for its state, and looks for a hang."""
        if self._future is not None and self._future.done():
            self._future = None
        if self._future is None and self._client.service_is_ready():
            self._asked = now
            self._future = self._client.call_async(GetState.Request())
            self._future.add_done_callback(self._on_answer)
        waiting = now - self._asked if self._future is not None else 0.0
        hanging = max(waiting, now - self.last_detections) > PATIENCE
        self.hangs += hanging and not self._hanging
        self._hanging = hanging
        rss = self._process.memory_info().rss / MIB
        if rss == 0:  # it has just died, which its parent will find out
            return
        self.samples.append(Sample(now - self._start, rss, max(self._answer, waiting)))

    def check(self, numbers: Iterable[float]) -> None:
        """Counts what is not finite."""
        self.non_finite += sum(not math.isfinite(number) for number in numbers)

    def _on_answer(self, _future: Future) -> None:
        self._answer = time.monotonic() - self._asked
        self.slowest_answer = max(self.slowest_answer, self._answer)

    def _on_detections(self, message: Detection3DArray) -> None:
        now = self._node.get_clock().now().nanoseconds
        self.last_detections = time.monotonic()
        self.published += 1
        self.instances += len(message.detections)
        age = (
            (now - Time.from_msg(message.header.stamp).nanoseconds) / 1e9
            if stamped(message)
            else -1
        )
        if message.header.frame_id == names.GOOD_FRAME and 0 <= age < OLDEST:
            self.latencies.append((self.last_detections - self._start, age))
        for detection in message.detections:
            result = detection.results[0]
            self.check([result.hypothesis.score, *result.pose.covariance])
            self.check(pose_numbers(result.pose.pose))
            self.check(pose_numbers(detection.bbox.center))
            self.check(xyz(detection.bbox.size))


def stamped(message: Any) -> bool:
    """Whether the stamp is one that rclpy can hold: neither negative nor denormal."""
    stamp = message.header.stamp
    return stamp.sec >= 0 and stamp.nanosec < 1_000_000_000


def xyz(vector: Point | Vector3) -> tuple[float, float, float]:
    """The numbers of a vector."""
    return vector.x, vector.y, vector.z


def pose_numbers(pose: Pose) -> tuple[float, ...]:
    """The numbers of a pose."""
    q: Quaternion = pose.orientation
    return (*xyz(pose.position), q.x, q.y, q.z, q.w)


class Watch(Node):
    """The observer: one ``Watched`` per node, and what the nodes publish jointly."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        super().__init__("soak_watch")
        self.watched = {name: Watched(self, name, item) for name, item in processes.items()}
        self.levels: Counter[str] = Counter()  # diagnostics that were not OK
        self.viewed: Counter[str] = Counter()  # views received
        self._viewers: deque[Any] = deque()
        self.create_subscription(TFMessage, "/tf", self._on_transforms, QoSProfile(depth=100))
        self.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, QoSProfile(depth=50)
        )

    def look(self) -> None:
        """Viewers of markers and debug image join where none are, else they leave."""
        if self._viewers:
            while self._viewers:
                self.destroy_subscription(self._viewers.pop())
            return
        for watched in self.watched.values():
            for kind, name in ((MarkerArray, "markers"), (Image, "debug_image")):
                self._viewers.append(
                    self.create_subscription(
                        kind,
                        f"/{watched.namespace}/cope/{name}",
                        self._on_view,
                        QoSProfile(depth=1),
                    )
                )

    def _on_view(self, message: MarkerArray | Image) -> None:
        if isinstance(message, Image):
            self.viewed["debug_image"] += 1
            return
        self.viewed["markers"] += 1
        any_watched = next(iter(self.watched.values()))
        for marker in message.markers:
            any_watched.check([*pose_numbers(marker.pose), *xyz(marker.scale)])

    def _on_transforms(self, message: TFMessage) -> None:
        for item in message.transforms:
            for namespace, watched in self.watched.items():
                if item.child_frame_id.startswith(f"{namespace}_"):
                    rotation = item.transform.rotation
                    watched.check(xyz(item.transform.translation))
                    watched.check((rotation.x, rotation.y, rotation.z, rotation.w))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node, _, part = status.name.partition(": ")
            watched = self.watched.get(node.partition("/")[0])
            if watched is None:
                continue
            watched.values |= {f"{part}.{item.key}": item.value for item in status.values}
            if status.level != b"\0":
                self.levels[f"{node}: {part}"] += 1
