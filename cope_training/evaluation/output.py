"""What an evaluation leaves: scores as JSON, poses as BOP's CSV, the page, a summary in text."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cope_training.data.bop_csv import write_results
from cope_training.evaluation.failures import Failures, explain
from cope_training.evaluation.images import EvaluatedImages, scored_first
from cope_training.evaluation.inference import Run
from cope_training.evaluation.metrics.measure import Measurement
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.scenes import Scenes
from cope_training.evaluation.metrics.scores import VISIBILITY_EDGES
from cope_training.evaluation.oracle import oracle_rows, oracle_table
from cope_training.evaluation.page import Truth, write_page
from cope_training.evaluation.report import detection_section, results_of, score_sections


@dataclass(frozen=True)
class Evaluation:
    """A run over a data set and, where there is ground truth, its scores."""

    scenes: Scenes
    images: EvaluatedImages
    objects: Mapping[int, EvalObject]
    run: Run  # estimates with boxes
    result: Measurement | None
    names: Mapping[int, str]  # obj_id -> class_id
    device: str  # empty for a result file


def write_evaluation(options: argparse.Namespace, done: Evaluation) -> None:
    """Writes all files into ``options.out`` and prints the summary.

    Args:
        options: of ``cope_eval``.
    """
    source = options.model if options.model is not None else options.results
    model = model_name(source)
    stem = options.out / f"{model}_{done.scenes.root.name}"
    options.out.mkdir(parents=True, exist_ok=True)
    failures = _failures(done)
    content: dict[str, Any] = {
        "model": model,
        "data": done.scenes.root.name,
        "device": done.device or None,
        "score_threshold": options.score_threshold,
        "depth": options.depth,
        "depth_confirmed": done.run.confirmed / max(len(done.run.estimates), 1)
        if options.depth
        else None,
        **_run_summary(done),
        **_scores(done, failures),
    }
    if options.oracle and done.result is not None and done.images.gts is not None:
        rows = oracle_rows(
            done.result, done.images.gts, done.objects, done.names, options.min_visibility
        )
        content["oracle"] = {name: row.to_dict() for name, row in rows.items()}
        print(oracle_table(rows))
    Path(f"{stem}.json").write_text(json.dumps(content, indent=2) + "\n")
    if options.model is not None:
        write_results(f"{stem}.csv", done.run.estimates)
    if not options.no_report:
        _write_page(options.out / "index.html", done, model, failures)
    if content["depth_confirmed"] is not None:
        print(f"{'depth_confirmed':<26} {content['depth_confirmed']:.5f}")
    _print_summary(done, stem)


def model_name(source: Path) -> str:
    """How the files of a model or a result file are called."""
    return source.parent.name if source.name == "model.pt" else source.stem


def _failures(done: Evaluation) -> Failures | None:
    if done.result is None or done.images.gts is None:
        return None
    return explain(done.result.estimates, done.images.gts, done.result.found_by, done.objects)


def _run_summary(done: Evaluation) -> dict[str, Any]:
    """What is known without ground truth, too; ``images`` are those that were scored."""
    count, images = len(done.run.estimates), len(done.images.K)
    summary: dict[str, Any] = {
        "images_estimated": images,
        "images": 0,
        "detections": count,
        "detections_per_image": count / images,
        "time_s_per_image": None,
    }
    if len(done.run.image_seconds):  # images without an estimate took their time, too
        summary["time_s_per_image"] = float(done.run.image_seconds.mean())
    return summary


def _scores(done: Evaluation, failures: Failures | None) -> dict[str, Any]:
    result, obj_ids = done.result, done.run.estimates.obj_id
    found = {i: {"obj_id": i, "detections": int((obj_ids == i).sum())} for i in done.objects}
    if result is None or failures is None:
        return {"per_object": {done.names[i]: row for i, row in found.items()}}
    return {
        **result.summary,
        "failures": failures.counts(),
        "by_visibility": _by_visibility(result),
        "per_object": {done.names[i]: {**found[i], **row} for i, row in result.per_object.items()},
    }


def _by_visibility(result: Measurement) -> dict[str, Any]:
    """Recall in each tenth of visibility, None where no instance is."""
    binned = {
        kind: [None if np.isnan(value) else float(value) for value in shares]
        for kind, shares in result.by_visibility.items()
    }
    edges = VISIBILITY_EDGES.tolist()
    return {"edges": edges, "instances": result.instances_by_visibility.tolist(), **binned}


def _write_page(path: Path, done: Evaluation, model: str, failures: Failures | None) -> None:
    facts = {"model": model, "data": str(done.scenes.root), "images": str(len(done.images.K))}
    facts |= {"device": done.device} if done.device else {}
    facts |= {"scores": done.images.said} if done.images.said else {}
    ests, gts, names = done.run.estimates, done.images.gts, done.names
    truth: Truth | None = None
    tables: list[str] = []
    if done.result is not None and gts is not None and failures is not None:
        ests = scored_first(ests, done.result.estimates, gts)
        truth = Truth(gts, failures)
        tables = score_sections(done.result, truth, names)
    page = results_of(done.scenes, done.run, ests, done.images.K, facts, done.objects, names)
    tables = [detection_section(page), *tables]
    write_page(path, replace(page, truth=truth, tables=tables))


def _print_summary(done: Evaluation, stem: Path) -> None:
    summary = _run_summary(done) if done.result is None else done.result.summary
    for name, value in summary.items():
        shown = "-" if value is None else f"{value:.5f}" if isinstance(value, float) else value
        print(f"{name:<26} {shown}")
    if done.images.said:
        print(done.images.said)
    print(f"written: {stem}.json")
