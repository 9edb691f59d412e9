"""``cope_calibrate``: makes a model's covariances say how far its poses are off.

``cope_calibrate --model models/demo --data models/demo/sequence`` renders images of scenes like
those of the training, but of other seeds, compares what the model finds with the truth, fits the
factors of ``cope_ros.core.detection.covariance`` and writes them into the model file. Errors of a
second set of images, and of every data set named with ``--data``, tell how well they hold: a
table, ``out/eval/covariance_<model>.json`` and a figure ``.png``.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cope_ros.core.deployment.integrity import MODEL_NAME
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.errors import CopeError
from cope_training.command import command_parser, run_command, whole_number
from cope_training.engine.configuration import DataConfig
from cope_training.evaluation.covariance_fit import calibrated, fit_factors
from cope_training.evaluation.held_out import recorded, rendered
from cope_training.evaluation.reliability import PARTS, save_reliability
from cope_training.evaluation.uncertainty import Samples, collect, coverage
from cope_training.export import export_again
from cope_training.progress import shown
from cope_training.rendering.scene_config import SceneConfig, make_scene_config

LEVELS = (0.5, 0.9, 0.95)
OUTLIER = 0.999  # an error outside this ellipsoid is no Gaussian's
SEED = 1001  # of the images to fit; the second set has the next one
OUT = Path("out/eval")

Sets = dict[str, tuple[Samples, Samples]]  # name -> before and after


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(_parser(), _run, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "cope_calibrate",
        __doc__ or "",
        "cope_calibrate --model models/demo --data models/demo/sequence --dry-run",
    )
    parser.add_argument("--model", type=Path, required=True, help="model directory or model.pt")
    parser.add_argument(
        "--data", type=Path, action="append", default=[], help="BOP set to check on"
    )
    parser.add_argument("--meshes", type=Path, help="models folder; default: the training's")
    parser.add_argument(
        "--images", type=whole_number(1), default=100, help="per rendered set (%(default)s)"
    )
    parser.add_argument("--seed", type=whole_number(0), default=SEED, help="default: %(default)s")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="leave the model file alone")
    return parser


def _run(args: argparse.Namespace) -> int:
    file = args.model / MODEL_NAME if args.model.is_dir() else args.model
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / MODEL_NAME
        export_again(file, plain, None)  # without the factors it may have
        estimator = Estimator.load(plain, args.device)
    ids = estimator.catalogue.class_ids
    scenes = scene_config(estimator.metadata, args.meshes)
    first, second = (
        collect(
            estimator,
            shown(rendered(scenes, estimator.catalogue, seed, args.images), name, args.images),
        )
        for seed, name in ((args.seed, "fitting"), (args.seed + 1, "held out"))
    )
    if not len(first) or not len(second):
        raise CopeError(f"{file}: finds no object in the rendered images; nothing to calibrate on")
    factors = fit_factors(first, ids)
    sets = {"fitted": first, "held out": second}
    for data in args.data:
        frames = recorded(data, args.model, estimator.catalogue)
        sets[data.name] = collect(estimator, shown(frames, data.name))
    pairs = {name: (raw, calibrated(raw, factors, ids)) for name, raw in sets.items()}
    name = file.parent.name if file.name == MODEL_NAME else file.stem
    _write(args.out / f"covariance_{name}", name, factors, pairs)
    print(table(pairs))
    if not args.dry_run:
        export_again(file, file, factors)
        print(f"factors written into {file}")
    return 0


def scene_config(metadata: dict[str, Any], meshes: Path | None) -> SceneConfig:
    """What a model's training images were made of, as far as its file tells.

    Raises:
        CopeError: neither the file nor ``meshes`` says where the objects' meshes are, or the
            file's training has a key that scenes do not.
    """
    data = metadata["training"].get("config", {}).get("data", {})
    paths = DataConfig(meshes=data.get("meshes", ""), backgrounds=data.get("backgrounds", ""))
    folder = meshes if meshes is not None else paths.path("meshes")
    if not folder:
        raise CopeError("the model does not say which meshes it was trained on: name --meshes")
    backgrounds = os.path.expandvars(paths.backgrounds)  # a variable may be unset here
    found = bool(backgrounds) and Path(backgrounds).is_dir()  # else the procedural pictures
    scene = data.get("scene", {})
    return make_scene_config(scene, str(folder), backgrounds if found else None)


def summary(pairs: Sets) -> dict[str, Any]:
    """Covered shares of every set, before and after, and the share of outliers."""
    return {
        name: {
            "instances": len(before),
            **{
                part: {
                    "levels": list(LEVELS),
                    "spread": coverage(before, LEVELS, part),
                    "calibrated": coverage(after, LEVELS, part),
                    "beyond_999": 1.0 - coverage(after, [OUTLIER], part)[0],
                }
                for part in PARTS
            },
        }
        for name, (before, after) in pairs.items()
    }


def table(pairs: Sets) -> str:
    """Markdown: errors within the 50, 90 and 95 % ellipsoids."""
    lines = [
        "| images | instances | part | spread alone: 50 / 90 / 95 % | calibrated | beyond 99.9 % |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for name, row in summary(pairs).items():
        for part in PARTS:
            before, after = (
                " / ".join(f"{100 * value:.0f}" for value in row[part][kind])
                for kind in ("spread", "calibrated")
            )
            outliers = f"{100 * row[part]['beyond_999']:.1f} %"
            lines.append(
                f"| {name} | {row['instances']} | {part} | {before} | {after} | {outliers} |"
            )
    return "\n".join(lines)


def _write(stem: Path, model: str, factors: dict[str, Any], pairs: Sets) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    content = {"model": model, "factors": factors, "sets": summary(pairs)}
    stem.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
    shown = {name: pair for name, pair in pairs.items() if name != "fitted"}
    save_reliability(stem.with_suffix(".png"), shown, f"covariances of {model}")


if __name__ == "__main__":
    sys.exit(main())
