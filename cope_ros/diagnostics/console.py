"""What the console says at level info: the first result, and what is missing. Knows no ROS.

Nothing is said per frame; what is dropped, the counters say.
"""

from collections.abc import Sequence

from cope_ros.diagnostics.judgement import ACTIVE
from cope_ros.diagnostics.notices import Notices
from cope_ros.diagnostics.snapshot import Model, Snapshot, Topic

MISSING = 5.0  # s without an input that are worth a line
IMAGE = "image"
SHOWN = 5  # classes named
AGAIN = 30.0  # s until the line is repeated, also where the input comes and goes in between
LOST = (
    "; large raw images are lost between processes of one machine where DDS's shared memory is too "
    "small for them: see 'One machine, large images' in docs/node.md"
)


def ready(model: Model, classes: Sequence[str], inputs: str, results: str) -> str:
    """The line of a node that has been activated; the names of topics are resolved ones."""
    more = f" and {len(classes) - SHOWN} more" if len(classes) > SHOWN else ""
    objects = f"{len(classes)} objects: {', '.join(classes[:SHOWN])}{more}"
    where = f"model {model.path} ({objects}) on {model.device}"
    return f"ready: {where}, listening to {inputs}; see results with: ros2 topic echo {results}"


class Console:
    """Reads the snapshots of a node, one a second, and says what is new."""

    def __init__(self, notices: Notices, results: str) -> None:
        """``results``: the topic of the detections."""
        self._notices = notices
        self._results = results
        self._missing: set[str] = set()  # labels of inputs whose absence was said

    def report(self, s: Snapshot) -> None:
        """Says what has become worth a line since the last snapshot."""
        if s.lifecycle != ACTIVE:
            self._missing.clear()
            return
        self._report_input(IMAGE, s.image, s.silence)
        self._report_input("camera_info", s.info, s.info_missing)
        if s.instances is not None:
            latency = f"{1000 * s.latency.p50:.0f} ms after its image"
            text = f"first result: {s.instances} instances on {self._results}, {latency}"
            self._notices.inform("first result", text)

    def _report_input(self, label: str, topic: Topic | None, silence: float) -> None:
        if topic is None:
            return
        if silence >= MISSING:
            cause = _cause(topic, LOST if label == IMAGE else "")
            text = f"no {label} on {topic.name} for {silence:.0f} s: {cause}"
            if self._notices.warn(f"missing {label}", text, every=AGAIN):
                self._missing.add(label)
        elif label in self._missing:
            self._missing.remove(label)
            self._notices.inform(f"{label} again", f"{label} on {topic.name} arrives", every=0.0)


def _cause(topic: Topic, lost: str) -> str:
    """Why an input is missing; ``lost``: what may have happened to it where all looks right."""
    nodes = ", ".join(topic.nodes)
    if topic.fault is not None:
        return f"{topic.fault} (published by {nodes})" if nodes else topic.fault
    return f"{nodes or 'a node'} publishes it, but nothing arrives{lost}"
