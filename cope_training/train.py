"""``cope_train``: trains a network on rendered or recorded images, in slices that resume.

Several GPUs: ``torchrun --nproc_per_node N -m cope_training.train --config ...``.
"""

import argparse
import itertools
import signal
import sys
import time
from pathlib import Path

import torch

from cope_ros.bundled import model_path
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.memory import keep_freed_memory
from cope_ros.core.errors import CopeError
from cope_training.data.frame_batch import FrameBatch
from cope_training.data.frame_pool import BLOCK, FramePool, PooledStream
from cope_training.data.frames import Frame, FrameStream
from cope_training.data.sources import build_source, check_recorded
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import load_config
from cope_training.engine.distributed import Ranks, joined
from cope_training.engine.reporting import Reporter
from cope_training.engine.trainer import Trainer
from cope_training.export import export_checkpoint
from cope_training.rendering.scene_config import SceneConfig

NO_WEIGHTS = "none"  # of --init


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
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        help="YAML file, or a bundled one's name such as object",
    )
    parser.add_argument("--out", type=Path, help="folder of the training (out/train/<config>)")
    parser.add_argument("--export", type=Path, help="model file to write (<out>/model.pt)")
    parser.add_argument(
        "--init",
        help="begin with the weights of a checkpoint, a model's folder or a bundled model, of "
        "other objects too (the configuration's); none: ImageNet's",
    )
    parser.add_argument("--meshes", type=Path, help="models folder instead of the configuration's")
    parser.add_argument("--samples", type=int, help="training images in all; may change on resume")
    parser.add_argument("--hours", type=float, help="of training in all, which sets the schedule")
    parser.add_argument("--max-minutes", type=float, default=float("inf"), help="end this slice")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    parser.add_argument("--tensorboard", action="store_true", help="scalars and pictures in <out>")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """One slice: resumes ``out/checkpoint`` if it is there, trains, saves, exports."""
    if options.threads:
        torch.set_num_threads(options.threads)
    out = options.out or Path("out/train") / options.config.stem
    folder = out / "checkpoint"
    with joined(options.device) as (ranks, device):
        trainer = open_trainer(options, folder, ranks, device)
        board = out / "tensorboard" if options.tensorboard else None
        train(trainer, options.max_minutes, folder, board)
    if ranks.is_first:
        model = options.export or out / "model.pt"
        export_checkpoint(checkpoints.load(folder), model)
        print(f"wrote {model}", flush=True)


def open_trainer(
    options: argparse.Namespace, folder: Path, ranks: Ranks, device: torch.device
) -> Trainer:
    """A trainer as the command line wants it: resumed, or started anew."""
    config = (
        load_config(options.config)
        .on(options.device)
        .with_overrides(samples=options.samples, hours=options.hours)
    )
    if options.meshes:
        config = config.of_objects(options.meshes)
    catalogue = Catalogue.from_models_info(config.data.models_info_path)
    if ranks.is_first:
        check_recorded(config, catalogue)
    trainer = Trainer(config, catalogue, device, ranks)
    if folder.exists():
        trainer.resume(checkpoints.load(folder), str(folder))
        story = f"resumed {folder} at crop {trainer.step * config.batch}"
    else:
        names = trainer.network.state_dict().keys()
        source = config.init if options.init is None else options.init
        beginning = None if source in ("", NO_WEIGHTS) else model_path(source)
        initial = None if beginning is None else checkpoints.load_initial(beginning, names)
        report = trainer.start(initial)
        story = f"started from {beginning or 'ImageNet'}; pose head alone: {report}"
    if ranks.is_first:
        print(story, flush=True)
    return trainer


def train(trainer: Trainer, max_minutes: float, folder: Path, board: Path | None = None) -> None:
    """Trains until the configured number of crops or the time is reached, then saves.

    Args:
        trainer: started or resumed.
        max_minutes: after which the slice ends.
        folder: of the checkpoint, which the first process writes.
        board: folder for TensorBoard, None for none.

    Raises:
        CopeError: a loss is not finite, or frames cannot be made. The last checkpoint stays.
    """
    config, ranks = trainer.config, trainer.ranks
    end = time.monotonic() + 60.0 * max_minutes
    stop = _StopRequest()
    next_save = time.monotonic() + 60.0 * config.checkpoint_minutes
    trainer.train_mode()
    share = ranks.share(config.batch)
    reporter = Reporter(trainer, board) if ranks.is_first else None
    with _open_stream(trainer) as stream:
        while trainer.progress < 1.0:
            if ranks.any(time.monotonic() >= end or stop.requested):
                break
            start = time.monotonic()
            batch = _take(stream, share)
            waited = time.monotonic() - start
            losses = trainer.train_step(batch)
            trainer.pass_time(time.monotonic() - start)
            if reporter is None:
                continue
            reporter.step(losses, waited, batch if isinstance(batch, list) else [])
            if time.monotonic() >= next_save:
                checkpoints.save(folder, trainer.checkpoint({}))
                next_save = time.monotonic() + 60.0 * config.checkpoint_minutes
    if reporter is not None:
        reporter.close()
        checkpoints.save(folder, trainer.checkpoint({}))


def _open_stream(trainer: Trainer) -> FrameStream | PooledStream:
    """This process's frames, from the first that the training has not seen on."""
    config, ranks = trainer.config, trainer.ranks
    source = build_source(config, trainer.catalogue)
    start, workers = trainer.step * config.batch, config.data.workers
    if not config.data.pool:
        return FrameStream(source, workers, start + ranks.rank, stride=ranks.world)
    pool = FramePool(config.data.pool, trainer.device)
    rows = int(config.data.scene.get("instances_max", SceneConfig.instances_max))
    blocks = start // BLOCK + ranks.rank
    return PooledStream(source, workers, blocks, ranks.world, rows, pool)


def _take(stream: FrameStream | PooledStream, count: int) -> list[Frame] | FrameBatch:
    if isinstance(stream, PooledStream):
        return stream.take(count)
    return list(itertools.islice(stream, count))


if __name__ == "__main__":
    sys.exit(main())
