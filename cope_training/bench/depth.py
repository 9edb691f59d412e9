"""What a depth image adds to the time of an image.

``python -m cope_training.bench.depth --model models/demo --data models/demo/sequence`` estimates
the images that show most objects with their depth and without, in turn.
"""

import argparse
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cope_ros.core.deployment.preprocessing import DepthImage
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.errors import CopeError
from cope_training.bench.measure import interleaved
from cope_training.command import command_parser, run_command, whole_number
from cope_training.data.photographs import read_image
from cope_training.evaluation.depth import MeasuredDepth
from cope_training.evaluation.inference import Runner, images_with_depth
from cope_training.evaluation.metrics.ground_truth import read_ground_truth
from cope_training.evaluation.metrics.scenes import Scenes, find_scenes

WARM_UP = 2  # rounds that are not counted

Image = tuple[np.ndarray, np.ndarray, DepthImage]  # (H, W, 3) uint8, K (3, 3), measured depth


@dataclass(frozen=True)
class DepthCost:
    """Times of the same images with depth and without."""

    without_ms: float  # median
    with_ms: float  # median
    added_ms: float  # median of the differences within a pair
    found: float  # mean number of instances that came out with depth

    def summary(self) -> str:
        """One line."""
        return (
            f"{self.found:.1f} instances an image: {self.without_ms:.1f} ms without depth, "
            f"{self.with_ms:.1f} ms with depth; it adds {self.added_ms:.1f} ms"
        )


def fullest_images(scenes: Scenes, count: int) -> list[Image]:
    """The images with depth that show most annotated objects, ``count`` at most.

    Raises:
        CopeError: there is no image with depth.
    """
    gts = read_ground_truth(scenes)
    shown = Counter(zip(gts.scene_id.tolist(), gts.im_id.tolist(), strict=True))
    keys = images_with_depth(scenes, [key for key, _ in shown.most_common()])[:count]
    if not keys:
        raise CopeError(f"{scenes.root}: expected images with depth, found none")
    measured = MeasuredDepth(scenes)
    images: list[Image] = []
    for key in keys:
        depth = measured(*key)
        assert depth is not None
        image = read_image(scenes.image_path(*key), f"{scenes.root}: scene {key[0]} image {key[1]}")
        images.append((image, gts.K[key], DepthImage(depth.astype(np.float32), gts.K[key])))
    return images


def depth_cost(runner: Runner, images: Sequence[Image], rounds: int) -> DepthCost:
    """Estimates each image with depth and without, in turn.

    Args:
        rounds: counted calls of either kind; images take turns.
    """
    found: list[int] = []

    def run(number: int, with_depth: int) -> None:
        image, K, depth = images[number % len(images)]
        estimate = runner.estimate(image, K, depth if with_depth else None)
        if with_depth:
            found.append(len(estimate))

    pairs: list[tuple[float, float]] = []
    for number in range(WARM_UP + rounds):
        cases = {key: partial(run, number, key) for key in (0, 1)}
        times = interleaved(cases, 1, lambda _: None)
        pairs.append((times[0][0], times[1][0]))
    without, measured = np.array(pairs[WARM_UP:]).T
    return DepthCost(
        float(np.median(without)),
        float(np.median(measured)),
        float(np.median(measured - without)),
        statistics.fmean(found[WARM_UP:]),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    example = "python -m cope_training.bench.depth --model models/demo --data models/demo/sequence"
    parser = command_parser("bench.depth", __doc__ or "", example)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--data", type=Path, default=Path("models/demo/sequence"))
    parser.add_argument("--images", type=whole_number(1), default=6, help="fullest ones, in turn")
    parser.add_argument("--rounds", type=whole_number(1), default=24, help="counted pairs")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--threads", type=whole_number(1), help="of torch on the CPU")
    return run_command(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    if options.threads:
        torch.set_num_threads(options.threads)
    images = fullest_images(find_scenes(options.data), options.images)
    runner = Estimator.load(options.model, options.device)
    print(depth_cost(runner, images, options.rounds).summary())


if __name__ == "__main__":
    sys.exit(main())
