"""Peak memory of a process that does nothing but run a model, as the node's worker does."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cope_ros.core.deployment.runtime import Estimator

FRAMES = 10


def peak_mb(model: Path, device: str, half: bool) -> float:
    """MB (10^6) of a fresh process: resident on a CPU, reserved by torch on a GPU.

    Raises:
        subprocess.CalledProcessError: the process failed; its message is on stderr.
    """
    command = [sys.executable, "-W", "ignore", "-m", __name__, str(model), device]
    command += ["--half"] if half else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mb"])


def main(arguments: Sequence[str] | None = None) -> int:
    """What runs in that process; prints its peak as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("device")
    parser.add_argument("--half", action="store_true")
    options = parser.parse_args(arguments)
    estimator = Estimator.load(options.model, options.device, half=options.half)
    width, height = estimator.input_size
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    K = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], dtype=float)
    for _ in range(FRAMES):
        estimator.estimate(image, K)
    print(json.dumps({"peak_mb": _peak(estimator)}))
    return 0


def _peak(estimator: Estimator) -> float:
    if estimator.device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(estimator.device) / 1e6
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())
