"""The node as a process that writes down, when it is told to stop, how its frames spent time."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.runtime import Estimate, Estimator
from cope_ros.node import CopeNode

INSTANCES = 10
CONSTANT, MODEL = "constant", "model"


class ConstantEstimator:
    """Answers every image at once with the same instances of the model's objects."""

    metadata: dict[str, Any] = {"preset": CONSTANT}  # noqa: RUF012
    device = "cpu"

    def __init__(self, path: Path, device: str = "auto", half: bool = False) -> None:
        self.catalogue = Catalogue.from_models_info(path / "models_info.json")
        n = np.arange(INSTANCES)
        self._answer = Estimate(
            class_index=n % len(self.catalogue),
            score=np.full(INSTANCES, 0.9, np.float32),
            R=np.tile(np.eye(3, dtype=np.float32), (INSTANCES, 1, 1)),
            t=np.stack([0.2 * n - 1, 0 * n, 0 * n + 1.5], 1).astype(np.float32),
            covariance=np.tile(1e-4 * np.eye(6, dtype=np.float32), (INSTANCES, 1, 1)),
            boxes=np.zeros((INSTANCES, 4), np.float32),
            keypoints=np.zeros((INSTANCES, 8, 2), np.float32),
            support=np.full(INSTANCES, 5),
        )

    def configure(self, **settings: Any) -> None:
        """Nothing to apply: the answer is constant."""

    def estimate(self, image: np.ndarray, K: np.ndarray) -> Estimate:
        """The same for every image."""
        return self._answer


LOADERS: dict[str, Any] = {CONSTANT: ConstantEstimator, MODEL: Estimator.load}


def main(argv: Sequence[str] | None = None) -> int:
    """Arguments: which estimator, the file for the times, then those of ``cope_node``."""
    kind, target, *rest = sys.argv[1:] if argv is None else argv
    rclpy.init(args=rest)
    node = CopeNode(load=LOADERS[kind])
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if not node.start():
            return 1
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        timelines = [timeline._asdict() for timeline in node.monitor.timelines]
        node.stop()
        node.destroy_node()
        rclpy.try_shutdown()
    Path(target).write_text(json.dumps({"written": time.monotonic(), "frames": timelines}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
