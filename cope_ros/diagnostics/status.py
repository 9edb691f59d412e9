"""Publishes on /diagnostics, once per second, how every part of the node is doing."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from cope_ros.control import Control
from cope_ros.depth_parameters import REQUIRED
from cope_ros.diagnostics import connections
from cope_ros.diagnostics.console import Console
from cope_ros.diagnostics.counters import FrameCounters
from cope_ros.diagnostics.depth_counters import DepthCounters, DepthCounts
from cope_ros.diagnostics.judgement import Status, diagnose
from cope_ros.diagnostics.measurements import Monitor, gpu_mib, resident_mib
from cope_ros.diagnostics.notices import Notices
from cope_ros.diagnostics.snapshot import Counts, DepthState, Model, Snapshot
from cope_ros.parameters import Parameters

TOPIC = "/diagnostics"
PERIOD = 1.0  # s
DEPTH_SUBSCRIPTION = 2  # comes after those of image and camera_info
LONGEST_NAME = 80  # characters shown of a frame_id, which may be anything
SILENT = 2.0  # s without a message, after which the graph is asked for the reason
PERIODS = 5  # periods that rates and recent drops are counted over


@dataclass(frozen=True)
class Sources:
    """Where the numbers come from."""

    counters: FrameCounters
    depth: DepthCounters
    control: Control
    monitor: Monitor
    notices: Notices
    parameters: Callable[[], Parameters]
    lifecycle: Callable[[], str]
    subscriptions: Callable[[], Sequence[Subscription]]  # image, camera_info, depth; or none
    subscribers: Callable[[], Mapping[str, int]]  # of the outputs, by name
    model: Callable[[], Model | None]


class Diagnostics:
    """Exists as long as the node does. Goes by the steady clock, under simulated time too."""

    def __init__(self, node: Node, sources: Sources) -> None:
        self._node = node
        self._sources = sources
        self._console = Console(sources.notices, node.resolve_topic_name("~/detections"))
        self._lifecycle = ""
        self._since = monotonic()  # of the present lifecycle state
        self._history = deque([(self._since, Counts(), DepthCounts())], maxlen=PERIODS + 1)
        self._publisher = node.create_publisher(DiagnosticArray, TOPIC, QoSProfile(depth=10))
        node.create_timer(PERIOD, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _report(self) -> None:
        snapshot = self.snapshot()
        self._console.report(snapshot)
        statuses = diagnose(snapshot)
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        name = self._node.get_fully_qualified_name()[1:]
        namespace = self._node.get_namespace()
        hardware = self._sources.counters.frame_id[:LONGEST_NAME] or namespace
        message.status = [_message(status, name, hardware) for status in statuses]
        try:
            self._publisher.publish(message)
        except RuntimeError:  # rclpy's RCLError
            if self._node.context.ok():
                raise  # else told to stop in the meantime

    def snapshot(self) -> Snapshot:
        """The node now; also begins a new period of the window."""
        sources, now = self._sources, monotonic()
        lifecycle, parameters = sources.lifecycle(), sources.parameters()
        if lifecycle != self._lifecycle:
            self._lifecycle, self._since = lifecycle, now
            while len(self._history) > 1:  # what came just before the change may belong to it
                self._history.popleft()
        total = self._total()
        self._history.append((now, total, sources.depth.counts))
        start, earlier, _ = self._history[0]
        recent = total.since(earlier)
        topics = [
            connections.inspect(self._node, item, silence < SILENT)
            for item, silence in zip(
                sources.subscriptions(),
                (sources.counters.silence, sources.counters.info_silence),
                strict=False,
            )
        ]
        model, monitor = sources.model(), sources.monitor
        active = now - self._since
        return Snapshot(
            lifecycle=lifecycle,
            enabled=sources.control.enabled,
            mode=parameters.mode,
            triggered=sources.control.triggered,
            window=now - start,
            recent=recent,
            total=total,
            reasons=sources.counters.reasons,
            silence=min(sources.counters.silence, active),
            info_missing=active if sources.counters.info_silence > active else 0.0,
            image=topics[0] if topics else None,
            info=topics[1] if topics else None,
            model=model,
            latency=monitor.latency,
            estimate=monitor.estimate,
            busy=monitor.busy,
            age=monitor.age,
            max_age=parameters.max_age,
            intrinsics=monitor.intrinsics,
            instances=monitor.instances,
            subscribers=sources.subscribers(),
            rss_mib=resident_mib(),
            gpu_mib=None if model is None else gpu_mib(model.device),
            stages=monitor.stages,
            notices=sources.notices.standing,
            depth=self._depth_state(),
        )

    def _depth_state(self) -> DepthState | None:
        """The depth input, None where nothing is subscribed."""
        sources = self._sources
        subscriptions = sources.subscriptions()[DEPTH_SUBSCRIPTION:]
        if not subscriptions:
            return None
        total, earlier = self._history[-1][2], self._history[0][2]
        recent = total.since(earlier)
        heard = recent.received > 0
        topic = connections.inspect(self._node, subscriptions[0], heard, connections.DEPTH)
        required = sources.parameters().depth_mode == REQUIRED
        return DepthState(required, topic, recent, total, sources.depth.reasons)

    def _total(self) -> Counts:
        counters = self._sources.counters
        return Counts(
            counters.received,
            counters.infos,
            counters.paired,
            counters.processed,
            counters.dropped,
        )


def _message(status: Status, node: str, hardware: str) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=bytes([status.level]),
        name=f"{node}: {status.part}",
        message=status.message,
        hardware_id=hardware,
        values=[KeyValue(key=key, value=value) for key, value in status.values.items()],
    )
