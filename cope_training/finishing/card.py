"""A model's card: one page with what it was made of, how right it is and how that was measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cope_ros.core.catalogue import Catalogue
from cope_training.engine.checkpoint import Checkpoint
from cope_training.engine.finishing_config import (
    CALIBRATION,
    THRESHOLD,
    VALIDATION,
    ValidationConfig,
)
from cope_training.evaluation.oracle import OracleRow, oracle_table
from cope_training.finishing.model_folder import MARK

CURVE, SHEET = "curve.png", "contact_sheet.jpg"


def card_text(model: Path, saved: Checkpoint, record: Mapping[str, Any], pictures: bool) -> str:
    """The card in Markdown.

    Args:
        model: the model file.
        saved: what it was exported from.
        record: results of the stages, by their names; what is missing is said.
        pictures: whether curve and contact sheet lie beside it.
    """
    folder = model.parent
    parts = [
        f"# Model card: {folder.resolve().name}\n\n{MARK}",
        _objects(saved.catalogue),
        _origin(saved, model),
        _accuracy(saved.config.validation, record, pictures),
        _false(record, folder),
        _covariances(record, folder),
    ]
    return "\n\n".join(parts) + "\n"


def _objects(catalogue: Catalogue) -> str:
    lines = ["| class | diameter | symmetry |", "|---|---:|---|"]
    for item in catalogue:
        symmetry = "yes" if item.is_symmetric else "none"
        lines.append(f"| {item.class_id} | {1000 * item.diameter:.0f} mm | {symmetry} |")
    return "\n".join(lines)


def _origin(saved: Checkpoint, model: Path) -> str:
    config = saved.config
    crops = saved.step * config.batch
    hours = float(saved.state.get("seconds", 0.0)) / 3600.0
    backgrounds = f"`{config.data.backgrounds}`" if config.data.backgrounds else "procedural"
    lines = [
        ("network", f"preset `{config.preset}`, task `{config.task}`"),
        ("training", f"{crops:,} rendered crops" + (f" in {hours:.2f} h" if hours else "")),
        ("initial weights", f"`{config.init}`" if config.init else "ImageNet's"),
        ("backgrounds", backgrounds),
    ]
    if model.is_file():
        lines.append(("file", f"`{model.name}`, {model.stat().st_size / 1e6:.1f} MB"))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in lines)])


def _accuracy(config: ValidationConfig, record: Mapping[str, Any], pictures: bool) -> str:
    if VALIDATION not in record:
        return "## Accuracy\n\nNot measured: the configuration has no stage `validation`."
    found = record[VALIDATION]
    rows = {name: _row(values) for name, values in found["rows"].items()}
    kind = "scenes at rest, other seed, tables and lights than the training's"
    if config.random:
        kind = "whole images of the training's random scenes, another seed"
    parts = [
        "## Accuracy",
        f"On {found['images']} rendered validation images ({kind}): how many of the instances at "
        "least half visible (rows `visible`: of that share) are right, which is ADD(-S) below a "
        "tenth of the diameter; how many would be with true rotation, depth or both; and the "
        "errors. Real images are harder.",
        oracle_table(rows),
    ]
    if pictures:
        parts += [
            f"![recall over the training]({CURVE})",
            f"![validation images]({SHEET})\n\nGreen: the truth. Red: what the model finds.",
        ]
    return "\n\n".join(parts)


def _false(record: Mapping[str, Any], folder: Path) -> str:
    if THRESHOLD not in record:
        return "## False detections\n\nNot measured: the score threshold is the configuration's."
    found = record[THRESHOLD]
    seen = f"{found['rendered']} rendered images and {found['photographs']} photographs"
    return (
        f"## False detections\n\n{found['false_per_image']:.3f} per image at the file's score "
        f"threshold of {found['score_threshold']:.2f}, in {seen} without the objects; the lowest "
        "threshold was taken that leaves at most 0.1 and keeps 97 % of the right poses. On own "
        f"photographs: `cope_eval --model {folder} --negatives photos`."
    )


def _covariances(record: Mapping[str, Any], folder: Path) -> str:
    found = record.get(CALIBRATION, {})
    if not found.get("factors"):
        return "## Covariances\n\nNot calibrated: they are the spread of the votes alone."
    shares = " / ".join(f"{100 * share:.0f}" for share in found["inside"])
    return (
        f"## Covariances\n\nCalibrated: of {found['instances']} held-out errors in rendered images "
        f"{shares} % lie inside the 50 / 90 / 95 % ellipsoids. Again, with a plot: "
        f"`cope_calibrate --model {folder} --dry-run`."
    )


def _row(values: Mapping[str, Any]) -> OracleRow:
    filled: dict[str, Any] = {k: float("nan") if v is None else v for k, v in values.items()}
    return OracleRow(**filled)
