"""How far half precision moves the poses from those of float32.

``python -m cope_training.bench.agreement --images 10`` compares both on images of a BOP scene.
On a CPU without bfloat16, the GPU's float16 is emulated (20 s an image).
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.deployment.precision import half_dtype, halve
from cope_ros.core.deployment.runtime import Estimate, Estimator, resolve_device
from cope_ros.core.errors import CopeError
from cope_training.data.photographs import read_image

SAME_BOX = 3.0  # px: instances of both runs whose box corners are nearer are the same one
LIMITS = (0.5, 0.2)  # mm at 1 m, degrees: what half precision may cost


@dataclass(frozen=True)
class Agreement:
    """Differences of the instances found in both runs."""

    shift_mm: np.ndarray  # (N,) translation, scaled to an object 1 m away
    turn_deg: np.ndarray  # (N,)
    unmatched: int  # instances of the first run that the second lacks

    def summary(self) -> str:
        """One line of Markdown."""
        if not len(self.shift_mm):
            return f"no instance in both runs, {self.unmatched} in the first alone"
        shift, turn = np.quantile(self.shift_mm, (0.5, 0.9)), np.quantile(self.turn_deg, (0.5, 0.9))
        return (
            f"{len(self.shift_mm)} instances in both runs, {self.unmatched} in the first alone; "
            f"translation at 1 m: median {shift[0]:.2f} mm, 90 % below {shift[1]:.2f} mm "
            f"(limit {LIMITS[0]}); rotation: median {turn[0]:.2f}, 90 % below {turn[1]:.2f} "
            f"degrees (limit {LIMITS[1]})"
        )


def compare(first: Sequence[Estimate], second: Sequence[Estimate]) -> Agreement:
    """Pairs instances of one class whose boxes coincide, image by image."""
    shift: list[float] = []
    turn: list[float] = []
    unmatched = 0
    for a, b in zip(first, second, strict=True):
        for i in range(len(a)):
            j = _same(a, i, b)
            if j is None:
                unmatched += 1
                continue
            shift.append(1e3 * float(np.linalg.norm(a.t[i] - b.t[j]) / a.t[i, 2]))
            turn.append(angle_deg(a.R[i], b.R[j]))
    return Agreement(np.array(shift), np.array(turn), unmatched)


def angle_deg(R1: np.ndarray, R2: np.ndarray) -> float:
    """Between rotations (3, 3) float32; exact for small angles too, where acos is not."""
    chord = float(np.linalg.norm(R1.astype(np.float64) - R2.astype(np.float64)))
    return math.degrees(2.0 * math.asin(min(1.0, chord / math.sqrt(8.0))))


def _same(a: Estimate, row: int, b: Estimate) -> int | None:
    far = np.abs(b.boxes - a.boxes[row]).max(axis=1, initial=0.0)
    far[b.class_index != a.class_index[row]] = np.inf
    return int(far.argmin()) if len(far) and far.min() < SAME_BOX else None


def scene_images(scene: Path, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """``count`` images, evenly over a BOP scene, with their intrinsics."""
    cameras = json.loads((scene / "scene_camera.json").read_text())
    paths = sorted(path for path in (scene / "rgb").iterdir() if path.stem.isdigit())
    for path in paths[:: max(1, len(paths) // count)][:count]:
        key = str(int(path.stem))
        yield (
            read_image(path, f"{scene}: image {key}"),
            np.array(cameras[key]["cam_K"]).reshape(3, 3),
        )


def load_half(path: Path, device: str) -> Estimator:
    """An estimator in half precision, also where it serves this comparison alone."""
    target = resolve_device(device)
    if half_dtype(target) is not None:
        return Estimator.load(path, device, half=True)
    scripted, metadata = load_model(path, target)
    halve(scripted.network, torch.float16)
    return Estimator(scripted, metadata, target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--scene", type=Path, default=Path("models/demo/sequence/000001"))
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    options = parser.parse_args(arguments)
    try:
        images = list(scene_images(options.scene, options.images))
        full = Estimator.load(options.model, options.device)
        half = load_half(options.model, options.device)
    except CopeError as error:
        print(f"agreement: {error}", file=sys.stderr)
        return 1
    runs = [[run.estimate(image, K) for image, K in images] for run in (full, half)]
    print(compare(*runs).summary())
    return 0


if __name__ == "__main__":
    sys.exit(main())
