"""The paper's Table 3 on the demo objects: what the pose losses are worth.

``python -m cope_training.supervision`` trains a common start with keypoints alone (IM), goes on
from it once for each supervision with the same frames, and scores all of them by ADD(-S) recall,
with the pose from RANSAC-EPnP and from direct regression. Writes ``supervision.json`` and
``supervision.md`` into ``--out``; every training resumes where it stopped.
"""

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.memory import keep_freed_memory
from cope_ros.core.errors import CopeError
from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import get_preset
from cope_training.command import command_parser, run_command, whole_number
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import SUPERVISIONS, TrainConfig, load_config
from cope_training.engine.distributed import Ranks, joined
from cope_training.engine.local_processes import add_process_options, in_processes
from cope_training.engine.trainer import Trainer
from cope_training.export import export_checkpoint
from cope_training.train import train

if TYPE_CHECKING:
    from cope_training.evaluation.metrics.scenes import Scenes

OUT = Path("out/supervision")
IMAGE_ONLY = "IM"  # its pose head learns nothing: no direct pose is scored
SCORE = "add_s_recall"


def run(options: argparse.Namespace, ranks: Ranks, device: torch.device) -> dict[str, Any]:
    """Trains every row in all processes; the first one scores it.

    Returns:
        Configuration, numbers of images, and the recall of each supervision and voting.

    Raises:
        CopeError: a file is missing or broken, or a supervision unknown.
    """
    config = load_config(options.config).with_overrides(samples=options.samples)
    for mode in options.modes:
        config.loss.supervised(mode)
    if ranks.is_first:
        _scenes(options, config)  # so that what is wrong is known before the training
    start = _common_start(config, options, ranks, device)
    rows: list[dict[str, Any]] = []
    images = 0
    for mode in options.modes:
        folder = options.out / mode
        branch = replace(config, supervision=mode)
        _train(branch, folder / "checkpoint", ranks, device, start)
        if not ranks.is_first:
            continue
        export_checkpoint(checkpoints.load(folder / "checkpoint"), folder / "model.pt")
        recall, images = _score(folder / "model.pt", options, config)
        if mode == IMAGE_ONLY:
            recall = {k: v for k, v in recall.items() if k == "RANSAC-EPnP"}
        rows.append({"supervision": mode, SCORE: recall})
        print(f"{mode}: {recall}", flush=True)
    return {
        "config": config.to_dict(),
        "start": start.source,
        "start_samples": 0 if options.init else options.start_samples or config.samples,
        "samples": config.samples,
        "data": str(options.data),
        "images": images,
        "rows": rows,
    }


def _common_start(
    config: TrainConfig, options: argparse.Namespace, ranks: Ranks, device: torch.device
) -> checkpoints.Initial:
    """The weights that all rows begin with: a given model's, or of a training without poses."""
    folder = options.out / "start" / "checkpoint"
    if options.init is None:
        samples = options.start_samples or config.samples
        first = replace(config, supervision=IMAGE_ONLY, samples=samples)
        _train(first, folder, ranks, device)
    catalogue = Catalogue.from_models_info(config.data.models_info_path)
    names = build_network(get_preset(config.preset), catalogue).state_dict().keys()
    return checkpoints.load_initial(options.init or folder, names)


def _train(
    config: TrainConfig,
    folder: Path,
    ranks: Ranks,
    device: torch.device,
    start: checkpoints.Initial | None = None,
) -> None:
    """Trains to the end of the configuration, from a start or from where it stopped."""
    catalogue = Catalogue.from_models_info(config.data.models_info_path)
    trainer = Trainer(config, catalogue, device, ranks)
    if ranks.any(ranks.is_first and folder.exists()):
        trainer.resume(checkpoints.load(folder), str(folder))
    else:
        trainer.start(start)
    if ranks.is_first:
        done = trainer.step * config.batch
        print(f"{folder.parent}: crops {done} to {config.samples}", flush=True)
    train(trainer, float("inf"), folder)
    if trainer.step < config.steps:
        raise CopeError(f"{folder}: stopped before the end; run again to go on")


def _scenes(options: argparse.Namespace, config: TrainConfig) -> "Scenes":
    """What the rows are scored on."""
    from cope_training.evaluation.metrics.scenes import find_scenes

    return find_scenes(options.data).with_models(Path(config.data.path("meshes")))


def _score(
    model: Path, options: argparse.Namespace, config: TrainConfig
) -> tuple[dict[str, float], int]:
    """ADD(-S) recall by voting, and the number of images."""
    # Here, for they need OpenCV, and training does not.
    from cope_training.evaluation.ablation import run_votings
    from cope_training.evaluation.metrics.ground_truth import read_available
    from cope_training.evaluation.metrics.measure import measure
    from cope_training.evaluation.metrics.objects import load_objects
    from cope_training.evaluation.voting import VOTINGS, VotingModel

    scenes = _scenes(options, config)
    objects = load_objects(scenes.models_folder)
    gts = read_available(scenes, options.limit)
    voting = VotingModel(model, options.device, options.score_threshold)
    found = run_votings(voting, scenes, gts, votings=VOTINGS)  # no row trains a second stage
    scores = {k: measure(v, gts, objects).summary[SCORE] for k, v in found.estimates.items()}
    recall = {name: score for name, score in scores.items() if score is not None}
    if len(recall) < len(scores):
        raise CopeError(f"{options.data}: expected visible instances of the objects, got none")
    return recall, len(gts.images)


def table(result: dict[str, Any]) -> str:
    """Markdown: a row for each supervision, a column for each way to the pose."""
    votings = list(dict.fromkeys(name for row in result["rows"] for name in row[SCORE]))
    head = "| supervision | " + " | ".join(votings) + " |"
    lines = [head, "|---|" + "---:|" * len(votings)]
    for row in result["rows"]:
        cells = [f"{row[SCORE][v]:.3f}" if v in row[SCORE] else "-" for v in votings]
        lines.append(f"| {row['supervision']} | " + " | ".join(cells) + " |")
    start = (
        result["start"] if not result["start_samples"] else f"{result['start_samples']} crops of IM"
    )
    note = (
        f"ADD(-S) recall on {result['images']} images of {result['data']}; "
        f"{result['samples']} crops each after {start}."
    )
    return "\n".join([*lines, "", note]) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    work = partial(in_processes, "cope_training.supervision", arguments, _run)
    return run_command(_parser(), work, arguments)


def _run(options: argparse.Namespace) -> None:
    """All rows in this process, or in its share of them; the first one writes."""
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    with joined(options.device) as (ranks, device):
        result = run(options, ranks, device)
    if ranks.is_first:
        (options.out / "supervision.json").write_text(json.dumps(result, indent=2) + "\n")
        (options.out / "supervision.md").write_text(table(result))
        print(table(result))


def _parser() -> argparse.ArgumentParser:
    example = "python -m cope_training.supervision --processes 2"
    parser = command_parser("supervision", __doc__ or "", example)
    add = parser.add_argument
    add("--config", type=Path, default=Path("config/training/supervision.yaml"))
    add("--data", type=Path, default=Path("models/demo/sequence"), help="BOP set to score on")
    add("--out", type=Path, default=OUT)
    add("--samples", type=whole_number(1), help="training images of each row (as configured)")
    add("--start-samples", type=whole_number(1), help="of the common start (as many)")
    add("--init", type=Path, help="checkpoint or model.pt to start from instead")
    add("--modes", nargs="+", default=list(SUPERVISIONS), metavar="MODE")
    add("--limit", type=whole_number(1), help="score the first N images only")
    add("--score-threshold", type=float, help="default: the model's")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_process_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
