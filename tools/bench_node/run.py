"""Measures the node's overhead: latency over DDS minus the estimator's time, at 640x480.

``python -m tools.bench_node.run``; ``make bench-node`` does the same. A camera in this process
sends the demo's images and hears the detections; the node is a process of its own. Measured once
with a constant estimator, which leaves the overhead alone, and once with the demo's model. Writes
out/bench/node.json.
"""

import argparse
import json
import os
import random
import struct
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection3DArray

from cope_ros.core.errors import CopeError
from demo.images import read_folder
from demo.processes import Child, stop_all
from demo.publisher import image_message, info_message
from tools.bench_node.timed_node import CONSTANT, MODEL

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "models" / "demo"
OUT = ROOT / "out" / "bench" / "node.json"
SECOND = 1_000_000_000  # ns
IMAGES = 20  # different ones
WARM_UP = 20  # frames that do not count
PERIOD = 1 / 30  # s from one answer to the next image at least
START_UP = 120.0  # s
PATIENCE = 5.0  # s for one answer
DOMAINS = range(1, 102)
STAGES = ("dds_in", "wait", "prepare", "estimate", "convert", "publish", "dds_out")


@dataclass
class Shot:
    """One image sent and answered; s, steady clock (one for all processes of a machine)."""

    sent: float
    heard: float
    stages: dict[str, float] = field(default_factory=dict)  # s, by STAGES

    @property
    def overhead(self) -> float:
        """Latency minus the estimator's time, s."""
        return self.heard - self.sent - self.stages["estimate"]


def stamped(serialized: bytes, stamp: int) -> bytes:
    """A serialised message that begins with a header, with its stamp (ns) replaced."""
    order = "<" if serialized[1] else ">"  # of CDR's four bytes before the message
    return serialized[:4] + struct.pack(f"{order}iI", *divmod(stamp, SECOND)) + serialized[12:]


def stamp_of(serialized: bytes) -> int:
    """The stamp (ns) of a serialised message that begins with a header."""
    sec, nanosec = struct.unpack_from("<iI" if serialized[1] else ">iI", serialized, 4)
    return int(sec * SECOND + nanosec)


class Camera(Node):
    """Sends one image at a time and waits for its detections.

    Images are serialised beforehand and detections stay serialised: what Python spends on that
    in a camera (1.5 ms) or a listener is no cost of the node.
    """

    def __init__(self) -> None:
        super().__init__("bench_camera")
        best_effort = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._images = self.create_publisher(Image, "/image_rect", best_effort)
        self._infos = self.create_publisher(CameraInfo, "/camera_info", best_effort)
        self.create_subscription(
            Detection3DArray, "/cope/detections", self._on_detections, QoSProfile(depth=5), raw=True
        )
        self._spinner = SingleThreadedExecutor()
        self._spinner.add_node(self)
        self._heard: dict[int, float] = {}
        self._messages: list[tuple[bytes, bytes]] = []
        for item in read_folder(DEMO / "sequence")[:IMAGES]:
            pixels = item.read()
            self.size = [pixels.shape[1], pixels.shape[0]]  # px
            messages = image_message(pixels), info_message(item.K, pixels.shape)
            self._messages.append((serialize_message(messages[0]), serialize_message(messages[1])))

    def shoot(self, number: int, patience: float) -> Shot | None:
        """Sends an image; None where no answer came."""
        image, info = self._messages[number % len(self._messages)]
        stamp = self.get_clock().now()
        messages = stamped(info, stamp.nanoseconds), stamped(image, stamp.nanoseconds)
        sent = time.monotonic()
        self._infos.publish(messages[0])
        self._images.publish(messages[1])
        deadline = sent + patience
        while stamp.nanoseconds not in self._heard and time.monotonic() < deadline:
            self._spinner.spin_once(timeout_sec=0.1)
        heard = self._heard.get(stamp.nanoseconds)
        return None if heard is None else Shot(sent, heard)

    def _on_detections(self, serialized: bytes) -> None:
        self._heard[stamp_of(serialized)] = time.monotonic()


def measure(kind: str, frames: int, folder: Path) -> tuple[list[Shot], int, list[int]]:
    """Returns the frames answered, how many images were lost, and their size.

    Raises:
        CopeError: the node did not start or fell silent.
    """
    times, log = folder / f"{kind}.json", folder / f"{kind}.log"
    module = [sys.executable, "-m", "tools.bench_node.timed_node", kind, str(times)]
    node = Child("node", [*module, "--ros-args", "-p", f"model:={DEMO}", "-p", "device:=cpu"], log)
    camera = Camera()
    try:
        deadline = time.monotonic() + START_UP
        while camera.shoot(0, 0.5) is None:
            if node.poll() is not None or time.monotonic() > deadline:
                raise CopeError(f"the node did not start: {node.last_words()}")
        answers = []
        for number in range(WARM_UP + frames):
            answers.append(camera.shoot(number, PATIENCE))
            time.sleep(PERIOD)
    finally:
        stop_all([node])
        size = camera.size
        camera.destroy_node()
    shots = [shot for shot in answers[WARM_UP:] if shot is not None]
    join(shots, json.loads(times.read_text())["frames"])
    return [shot for shot in shots if shot.stages], frames - len(shots), size


def join(shots: Sequence[Shot], timelines: Sequence[Mapping[str, Any]]) -> None:
    """Gives each shot the stages of the node's frame that arrived between its two ends."""
    for shot in shots:
        for timeline in timelines:
            arrived = timeline["arrived"]
            if shot.sent < arrived < shot.heard:
                inside = sum(timeline["stages"].values())
                dds_out = shot.heard - arrived - inside
                shot.stages = {
                    "dds_in": arrived - shot.sent,
                    **timeline["stages"],
                    "dds_out": dds_out,
                }


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile, ms."""
    return {f"p{q}": round(1000 * float(np.percentile(seconds, q)), 3) for q in (50, 99)}


def summarize(shots: Sequence[Shot], lost: int) -> dict[str, Any]:
    """The figures of one estimator.

    Raises:
        CopeError: no frame was measured.
    """
    if not shots:
        raise CopeError("no frame of the node could be told apart")
    return {
        "frames": len(shots),
        "lost": lost,
        "overhead_ms": spread([shot.overhead for shot in shots]),
        "latency_ms": spread([shot.heard - shot.sent for shot in shots]),
        "breakdown_ms": {name: spread([s.stages[name] for s in shots]) for name in STAGES},
    }


def prepare_environment() -> None:
    """A domain of its own, shared memory large enough for the images."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.choice(DOMAINS)))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds.xml"))


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 when everything was measured, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--estimators", nargs="+", choices=(CONSTANT, MODEL))
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    prepare_environment()
    rclpy.init(args=[])
    results: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            for kind in args.estimators or (CONSTANT, MODEL):
                shots, lost, size = measure(kind, args.frames, Path(folder))
                results[kind] = summarize(shots, lost)
    except (CopeError, KeyboardInterrupt) as error:
        print(f"bench-node: {error or 'stopped'}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    content = {
        "overhead_ms": results[kind]["overhead_ms"],
        "size": size,
        "cores": len(os.sched_getaffinity(0)),
        "estimators": results,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(content, indent=1) + "\n")
    for name, result in results.items():
        print(f"{name}: overhead {result['overhead_ms']} ms, of it")
        print("  " + ", ".join(f"{k} {v['p50']}" for k, v in result["breakdown_ms"].items()))
    print(f"bench-node: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
