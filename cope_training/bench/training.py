"""``make bench-train``: images per second of rendering, targets, augmentation and training step.

Rendering and targets run on one core, as in one worker; the step as in a training, on all of
torch's threads or on a GPU. Writes ``out/bench/train.json`` and says what limits a training.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.memory import keep_freed_memory
from cope_ros.core.errors import CopeError
from cope_training.data.frames import Frame
from cope_training.data.sources import build_source
from cope_training.engine.command_line import add_data_options, with_data
from cope_training.engine.configuration import TrainConfig, load_config
from cope_training.engine.trainer import Trainer

OUT = Path("out/bench/train.json")
WARM_UP = 2  # calls that are not timed
POSES_DONE = 1.0  # progress at which every loss is computed


def rate(call: Callable[[int], Any], images: int, seconds: float) -> float:
    """Images per second of a call that handles ``images``, over at least ``seconds``."""
    for i in range(WARM_UP):
        call(i)
    start, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < seconds:
        call(WARM_UP + count)
        count += 1
    return count * images / spent


def bench(config: TrainConfig, device: torch.device, seconds: float) -> dict[str, Any]:
    """Rates of all stages of a training.

    Args:
        seconds: time for each stage.
    """
    catalogue = Catalogue.from_models_info(config.data.models_info_path)
    trainer = Trainer(config, catalogue, device)
    trainer.train_mode()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    read = build_source(config, catalogue).open()
    frames = [read(i) for i in range(4 * config.batch)]
    batches = [frames[i::4][: config.batch] for i in range(4)]
    rates = {
        "render_per_s": rate(read, 1, seconds),
        "targets_per_s": rate(
            lambda i: trainer.task.targets(batches[i % 4]), config.batch, seconds
        ),
    }
    torch.set_num_threads(threads)
    images = [_stack(b).to(device) for b in batches]
    rates["augment_per_s"] = rate(
        lambda i: _finished(trainer.augment(images[i % 4])), config.batch, seconds
    )
    trainer.step = int(POSES_DONE * config.steps)
    rates["step_per_s"] = rate(lambda i: trainer.train_step(batches[i % 4]), config.batch, seconds)
    height, width = frames[0].image.shape[:2]
    data = 1.0 / (1.0 / rates["render_per_s"] + 1.0 / rates["targets_per_s"])
    return {
        "device": _device_name(device),
        "cores": os.cpu_count(),
        "threads": threads,
        "preset": config.preset,
        "image_size": [width, height],
        "batch": config.batch,
        **{name: round(value, 2) for name, value in rates.items()},
        "data_per_s_and_core": round(data, 2),
        "bottleneck": "step" if data >= rates["step_per_s"] else "data of one core",
    }


def _stack(frames: Sequence[Frame]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(f.image) for f in frames])


def _finished(result: torch.Tensor) -> torch.Tensor:
    """Waits for a GPU's work."""
    if result.is_cuda:
        torch.cuda.synchronize()
    return result


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if Path("/proc/cpuinfo").is_file():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("config/training/object.yaml"))
    add_data_options(parser)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each stage (15)")
    parser.add_argument("--threads", type=int, help="of torch in the step")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    keep_freed_memory()
    try:
        config = with_data(load_config(options.config), options)
        result = bench(config, torch.device(options.device), options.seconds)
    except CopeError as error:
        print(f"bench-train: {error}", file=sys.stderr)
        return 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
