"""The ablation of the paper's Table 3: ADD(-S) recall by the way an instance's pose is voted.

``python -m cope_training.evaluation.ablation`` runs models/demo on its sequence and, where both
are present, models/lmo on LM-O; ``--on MODEL DATA`` (repeatable) names others. Prints one table
and writes ``out/eval/ablation.json``.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.data.photographs import read_image
from cope_training.evaluation.inference import check_same_objects, joined
from cope_training.evaluation.metrics.ground_truth import read_available
from cope_training.evaluation.metrics.measure import measure
from cope_training.evaluation.metrics.objects import load_objects
from cope_training.evaluation.metrics.scenes import Scenes, find_scenes
from cope_training.evaluation.metrics.tables import UNKNOWN_TIME, Estimates, GroundTruth
from cope_training.evaluation.voting import VotingModel, instance_rows
from cope_training.progress import Progress, ProgressBar

OUT = Path("out/eval/ablation.json")
REAL_DATA = Path(os.environ.get("COPE_DATA", "../shared/data"))
DEFAULTS = (
    (Path("models/demo"), Path("models/demo/sequence")),
    (Path("models/lmo"), REAL_DATA / "lmo"),
)
SHOWN = ("add_s_recall", "add_s_recall_object_mean", "ar_mssd", "ar_mspd")


@dataclass(frozen=True)
class Ablation:
    """Estimates of every way of voting, and what voting took."""

    estimates: dict[str, Estimates]
    ms_per_image: dict[str, float]  # from the hypotheses to the poses, without the network


def run_votings(
    model: VotingModel,
    scenes: Scenes,
    gts: GroundTruth,
    progress: Progress | None = None,
    votings: Sequence[str] = (),
) -> Ablation:
    """Runs the network once per image and votes in every way, or in ``votings`` alone."""
    votings = votings or model.votings
    parts: dict[str, list[Estimates]] = {voting: [] for voting in votings}
    seconds = dict.fromkeys(votings, 0.0)
    obj_ids = np.array([item.obj_id for item in model.catalogue], dtype=np.int64)
    for number, key in enumerate(gts.images):
        image = read_image(scenes.image_path(*key), f"{scenes.root}: image {key}")
        votes = model.hypothesize(image, gts.K[key])
        index, score, boxes = instance_rows(votes)
        for voting in votings:
            start = time.perf_counter()
            R, t = model.poses(votes, voting)
            seconds[voting] += time.perf_counter() - start
            rows = _table(key, obj_ids[index], score, R, t, boxes)
            parts[voting].append(rows.take(np.isfinite(t).all(axis=1)))
        if progress is not None:
            progress("voting", (number + 1) / len(gts.images))
    per_image = 1e3 / len(gts.images)
    return Ablation(
        {voting: joined(rows) for voting, rows in parts.items()},
        {voting: spent * per_image for voting, spent in seconds.items()},
    )


def ablate(
    model: Path, data: Path, device: str, threshold: float | None, limit: int | None = None
) -> dict[str, Any]:
    """Scores of every way of voting of one model on (the first ``limit`` images of) a data set."""
    progress = ProgressBar()
    scenes = find_scenes(data).with_models(model)
    objects = load_objects(scenes.models_folder)
    voting_model = VotingModel(model, device, threshold)
    check_same_objects(voting_model.catalogue, objects, str(data))
    gts = read_available(scenes, limit)
    found = run_votings(voting_model, scenes, gts, progress)
    rows = {}
    for voting, ests in found.estimates.items():
        ests = ests.take(np.isin(ests.obj_id, list(objects)))
        summary = measure(ests, gts, objects).summary
        rows[voting] = {name: summary[name] for name in SHOWN}
        rows[voting]["voting_ms_per_image"] = found.ms_per_image[voting]
    return {
        "model": model.name,
        "data": scenes.root.name,
        "device": str(voting_model.device),
        "images": len(gts.images),
        "votings": rows,
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: one row per way of voting, two columns per data set."""
    names = [f"{r['model']} on {r['data']} ({r['images']} images)" for r in results]
    head = "| voting | " + " | ".join(f"ADD(-S), {n} | ms" for n in names) + " |"
    lines = [head, "|---|" + "---:|---:|" * len(results)]
    for voting in dict.fromkeys(name for r in results for name in r["votings"]):
        cells = []
        for result in results:
            row = result["votings"].get(voting)
            if row is None:
                cells.append("- | -")
                continue
            cells.append(f"{row['add_s_recall']:.3f} | {row['voting_ms_per_image']:.1f}")
        lines.append(f"| {voting} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", nargs=2, type=Path, action="append", metavar=("MODEL", "DATA"))
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--score-threshold", type=float, help="default: the model's")
    parser.add_argument("--limit", type=int, help="the first N images only")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    args = parser.parse_args(arguments)
    chosen = args.on or [(m, d) for m, d in DEFAULTS if (m / "model.pt").is_file() and d.is_dir()]
    try:
        if not chosen:
            raise CopeError("no model and data set here; name them with --on MODEL DATA")
        options = args.device, args.score_threshold, args.limit
        results = [ablate(m, d, *options) for m, d in chosen]
    except CopeError as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 1
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))
    print(f"written: {args.out}")
    return 0


def _table(
    key: tuple[int, int],
    obj_id: np.ndarray,
    score: np.ndarray,
    R: np.ndarray,
    t: np.ndarray,
    boxes: np.ndarray,
) -> Estimates:
    n = len(score)
    scene_id, im_id = np.full(n, key[0], np.int64), np.full(n, key[1], np.int64)
    return Estimates(scene_id, im_id, obj_id, score, R, t, np.full(n, UNKNOWN_TIME), boxes)


if __name__ == "__main__":
    sys.exit(main())
