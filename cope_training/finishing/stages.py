"""The stages between a trained checkpoint and a folder that the node takes.

Each stage's result lies in ``stages.json`` of the training's folder, so that a command that was
stopped goes on at the stage where it was; another checkpoint begins anew.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from cope_ros.core.deployment.runtime import Estimator
from cope_training.calibrate import LEVELS, scene_config
from cope_training.calibrate import SEED as CALIBRATION_SEED
from cope_training.data.sources import training_scenes
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.finishing_config import (
    CALIBRATION,
    CARD,
    EXPORT,
    THRESHOLD,
    VALIDATION,
)
from cope_training.engine.validator import FOLDER, read_history
from cope_training.evaluation.covariance_fit import calibrated, fit_factors
from cope_training.evaluation.held_out import rendered
from cope_training.evaluation.negatives import (
    THRESHOLDS,
    Picture,
    choose_threshold,
    find_false,
    photographs,
    read_photographs,
    rendered_without,
)
from cope_training.evaluation.network_estimator import estimator_of
from cope_training.evaluation.uncertainty import collect, coverage
from cope_training.evaluation.validation import ValidationMaker, ValidationSet
from cope_training.export import export_checkpoint
from cope_training.files import write_json, write_text
from cope_training.finishing.card import CURVE, SHEET, card_text
from cope_training.finishing.model_folder import add_objects, card_path, missing
from cope_training.finishing.pictures import save_contact_sheet, save_curve
from cope_training.progress import shown
from cope_training.rendering.scene_config import SceneConfig

RECORD = "stages.json"
NEGATIVE_SEED = 2001  # of the images without objects
Tell = Callable[[str], Any]


@dataclass
class Finishing:
    """What the stages share.

    Args:
        saved: the trained checkpoint.
        out: the training's folder.
        model: the model file to write.
        device: where the network runs.
        tell: is told what is done.
    """

    saved: checkpoints.Checkpoint
    out: Path
    model: Path
    device: torch.device
    tell: Tell = print
    record: dict[str, Any] = field(default_factory=dict)

    def estimator(self, score_threshold: float | None = None) -> Estimator:
        """The averaged weights in their pipeline; by default with the threshold that was chosen."""
        if score_threshold is None:
            score_threshold = self.record.get(THRESHOLD, {}).get("score_threshold")
        saved = self.saved
        return estimator_of(saved.ema, saved.config, saved.catalogue, self.device, score_threshold)

    @property
    def meshes(self) -> Path:
        """The objects' models folder."""
        return Path(self.saved.config.data.path("meshes"))

    @property
    def right(self) -> float | None:
        """Share of the validation's instances that are right, None where nothing was measured."""
        rows = self.record.get(VALIDATION, {}).get("rows", {})
        return float(rows["all"]["right"]) if "all" in rows else None

    @cached_property
    def scenes(self) -> SceneConfig:
        """Whole images of what the training's crops were made of."""
        return scene_config({"training": {"config": self.saved.config.to_dict()}}, self.meshes)

    @cached_property
    def validation(self) -> ValidationSet:
        """The validation set, made if it is not there."""
        config = self.saved.config
        scenes = training_scenes(config.data)
        return ValidationMaker(self.out / FOLDER, config.validation, scenes).open()


def finish(work: Finishing) -> list[str]:
    """Runs the configuration's stages after the training, those that are not done yet.

    Returns:
        What the model's folder lacks, in words; empty where the node takes it.

    Raises:
        CopeError: see the stages.
    """
    path = work.out / RECORD
    work.record = _read(path, work.saved.step)
    stages = {
        THRESHOLD: choose,
        VALIDATION: validate,
        CALIBRATION: calibrate,
        EXPORT: export,
        CARD: describe,
    }
    for name in work.saved.config.stages[1:]:
        if name in work.record and (name not in (EXPORT, CARD) or work.model.is_file()):
            continue
        work.tell(f"stage {name} ...")
        work.record[name] = stages[name](work)
        write_json(path, work.record)
    return missing(work.model)


def _read(path: Path, step: int) -> dict[str, Any]:
    """Results of the stages that are done for this checkpoint."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        record = {}
    return record if record.get("step") == step else {"step": step}


def choose(work: Finishing) -> dict[str, Any]:
    """The score threshold: few false detections in images without the objects."""
    config, runner = work.saved.config.finishing, work.estimator(THRESHOLDS[0])
    count = config.negative_images
    paths = photographs(config.negatives_path)[:count] if config.negatives else []
    drawn = rendered_without(work.scenes, work.saved.catalogue, NEGATIVE_SEED, count)
    pictures: Iterator[Picture] = itertools.chain(drawn, read_photographs(paths))
    false = find_false(runner, shown(pictures, "without objects", count + len(paths)))
    seen = false.images - count
    right = work.validation.measure(runner).right_scores
    threshold = choose_threshold(false, right)
    kept = float((right >= threshold).mean()) if len(right) else None
    work.tell(
        f"score threshold {threshold:.2f}: {false.per_image(threshold):.3f} false detections per "
        f"image in {count} rendered images and {seen} photographs without the objects"
    )
    return {
        "score_threshold": threshold,
        "rendered": count,
        "photographs": seen,
        "false_per_image": false.per_image(threshold),
        "right_kept": kept,
    } | false.to_dict()


def validate(work: Finishing) -> dict[str, Any]:
    """All images of the validation set, with the threshold that was chosen."""
    found = work.validation.measure(work.estimator())
    work.tell(found.line())
    rows = {name: row.to_dict() for name, row in found.rows.items()}
    return {"images": found.images, "seconds": round(found.seconds, 1), "rows": rows}


def calibrate(work: Finishing) -> dict[str, Any]:
    """Factors of the covariances, fitted on rendered images and checked on others."""
    config, saved = work.saved.config.finishing, work.saved
    ids, runner = saved.catalogue.class_ids, work.estimator()
    images = partial(rendered, work.scenes, saved.catalogue)
    first, second = (
        collect(runner, shown(images(CALIBRATION_SEED + i, count), CALIBRATION, count))
        for i, count in enumerate((config.calibration_images, config.held_out_images))
    )
    if not len(first) or not len(second):
        work.tell("covariances: no object was found in rendered images, nothing to fit")
        return {"factors": None, "instances": 0}
    factors = fit_factors(first, ids)
    inside = coverage(calibrated(second, factors, ids), LEVELS)
    shares = " / ".join(f"{100 * share:.0f}" for share in inside)
    work.tell(f"covariances: {shares} % of held-out errors inside the 50 / 90 / 95 % ellipsoids")
    return {"factors": factors, "instances": len(second), "levels": list(LEVELS), "inside": inside}


def export(work: Finishing) -> dict[str, Any]:
    """The model file with what was measured, and the objects beside it."""
    record = work.record
    settings: dict[str, Any] = {"covariance": record.get(CALIBRATION, {}).get("factors")}
    if THRESHOLD in record:
        settings["score_threshold"] = record[THRESHOLD]["score_threshold"]
    if VALIDATION in record:
        settings["metrics"] = {"validation": record[VALIDATION]["rows"].get("all")}
    export_checkpoint(work.saved, work.model, **settings)
    add_objects(work.meshes, work.model.parent, work.saved.catalogue)
    work.tell(f"wrote {work.model}")
    return {"model": str(work.model)}


def describe(work: Finishing) -> dict[str, Any]:
    """The card with its pictures."""
    folder, saved, pictures = work.model.parent, work.saved, VALIDATION in work.record
    if pictures:
        final = {"crops": saved.step * saved.config.batch, "rows": work.record[VALIDATION]["rows"]}
        save_curve(folder / CURVE, [*read_history(work.out), final], saved.config.expected)
        save_contact_sheet(folder / SHEET, work.estimator(), work.validation)
    path = card_path(folder)
    write_text(path, card_text(work.model, saved, work.record, pictures))
    work.tell(f"wrote {path}")
    return {"card": str(path)}
