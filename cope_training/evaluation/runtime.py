"""Runtime over the number of instances (paper, Figures 3 and 4), stage by stage.

``python -m cope_training.evaluation.runtime --model models/demo`` renders scenes of 1 to 100
instances of the model's objects (the IC-BIN syn protocol) and measures, over five runs, the mean
and standard deviation per image of the network, the decoding of poses, the clustering, and the
whole call. Writes ``out/eval/runtime_<model>_<device>.json`` and ``.svg`` and ``.png``.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.deployment.preprocessing import fit_image
from cope_ros.core.deployment.runtime import Estimator, resolve_device
from cope_ros.core.errors import CopeError
from cope_training.progress import ProgressBar

COUNTS = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
RUNS = 5
WARM_UP = 3
SIZE_PX = (65.0, 80.0)  # apparent diameter of the rendered objects
REAL_TIME_MS = 1e3 / 24  # the paper's threshold for real time
STAGES = ("network", "decode", "cluster", "total")

Frames = Sequence[tuple[np.ndarray, np.ndarray]]  # image (H, W, 3) uint8 and K (3, 3)


@dataclass(frozen=True)
class Timing:
    """Milliseconds per image at one number of instances; each value is that of one run."""

    instances: int  # rendered into each image
    found: float  # mean number of instances that came out
    ms: dict[str, list[float]]  # stage -> one mean per run

    def mean(self, stage: str) -> float:
        """Mean over the runs, ms."""
        return float(np.mean(self.ms[stage]))

    def deviation(self, stage: str) -> float:
        """Standard deviation over the runs, ms."""
        return float(np.std(self.ms[stage]))


class StagedModel:
    """An exported model that can be run stage by stage."""

    def __init__(self, path: Path, device: str, score_threshold: float | None = None) -> None:
        """Loads the file twice: for the stages and, as programs use it, for the whole call."""
        self.device = resolve_device(device)
        self.scripted, self.metadata = load_model(path, self.device)
        self.estimator = Estimator.load(path, str(self.device))
        self.estimator.configure(score_threshold=score_threshold)
        if score_threshold is not None:
            self.scripted.score_threshold.fill_(score_threshold)
        for _ in range(WARM_UP):
            size = self.metadata["input_size"]
            self.measure(np.zeros((size[1], size[0], 3), np.uint8), np.diag([500.0, 500.0, 1.0]))

    def measure(self, image: np.ndarray, K: np.ndarray) -> tuple[dict[str, float], int]:
        """Seconds of every stage for one image, and how many instances came out."""
        with torch.inference_mode():
            tensor, fit = fit_image(torch.from_numpy(image.copy()), *self.metadata["input_size"])
            batch = tensor.to(self.device)[None]
            camera = torch.from_numpy(fit.intrinsics(K)).float().to(self.device)[None]
            network, _ = self._timed(lambda: self.scripted.network(batch))
            poses, hypotheses = self._timed(lambda: self.scripted.hypothesize(batch, camera))
            cluster, _ = self._timed(lambda: self.scripted.group(hypotheses))
        total, found = self._timed(lambda: self.estimator.estimate(image, K))
        # The network runs inside of hypothesize, so decoding is what that takes longer; not
        # clipped at zero, so that the mean over images and runs stays unbiased.
        stages = {"network": network, "decode": poses - network, "cluster": cluster}
        return stages | {"total": total}, len(found)

    def _timed(self, call: Callable[[], Any]) -> tuple[float, Any]:
        self._wait()
        start = time.perf_counter()
        result = call()
        self._wait()
        return time.perf_counter() - start, result

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def measure_count(model: StagedModel, instances: int, frames: Frames, runs: int = RUNS) -> Timing:
    """Timing over ``runs`` runs through the frames."""
    ms: dict[str, list[float]] = {stage: [] for stage in STAGES}
    found = 0
    for _ in range(runs):
        sums = dict.fromkeys(STAGES, 0.0)
        for image, K in frames:
            seconds, number = model.measure(image, K)
            found += number
            for stage in STAGES:
                sums[stage] += seconds[stage]
        for stage in STAGES:
            ms[stage].append(1e3 * sums[stage] / len(frames))
    return Timing(instances, found / (runs * len(frames)), ms)


def render_frames(models: Path, count: int, images: int, seed: int) -> Frames:
    """``images`` scenes with ``count`` instances each, all over the image, as IC-BIN syn.

    Objects are small enough that 100 of them are not hidden by one another; reproducible from
    the seed.
    """
    from cope_training.rendering.scene_config import SceneConfig
    from cope_training.rendering.scenes import sample_scene
    from cope_training.rendering.studio import Studio, load_objects

    config = SceneConfig(
        models=str(models),
        size_min=SIZE_PX[0],
        size_max=SIZE_PX[1],
        same_class_share=0.0,
        resting_share=0.0,
        clutter_max=0,
        occluder_share=0.0,
        empty_share=0.0,
    )
    studio = Studio(load_objects(models), backgrounds=None, seed=seed)
    rng = np.random.default_rng([seed, count])
    frames = [sample_scene(rng, studio, config, n_instances=count) for _ in range(images)]
    return [(frame.image, frame.K) for frame in frames]


def plot(timings: Sequence[Timing], title: str, path: Path) -> None:
    """Writes the figure as SVG and PNG."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    count = [timing.instances for timing in timings]
    for stage, color in zip(STAGES, ("#2a6fdb", "#e07a1f", "#3a9e5c", "#222222"), strict=True):
        mean = [timing.mean(stage) for timing in timings]
        spread = [timing.deviation(stage) for timing in timings]
        axes.errorbar(count, mean, spread, color=color, marker="o", ms=3, capsize=2, label=stage)
    axes.axhline(REAL_TIME_MS, color="black", linestyle="--", linewidth=1)
    axes.annotate("24 fps", (count[-1], REAL_TIME_MS), ha="right", va="bottom")
    axes.set(xlabel="instances in the image", ylabel="ms per image", title=title, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    for suffix in (".svg", ".png"):
        figure.savefig(path.with_suffix(suffix), bbox_inches="tight", dpi=130)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    args = _parser().parse_args(arguments)
    try:
        model = StagedModel(args.model, args.device, args.score_threshold)
        timings = _measure_all(model, args)
    except CopeError as error:
        print(f"runtime: {error}", file=sys.stderr)
        return 1
    name = args.model.parent.name if args.model.is_file() else args.model.name
    where = _device_name(model.device)
    path = args.out / f"runtime_{name}_{model.device.type}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(timing) for timing in timings]
    content = {"model": name, "device": where, "runs": args.runs, "images": args.images}
    path.write_text(json.dumps(content | {"timings": rows}, indent=2) + "\n")
    plot(timings, f"{name} on {where}", path)
    print(_table(timings))
    print(f"written: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/demo"))
    parser.add_argument("--models", type=Path, help="folder of the objects; default: the model's")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--score-threshold", type=float, help="default: the model's")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--images", type=int, default=4, help="scenes per number of instances")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seed", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("out/eval"))
    return parser


def _measure_all(model: StagedModel, args: argparse.Namespace) -> list[Timing]:
    progress = ProgressBar()
    folder = args.models or (args.model.parent if args.model.is_file() else args.model)
    timings = []
    for number, count in enumerate(args.counts):
        frames = render_frames(folder, count, args.images, args.seed)
        timings.append(measure_count(model, count, frames, args.runs))
        progress("runtime", (number + 1) / len(args.counts))
    return timings


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"CPU, {torch.get_num_threads()} threads"


def _table(timings: Sequence[Timing]) -> str:
    """Markdown: mean +- standard deviation over the runs, ms."""
    lines = ["| instances | found | " + " | ".join(STAGES) + " |", "|---:|" + "---:|" * 5]
    for timing in timings:
        cells = [f"{timing.mean(s):.1f} ± {timing.deviation(s):.1f}" for s in STAGES]
        lines.append(f"| {timing.instances} | {timing.found:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
