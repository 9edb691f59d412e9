"""``cope_train``: trains a network on rendered images, in slices that resume."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.memory import keep_freed_memory
from cope_training import checkpoint as checkpoints
from cope_training.config import TrainConfig, load_config
from cope_training.engine import Trainer
from cope_training.export import export_checkpoint
from cope_training.frames import Frame, FrameStream
from cope_training.rendering.scene_config import SceneConfig

LOG_SECONDS = 20.0


class Progress:
    """Averages losses between two printed lines."""

    def __init__(self, total_steps: int, batch: int) -> None:
        self.total_steps, self.batch = total_steps, batch
        self.sums: dict[str, float] = {}
        self.count = 0
        self.since = time.monotonic()
        self.waited = 0.0  # s for frames

    def add(self, losses: dict[str, float], waited: float) -> None:
        """Takes one step's losses and the time it waited for frames (s)."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        self.waited += waited

    def due(self) -> bool:
        """Whether it is time to print."""
        return time.monotonic() - self.since >= LOG_SECONDS

    def line(self, step: int) -> str:
        """Rate, time to go and mean losses since the last line; starts anew."""
        seconds = time.monotonic() - self.since
        rate = self.count * self.batch / seconds
        left = (self.total_steps - step) * self.batch / max(rate, 1e-6)
        parts = " ".join(f"{k} {v / self.count:.4f}" for k, v in self.sums.items())
        text = (
            f"step {step}/{self.total_steps} crops {step * self.batch} {rate:.1f}/s "
            f"wait {100 * self.waited / seconds:.0f}% eta {left / 60:.0f} min | {parts}"
        )
        self.sums, self.count, self.since, self.waited = {}, 0, time.monotonic(), 0.0
        return text


class _StopRequest:
    """Becomes true on SIGTERM or Ctrl-C, so that the slice ends with a checkpoint."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)

    def _request(self, *_: object) -> None:
        self.requested = True


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the process's exit code."""
    options = _parse(arguments)
    keep_freed_memory()
    try:
        run(options)
    except CopeError as error:
        print(f"cope_train: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cope_train", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="training configuration, YAML")
    parser.add_argument("--out", type=Path, help="folder of the training (out/train/<config>)")
    parser.add_argument("--export", type=Path, help="model file to write (<out>/model.pt)")
    parser.add_argument(
        "--init", type=Path, help="start from a checkpoint or model.pt, of other objects too"
    )
    parser.add_argument("--crops", type=int, help="training images in all; may change on resume")
    parser.add_argument("--max-minutes", type=float, default=float("inf"), help="end this slice")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """One slice: resumes ``out/checkpoint`` if it is there, trains, saves, exports."""
    if options.threads:
        torch.set_num_threads(options.threads)
    out = options.out or Path("out/train") / options.config.stem
    config = load_config(options.config).with_overrides(crops=options.crops)
    data = config.data
    models_info = data.path("models_info") or Path(data.path("meshes")) / "models_info.json"
    catalogue = Catalogue.from_models_info(Path(models_info))
    trainer = Trainer(config, catalogue, torch.device(options.device))
    folder = out / "checkpoint"
    if folder.exists():
        trainer.resume(checkpoints.load(folder), str(folder))
        print(f"resumed {folder} at crop {trainer.step * config.batch}", flush=True)
    else:
        names = trainer.network.state_dict().keys()
        initial = checkpoints.load_initial(options.init, names) if options.init else None
        report = trainer.start(initial)
        print(f"started from {options.init or 'ImageNet'}; pose head alone: {report}", flush=True)
    train(trainer, options.max_minutes, folder)
    model = options.export or out / "model.pt"
    export_checkpoint(checkpoints.load(folder), model)
    print(f"wrote {model}", flush=True)


def train(trainer: Trainer, max_minutes: float, folder: Path) -> None:
    """Trains until the configured number of crops or the time is reached, then saves."""
    config = trainer.config
    end = time.monotonic() + 60.0 * max_minutes
    stop = _StopRequest()
    next_save = time.monotonic() + 60.0 * config.checkpoint_minutes
    progress = Progress(config.steps, config.batch)
    trainer.train_mode()
    with open_stream(config, trainer.step * config.batch) as stream:
        frames = iter(stream)
        while trainer.step < config.steps and time.monotonic() < end and not stop.requested:
            start = time.monotonic()
            batch = _take(frames, config.batch)
            waited = time.monotonic() - start
            progress.add(trainer.train_step(batch), waited)
            if progress.due():
                print(progress.line(trainer.step), flush=True)
            if time.monotonic() >= next_save:
                checkpoints.save(folder, trainer.checkpoint({}))
                next_save = time.monotonic() + 60.0 * config.checkpoint_minutes
    checkpoints.save(folder, trainer.checkpoint({}))


def open_stream(config: TrainConfig, start: int) -> FrameStream:
    """The stream of training frames of a configuration, from frame ``start`` on."""
    data = config.data
    meshes, backgrounds = data.path("meshes"), data.path("backgrounds") or None
    scene = SceneConfig(models=meshes, backgrounds=backgrounds, **data.scene)
    return FrameStream(scene, seed=config.seed, workers=data.workers, start=start)


def _take(frames: Iterator[Frame], count: int) -> list[Frame]:
    return [next(frames) for _ in range(count)]


if __name__ == "__main__":
    sys.exit(main())
