"""``cope_train``: trains a network on rendered or recorded images and makes a model's folder.

``cope_train --config object --meshes models/mine --out runs/mine --hours 2`` trains, chooses the
score threshold, validates, calibrates, exports and writes the card, as the configuration's
``stages`` say; stopped at any time, the same command goes on.
Several GPUs or CPU cores: ``--processes N``; several machines: torchrun.
"""

import argparse
import contextlib
import itertools
import sys
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch

from cope_ros.bundled import model_path
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.memory import keep_freed_memory
from cope_ros.core.errors import CopeError
from cope_training.command import OK, STOPPED, run_command
from cope_training.data.frame_batch import FrameBatch
from cope_training.data.frame_pool import BLOCK, FramePool, PooledStream
from cope_training.data.frames import Frame, FrameStream
from cope_training.data.sources import build_source
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.command_line import training_parser, with_folders
from cope_training.engine.configuration import load_config
from cope_training.engine.distributed import Ranks, joined
from cope_training.engine.finishing_config import EXPORT, TRAINING
from cope_training.engine.initialization import with_crop_head
from cope_training.engine.inputs import check_inputs
from cope_training.engine.local_processes import in_processes
from cope_training.engine.reporting import Reporter
from cope_training.engine.stop_request import StopRequest
from cope_training.engine.trainer import Trainer
from cope_training.engine.validator import Validator
from cope_training.export import export_checkpoint
from cope_training.files import check_output_file, check_output_folder
from cope_training.finishing.stages import Finishing, finish
from cope_training.rendering.scene_config import SceneConfig

NO_WEIGHTS = "none"  # of --init
UNLIMITED = 10**9  # training images
HARDLY = 0.2  # share of right poses below which a model is of little use


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the process's exit code."""
    work = partial(in_processes, "cope_training.train", arguments, run)
    return run_command(training_parser(__doc__ or ""), work, arguments)


def run(options: argparse.Namespace) -> int:
    """One slice: resumes ``out/checkpoint`` if it is there, trains, saves; then the other stages.

    Returns:
        The process's exit code: STOPPED after Ctrl-C.
    """
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    out = options.out or Path("out/train") / options.config.stem
    folder = out / "checkpoint"
    check_output_folder(out)
    check_output_file(options.export or out / "model.pt")
    with joined(options.device) as (ranks, device):
        trainer = open_trainer(options, folder, ranks, device)
        board = out / "tensorboard" if options.tensorboard else None
        looks = ranks.is_first and trainer.config.validation.wanted and trainer.progress < 1.0
        with contextlib.closing(Validator(trainer, out)) if looks else nullcontext() as validator:
            stopped = train(trainer, options.max_minutes, folder, board, validator)
    if stopped:
        done = f"{100 * trainer.progress:.0f} % of the training"
        print(f"cope_train: stopped after {done}; the same command goes on", file=sys.stderr)
        return STOPPED
    if ranks.is_first:
        _finish(trainer.progress >= 1.0, folder, options.export or out / "model.pt", device)
    return OK


def _finish(trained: bool, folder: Path, model: Path, device: torch.device) -> None:
    """The stages after the training; before its end the model file alone."""
    saved = checkpoints.load(folder)
    if not trained or saved.config.stages == [TRAINING, EXPORT]:
        export_checkpoint(saved, model)
        print(f"wrote {model}", flush=True)
        return
    work = Finishing(saved, folder.parent, model, device, partial(print, flush=True))
    lacking = finish(work)
    if work.right is not None and work.right < HARDLY:
        print(f"of the instances at least half visible {work.right:.3f} are right: train longer")
    if lacking:
        print(f"{model.parent} lacks {', '.join(lacking)}", flush=True)
    else:
        print(
            f"{model.parent} is ready: ros2 launch cope_ros cope.launch.py "
            f"model:={model.parent.resolve()}",
            flush=True,
        )


def open_trainer(
    options: argparse.Namespace, folder: Path, ranks: Ranks, device: torch.device
) -> Trainer:
    """A trainer as the command line wants it: resumed, or started anew."""
    samples = options.samples
    if options.hours and not samples:
        samples = UNLIMITED  # time alone ends it
    config = (
        load_config(options.config)
        .on(options.device)
        .with_overrides(samples=samples, hours=options.hours)
    )
    config = with_folders(config, options)
    catalogue = Catalogue.from_models_info(config.data.models_info_path)
    if ranks.is_first:
        check_inputs(config, catalogue)
    trainer = Trainer(config, catalogue, device, ranks)
    if _resumes(folder, ranks):
        trainer.resume(checkpoints.load(folder), str(folder))
        story = f"resumed {folder} at crop {trainer.step * config.batch}"
    else:
        initial = _initial(config.init if options.init is None else options.init, trainer)
        report = trainer.start(initial)
        beginning = initial.source if initial is not None else "ImageNet"
        story = f"started from {beginning}; pose head alone: {report}"
    if ranks.is_first:
        print(story, flush=True)
    return trainer


def _initial(source: str, trainer: Trainer) -> checkpoints.Initial | None:
    """What a training begins with: a model's weights, and a crop head if that has none."""
    if source in ("", NO_WEIGHTS):
        return None
    names, crop_head = trainer.network.state_dict().keys(), trainer.config.crop_head.init
    initial = checkpoints.load_initial(model_path(source), names)
    if not crop_head:
        return initial
    other = checkpoints.load_initial(model_path(crop_head), names)
    return with_crop_head(initial, other, trainer.catalogue)


def _resumes(folder: Path, ranks: Ranks) -> bool:
    """Whether there is a checkpoint to go on from; the same answer in all processes.

    Raises:
        CopeError: the first process has one, and this one does not see it.
    """
    there = ranks.any(ranks.is_first and checkpoints.is_there(folder))
    if there and not folder.exists():
        raise CopeError(
            f"{folder}: process {ranks.rank} does not see the checkpoint; all machines of a "
            "training need one file system"
        )
    return there


def train(
    trainer: Trainer,
    max_minutes: float,
    folder: Path,
    board: Path | None = None,
    validator: Validator | None = None,
) -> bool:
    """Trains until the configured number of crops or the time is reached, then saves.

    Args:
        trainer: started or resumed.
        max_minutes: after which the slice ends.
        folder: of the checkpoint, which the first process writes.
        board: folder for TensorBoard, None for none.
        validator: of the first process; the others wait while it looks.

    Returns:
        Whether a signal ended it.

    Raises:
        CopeError: a loss is not finite, or frames cannot be made. The last checkpoint stays.
    """
    config, ranks = trainer.config, trainer.ranks
    end = time.monotonic() + 60.0 * max_minutes
    next_save = time.monotonic() + 60.0 * config.checkpoint_minutes
    trainer.train_mode()
    share = ranks.share(config.batch)
    reporter = Reporter(trainer, board) if ranks.is_first else None
    with StopRequest() as stop, _open_stream(trainer) as stream:
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
            if validator is not None and validator.due():
                reporter.validated(validator.look())
            if time.monotonic() >= next_save:
                checkpoints.save(folder, trainer.checkpoint({}))
                next_save = time.monotonic() + 60.0 * config.checkpoint_minutes
    if reporter is not None:
        reporter.close()
        checkpoints.save(folder, trainer.checkpoint({}))
    return ranks.any(stop.requested)


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
