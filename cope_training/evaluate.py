"""``cope_eval``: runs an exported model over a BOP data set and scores it as BOP does.

``cope_eval --model models/demo --data models/demo/sequence`` or, for a result file of any
method, ``cope_eval --results method.csv --data lmo``. Writes ``out/eval/<model>_<data>.json``,
``.csv`` (BOP) and the page ``out/eval/index.html``. ``cope_eval --model models/demo --negatives
photos`` counts false detections in photographs without the objects.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.errors import CopeError
from cope_training.command import command_parser, number, run_command, whole_number
from cope_training.data.bop_csv import read_results, write_results
from cope_training.evaluation.depth import MeasuredDepth, RenderedDepth
from cope_training.evaluation.failures import explain
from cope_training.evaluation.inference import (
    Run,
    available_images,
    check_same_objects,
    images_with_depth,
    run_model,
)
from cope_training.evaluation.metrics.detection import with_boxes
from cope_training.evaluation.metrics.ground_truth import read_ground_truth
from cope_training.evaluation.metrics.measure import Measurement, measure
from cope_training.evaluation.metrics.objects import EvalObject, load_objects
from cope_training.evaluation.metrics.pair_errors import Progress
from cope_training.evaluation.metrics.scenes import Scenes, check_image_sizes, find_scenes
from cope_training.evaluation.metrics.scores import MIN_VISIBILITY, VISIBILITY_EDGES
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth
from cope_training.evaluation.negatives import (
    THRESHOLDS,
    find_false,
    photographs,
    read_photographs,
)
from cope_training.evaluation.oracle import oracle_rows, oracle_table
from cope_training.evaluation.page import Truth, write_page
from cope_training.evaluation.plausible import check_near_targets
from cope_training.evaluation.report import results_of, score_sections
from cope_training.files import check_output_folder, write_json
from cope_training.progress import ProgressBar

DEFAULT_OUT = Path("out/eval")


def evaluate(
    ests: Estimates,
    scenes: Scenes,
    gts: GroundTruth,
    objects: dict[int, EvalObject],
    progress: Progress | None = None,
    min_visibility: float = MIN_VISIBILITY,
) -> Measurement:
    """Every score; VSD only where each image has its depth."""
    ests = ests.take(np.isin(ests.obj_id, list(objects)))
    if any(scenes.depth_path(*key) is None for key in gts.images):
        return measure(ests, gts, objects, progress=progress, min_visibility=min_visibility)
    depth, renderer = MeasuredDepth(scenes), RenderedDepth(objects)
    return measure(ests, gts, objects, depth, renderer, progress, min_visibility)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(_parser(), _run, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "cope_eval", __doc__ or "", "cope_eval --model models/demo --data models/demo/sequence"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="model directory or model.pt")
    source.add_argument("--results", type=Path, help="score this BOP result file instead")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", type=Path, help="BOP data set, split or scene")
    data.add_argument("--negatives", type=Path, help="folder of photographs without the objects")
    parser.add_argument("--split", default="test", help="of a data set's root (default: test)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="default: %(default)s")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--half", action="store_true", help="half precision, as the node's half")
    parser.add_argument("--score-threshold", type=number(0, 1), help="default: the model's")
    parser.add_argument("--depth", action="store_true", help="fit poses to the depth images")
    parser.add_argument(
        "--min-visibility",
        type=number(0, 1),
        default=MIN_VISIBILITY,
        help="of the instances in add_s_recall_visible and the errors of z (default: %(default)s)",
    )
    parser.add_argument(
        "--oracle", action="store_true", help="also with true rotations and depths put in"
    )
    parser.add_argument(
        "--depth-images", action="store_true", help="only images that have a depth image"
    )
    parser.add_argument("--limit", type=whole_number(1), help="evaluate the first N images only")
    parser.add_argument("--no-report", action="store_true", help="leave the HTML page out")
    return parser


def _run(args: argparse.Namespace) -> int:
    progress = ProgressBar()
    check_output_folder(args.out)
    if args.negatives is not None:
        return _count_false(args, progress)
    scenes = find_scenes(args.data, args.split).with_models(args.model)
    runner = None
    if args.model is not None:
        runner = Estimator.load(args.model, args.device, args.half)
        runner.configure(score_threshold=args.score_threshold, depth=args.depth)
    objects = load_objects(scenes.models_folder)
    gts = with_boxes(_ground_truth(scenes, args), objects)
    check_image_sizes(scenes, gts)
    if runner is None:
        run, device = Run(read_results(args.results, set(objects)), np.zeros(0)), ""
        check_near_targets(run.estimates, gts, objects, args.results)
    else:
        check_same_objects(runner.catalogue, objects, str(scenes.root))
        depth = MeasuredDepth(scenes) if args.depth else None
        run, device = run_model(runner, scenes, gts, progress, depth), str(runner.device)
    result = evaluate(run.estimates, scenes, gts, objects, progress, args.min_visibility)
    if len(run.image_seconds):  # images without an estimate took their time, too
        result.summary["time_s_per_image"] = float(run.image_seconds.mean())
    _write(args, scenes, gts, objects, run, result, device)
    return 0


def _count_false(args: argparse.Namespace, progress: ProgressBar) -> int:
    """False detections per image over score thresholds, printed and written as JSON."""
    if args.model is None:
        raise CopeError("--negatives: expected --model, result files have no images")
    paths = photographs(args.negatives)[: args.limit]
    runner = Estimator.load(args.model, args.device, args.half)
    runner.configure(score_threshold=THRESHOLDS[0])
    false = find_false(runner, read_photographs(paths), progress, len(paths))
    own = float(runner.metadata["score_threshold"])
    own = own if args.score_threshold is None else args.score_threshold
    print(false.table(own))
    path = args.out / f"{_model_name(args.model)}_negatives.json"
    args.out.mkdir(parents=True, exist_ok=True)
    content = {"score_threshold": own, "at_threshold": false.per_image(own), **false.to_dict()}
    write_json(path, content)
    print(f"written: {path}")
    return 0


def _model_name(source: Path) -> str:
    return source.parent.name if source.name == "model.pt" else source.stem


def _ground_truth(scenes: Scenes, args: argparse.Namespace) -> GroundTruth:
    """The annotations; for a model those of the images whose files are there."""
    gts = read_ground_truth(scenes)
    only = available_images(scenes, gts) if args.model is not None else gts.images
    if not only:
        raise CopeError(f"{scenes.root}: none of its {len(gts.images)} images is there")
    if len(only) < len(gts.images):
        print(f"{len(only)} of {len(gts.images)} images are there; the others are left out")
    if args.depth or args.depth_images:
        images, only = len(only), images_with_depth(scenes, only)
        if not only:
            raise CopeError(f"{scenes.root}: none of its {images} images has a depth image")
        print(f"{len(only)} of {images} images have depth; the others are left out")
    return read_ground_truth(scenes, only[: args.limit])


def _write(
    args: argparse.Namespace,
    scenes: Scenes,
    gts: GroundTruth,
    objects: dict[int, EvalObject],
    run: Run,
    result: Measurement,
    device: str,
) -> None:
    source = args.model if args.model is not None else args.results
    model = _model_name(source)
    stem = args.out / f"{model}_{scenes.root.name}"
    names = {i: obj.model.class_id for i, obj in objects.items()}
    failures = explain(result.estimates, gts, result.found_by, objects)
    args.out.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "model": model,
        "data": scenes.root.name,
        "device": device or None,
        "score_threshold": args.score_threshold,
        "depth": args.depth,
        **result.summary,
        "failures": failures.counts(),
        "by_visibility": _by_visibility(result),
        "per_object": {names[i]: {"obj_id": i, **row} for i, row in result.per_object.items()},
    }
    if args.oracle:
        rows = oracle_rows(result, gts, objects, names, args.min_visibility)
        content["oracle"] = {name: row.to_dict() for name, row in rows.items()}
        print(oracle_table(rows))
    Path(f"{stem}.json").write_text(json.dumps(content, indent=2) + "\n")
    if args.model is not None:
        write_results(f"{stem}.csv", run.estimates)
    if not args.no_report:
        facts = {"model": model, "data": str(scenes.root), "images": str(len(gts.images))}
        facts |= {"device": device} if device else {}
        truth = Truth(gts, failures)
        tables = score_sections(result, truth, names)
        page = results_of(scenes, run, result.estimates, gts, facts, objects, names)
        write_page(args.out / "index.html", replace(page, truth=truth, tables=tables))
    _print_summary(result, stem)


def _by_visibility(result: Measurement) -> dict[str, Any]:
    """Recall in each tenth of visibility, None where no instance is."""
    binned = {
        kind: [None if np.isnan(value) else float(value) for value in shares]
        for kind, shares in result.by_visibility.items()
    }
    edges = VISIBILITY_EDGES.tolist()
    return {"edges": edges, "instances": result.instances_by_visibility.tolist(), **binned}


def _print_summary(result: Measurement, stem: Path) -> None:
    for name, value in result.summary.items():
        shown = "-" if value is None else f"{value:.5f}" if isinstance(value, float) else value
        print(f"{name:<26} {shown}")
    print(f"written: {stem}.json")


if __name__ == "__main__":
    sys.exit(main())
