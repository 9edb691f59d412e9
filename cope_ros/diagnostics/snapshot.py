"""The node at one moment, as numbers: what a diagnosis is made from. Knows no ROS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cope_ros.control import ON_DEMAND
from cope_ros.diagnostics.depth_counters import DepthCounts
from cope_ros.diagnostics.measurements import Spread
from cope_ros.input.depth_image import Fault
from cope_ros.input.drops import Cause


class Topic(NamedTuple):
    """A subscribed topic as the graph shows it."""

    name: str
    publishers: int
    fault: str | None  # why none of them can be heard, None where one can
    nodes: tuple[str, ...] = ()  # that publish it, while nothing is heard


@dataclass(frozen=True)
class Counts:
    """Frames by fate: since the start, or within a window."""

    received: int = 0
    infos: int = 0
    paired: int = 0
    processed: int = 0
    dropped: Mapping[Cause, int] = field(default_factory=dict)

    def since(self, earlier: "Counts") -> "Counts":
        """What has come since ``earlier``."""
        return Counts(
            self.received - earlier.received,
            self.infos - earlier.infos,
            self.paired - earlier.paired,
            self.processed - earlier.processed,
            {cause: n - earlier.dropped.get(cause, 0) for cause, n in self.dropped.items()},
        )


@dataclass(frozen=True)
class Model:
    """What is loaded, and where it runs."""

    path: str
    sha256: str
    preset: str
    device: str
    asked: str  # the parameter `device`
    fallback: str | None  # why it runs on the CPU instead


@dataclass(frozen=True)
class DepthState:
    """The depth input at one moment."""

    required: bool
    topic: Topic | None
    recent: DepthCounts
    total: DepthCounts
    reasons: Mapping[Fault, str]  # the last one of each fault


@dataclass(frozen=True)
class Snapshot:
    """The node at one moment; times in seconds."""

    lifecycle: str
    enabled: bool
    mode: str
    triggered: bool
    window: float  # that `recent` covers
    recent: Counts
    total: Counts
    reasons: Mapping[Cause, str]  # the last one of each cause
    silence: float  # since the newest image or the activation
    image: Topic | None
    info: Topic | None
    model: Model | None
    latency: Spread
    estimate: Spread
    busy: float  # with the frame in hand
    age: float | None
    max_age: float
    intrinsics: tuple[float, float, float, float] | None
    instances: int | None
    subscribers: Mapping[str, int]
    rss_mib: float | None
    gpu_mib: float | None
    stages: Mapping[str, Spread] = field(default_factory=dict)  # of a frame, in order
    notices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # standing, by part
    info_missing: float = 0.0  # since the activation, 0 once a camera_info has come
    depth: DepthState | None = None  # None where depth is off

    def lost(self, *causes: Cause) -> int:
        """Frames dropped for these causes within the window."""
        return sum(self.recent.dropped.get(cause, 0) for cause in causes)

    def rate(self, count: int) -> float:
        """Hz within the window."""
        return count / self.window if self.window > 0 else 0.0

    @property
    def idle(self) -> str | None:
        """Why no frame is expected to be processed, None where one is."""
        if not self.enabled:
            return "disabled by ~/enable"
        if self.mode == ON_DEMAND and not self.triggered and not self.recent.paired:
            return "waiting for ~/trigger (mode on_demand)"
        return None
