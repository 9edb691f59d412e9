"""``cope_eval``: runs an exported model over a BOP data set and scores it as BOP does.

``cope_eval --model models/demo --data models/demo/sequence`` or, for a result file of any
method, ``cope_eval --results method.csv --data lmo``. Writes ``out/eval/<model>_<data>.json``,
``.csv`` (BOP) and the page ``out/eval/index.html``; without ground truth no scores, all else.
``cope_eval --model models/demo --negatives photos`` counts false detections in photographs without
the objects.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.errors import CopeError
from cope_training.command import command_parser, number, run_command, whole_number
from cope_training.data.bop_csv import read_results
from cope_training.evaluation.depth import MeasuredDepth, RenderedDepth
from cope_training.evaluation.images import EvaluatedImages, choose_images, in_images
from cope_training.evaluation.inference import Run, check_same_objects, run_model
from cope_training.evaluation.metrics.measure import Measurement, measure
from cope_training.evaluation.metrics.objects import EvalObject, class_ids, load_objects
from cope_training.evaluation.metrics.scenes import Scenes, check_image_sizes, find_scenes
from cope_training.evaluation.metrics.scores import MIN_VISIBILITY
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth
from cope_training.evaluation.negatives import (
    THRESHOLDS,
    find_false,
    photographs,
    read_photographs,
)
from cope_training.evaluation.output import Evaluation, model_name, write_evaluation
from cope_training.evaluation.plausible import check_near_targets
from cope_training.files import check_output_folder, write_json
from cope_training.progress import Progress, ProgressBar

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
    objects = load_objects(scenes.models_folder)
    with_depth = args.depth or args.depth_images
    images = choose_images(scenes, objects, args.model is not None, with_depth, args.limit)
    check_image_sizes(scenes, images.K, images.size)
    if args.oracle and images.gts is None:
        raise CopeError(f"{scenes.root}: --oracle needs ground truth; {images.said}")
    run, names, device = _estimates(args, scenes, images, objects, progress)
    run = replace(run, estimates=in_images(run.estimates, images, objects))
    result = None
    if images.gts is not None:
        arguments = scenes, images.gts, objects, progress, args.min_visibility
        result = evaluate(run.estimates, *arguments)
        if len(run.image_seconds):  # images without an estimate took their time, too
            result.summary["time_s_per_image"] = float(run.image_seconds.mean())
    write_evaluation(args, Evaluation(scenes, images, objects, run, result, names, device))
    return 0


def _estimates(
    args: argparse.Namespace,
    scenes: Scenes,
    images: EvaluatedImages,
    objects: dict[int, EvalObject],
    progress: Progress,
) -> tuple[Run, dict[int, str], str]:
    """Of the model or of the result file, the objects' names and the device (empty for a file)."""
    if args.model is None:
        ests = read_results(args.results, set(objects))
        if images.gts is not None:
            check_near_targets(ests, images.gts, objects, args.results)
        return Run(ests, np.zeros(0)), class_ids(objects), ""
    runner = Estimator.load(args.model, args.device, args.half)
    runner.configure(score_threshold=args.score_threshold, depth=args.depth)
    check_same_objects(runner.catalogue, objects, str(scenes.root))
    depth = MeasuredDepth(scenes) if args.depth else None
    run = run_model(runner, scenes, images.K, progress, depth)
    return run, class_ids(objects, runner.catalogue), str(runner.device)


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
    path = args.out / f"{model_name(args.model)}_negatives.json"
    args.out.mkdir(parents=True, exist_ok=True)
    content = {"score_threshold": own, "at_threshold": false.per_image(own), **false.to_dict()}
    write_json(path, content)
    print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
