"""The application: hears the detections, shows them and, at the end, draws and sums them up."""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Pose as PoseMessage
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from vision_msgs.msg import Detection3DArray

from cope_ros.core.errors import CopeError
from demo.record import DETECTIONS_TOPIC, DIAGNOSTICS_TOPIC, PROBE_FRAME, Pose, Processed, Shot
from demo.table import Table

MS = 1e6  # ns
# After the last image: how long a silence means that nothing more will come.
QUIET = 3.0  # s, at least
STAGE = re.compile(r"stage_(\w+)_p50_ms")
QUIET_LATENCIES = 3.0  # times the longest latency seen
MAX_QUIET = 12.0  # s


class Listener(Node):
    """Collects every message of the node with the time of its arrival."""

    def __init__(self, table: Table, ready: Path) -> None:
        super().__init__("demo_listener")
        self.processed: list[Processed] = []
        self.slowest = 0.0  # ms, the longest latency, probes included
        self.stages: dict[str, float] = {}  # s, medians of the node's stages
        self._table = table
        self._ready = ready
        self.create_subscription(
            Detection3DArray, DETECTIONS_TOPIC, self._on_detections, QoSProfile(depth=20)
        )
        self.create_subscription(
            DiagnosticArray, DIAGNOSTICS_TOPIC, self._on_diagnostics, QoSProfile(depth=20)
        )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            for item in status.values:
                if stage := STAGE.fullmatch(item.key):
                    self.stages[stage[1]] = float(item.value) / 1e3

    def _on_detections(self, message: Detection3DArray) -> None:
        arrived = self.get_clock().now().nanoseconds
        stamp = Time.from_msg(message.header.stamp).nanoseconds
        latency = (arrived - stamp) / MS
        self.slowest = max(self.slowest, latency)
        if message.header.frame_id == PROBE_FRAME:
            self._ready.touch()
            return
        poses = tuple(
            Pose(
                class_id=detection.results[0].hypothesis.class_id,
                track_id=detection.id,
                score=detection.results[0].hypothesis.score,
                T_cam_obj=matrix(detection.results[0].pose.pose),
                covariance=np.array(detection.results[0].pose.covariance).reshape(6, 6),
            )
            for detection in message.detections
        )
        self.processed.append(Processed(stamp, latency, poses))
        self._table.show(self.processed[-1], len(self.processed))


def matrix(pose: PoseMessage) -> np.ndarray:
    """T (4, 4) in metres of a message with a unit quaternion (xyzw)."""
    x, y, z, w = (getattr(pose.orientation, name) for name in "xyzw")
    T = np.eye(4)
    T[:3, :3] += 2 * np.array(
        [
            [-y * y - z * z, x * y - z * w, x * z + y * w],
            [x * y + z * w, -x * x - z * z, y * z - x * w],
            [x * z - y * w, y * z + x * w, -x * x - y * y],
        ]
    )
    T[:3, 3] = pose.position.x, pose.position.y, pose.position.z
    return T


def listen(listener: Listener, log: Path) -> list[Shot]:
    """Spins until the camera has written its log and every image, or silence, has come."""
    last_sign = time.monotonic()
    heard = 0
    while True:
        rclpy.spin_once(listener, timeout_sec=0.2)
        if len(listener.processed) > heard or not log.exists():
            heard, last_sign = len(listener.processed), time.monotonic()
            continue
        patience = min(max(QUIET, QUIET_LATENCIES * listener.slowest / 1e3), MAX_QUIET)
        shots = Shot.read_log(log)
        if heard >= len(shots) or time.monotonic() - last_sign > patience:
            return shots


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 when at least one pose was received, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--camera", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--device", required=True, help="named in the summary")
    parser.add_argument("--log", type=Path, required=True, help="the camera's stamps")
    parser.add_argument("--ready", type=Path, required=True, help="made at the first answer")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--until", type=float, required=True, help="s, steady clock: no further picture after it"
    )
    args = parser.parse_args(argv)
    rclpy.init(args=[])
    listener = Listener(Table(sys.stdout), args.ready)
    try:
        shots = listen(listener, args.log)
        heard = len(listener.processed)
        print(f"demo: {heard} of {len(shots)} images answered; judging, page, pictures", flush=True)
        # Not before: what this imports takes seconds that the node needs at the start.
        from demo.report import write_report

        content = write_report(
            args.out,
            (args.images, args.camera),
            args.model,
            args.device,
            shots,
            listener.processed,
            listener.stages,
            args.until,
        )
    except CopeError as error:
        print(f"listener: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    finally:
        listener.destroy_node()
        rclpy.try_shutdown()
    return 0 if content["detections"] else 1


if __name__ == "__main__":
    sys.exit(main())
