"""Validation while training: whole rendered images, made once and kept in a folder."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import asdict, dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.frames import WORKER_NICENESS
from cope_training.engine.finishing_config import ValidationConfig
from cope_training.evaluation.inference import Runner, run_model
from cope_training.evaluation.metrics.detection import with_boxes
from cope_training.evaluation.metrics.ground_truth import read_ground_truth
from cope_training.evaluation.metrics.measure import measure
from cope_training.evaluation.metrics.objects import EvalObject, class_ids, load_objects
from cope_training.evaluation.metrics.scenes import Scenes, find_scenes
from cope_training.evaluation.metrics.tables import GroundTruth
from cope_training.evaluation.oracle import OracleRow, oracle_rows
from cope_training.files import write_json
from cope_training.rendering.random_scenes import write_random_images
from cope_training.rendering.resting_scenes import SPLIT, make_scenes
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.studio import find_mesh

MADE_OF = "made_of.json"  # in the set's folder: what it was made of
VERSION = 1  # of the scenes; another one makes sets anew


@dataclass(frozen=True)
class Validated:
    """A model measured on a validation set."""

    rows: dict[str, OracleRow]  # see ``oracle_rows``
    images: int
    seconds: float
    right_scores: np.ndarray  # (N,) of the poses that are right

    def line(self) -> str:
        """The main figures in one line."""
        row = self.rows.get("all")
        if row is None:
            return f"validation ({self.images} images): no instance at least half visible"
        errors = "nothing found"
        if row.missed < 1.0:
            depth = f"depth {100 * row.depth_bias:+.1f} +- {100 * row.depth_scatter:.1f} %"
            errors = f"rotation {row.rotation_deg:.1f} degrees, {depth}"
        return (
            f"validation ({row.instances} instances, {self.images} images, {self.seconds:.0f} s): "
            f"right {row.right:.3f}; with true rotation {row.true_rotation:.3f}, true depth "
            f"{row.true_depth:.3f}, both {row.both:.3f}; missed {row.missed:.3f}; "
            f"{errors}"
        )


class ValidationSet:
    """Images of a folder with their ground truth, ready to be measured on.

    Args:
        folder: of a set that ``make`` wrote.
        models: folder of the objects.
        images: at most so many are measured, evenly spread over the scenes; 0: all.
    """

    def __init__(self, folder: Path, models: Path, images: int = 0) -> None:
        # What lies beside the set may be of an earlier training on other objects.
        self.scenes: Scenes = replace(find_scenes(folder, SPLIT), models=models)
        self.objects: dict[int, EvalObject] = load_objects(models)
        gts = read_ground_truth(self.scenes)
        every = gts.images
        kept = np.linspace(0, len(every) - 1, min(images or len(every), len(every)))
        chosen = [every[i] for i in np.unique(np.rint(kept).astype(int)).tolist()]
        self.gts: GroundTruth = with_boxes(gts.of_images(chosen), self.objects)

    def measure(self, runner: Runner) -> Validated:
        """Runs a model over the images and compares what it finds with the truth."""
        start = time.monotonic()
        ests = run_model(runner, self.scenes, self.gts.K).estimates
        ests = ests.take(np.isin(ests.obj_id, list(self.objects)))
        result = measure(ests, self.gts, self.objects)
        rows = oracle_rows(
            result, self.gts, self.objects, class_ids(self.objects, runner.catalogue)
        )
        right = result.estimates.score[result.found_by[result.found_by >= 0]]
        return Validated(rows, len(self.gts.images), time.monotonic() - start, right)


class ValidationMaker:
    """Makes a validation set in a process of its own, while a training begins.

    Args:
        folder: of the set; one that was made of the same stays as it is.
        config: how many scenes of which seed.
        scenes: the training's, with the folder of the objects.
    """

    def __init__(self, folder: Path, config: ValidationConfig, scenes: SceneConfig) -> None:
        self.folder, self.config, self.scenes = folder, config, scenes
        self._process: BaseProcess | None = None
        if not is_made(folder, config, scenes):
            # Mesa's and torch's compilers do not share a process.
            context = multiprocessing.get_context("spawn")
            self._process = context.Process(
                target=_make, args=(folder, config, scenes), daemon=True
            )
            self._process.start()

    def ready(self) -> bool:
        """Whether the set is there, or its making has failed."""
        return self._process is None or not self._process.is_alive()

    def open(self, images: int = 0) -> ValidationSet:
        """The set; waits for it.

        Raises:
            CopeError: it could not be made.
        """
        if self._process is not None:
            self._process.join()
            self._process = None
        if not is_made(self.folder, self.config, self.scenes):
            raise CopeError(f"{self.folder}: the validation set could not be made, see above")
        return ValidationSet(self.folder, Path(self.scenes.models), images)

    def close(self) -> None:
        """Ends the making, if it still goes on."""
        if self._process is not None:
            self._process.terminate()
            self._process.join()
            self._process = None


def is_made(folder: Path, config: ValidationConfig, scenes: SceneConfig) -> bool:
    """Whether a folder holds the set of these objects and settings."""
    try:
        content = json.loads((folder / MADE_OF).read_text())
    except (OSError, ValueError):
        return False
    return bool(content == _made_of(config, scenes))


def make(folder: Path, config: ValidationConfig, scenes: SceneConfig) -> None:
    """Writes the set, whole or not at all; replaces another one.

    Raises:
        CopeError: see ``make_scenes`` and ``write_random_images``.
    """
    beside = folder.with_name(folder.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    if config.random:
        scene = beside / SPLIT / f"{1:06d}"
        write_random_images(scenes, scene, config.seed, config.scenes * config.views)
    else:
        make_scenes(Path(scenes.models), beside, config.scenes, config.views, config.seed)
    write_json(beside / MADE_OF, _made_of(config, scenes))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(beside, folder)


def _make(folder: Path, config: ValidationConfig, scenes: SceneConfig) -> None:
    """The process that makes a set: speaks only of what is wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training's to answer
    os.nice(WORKER_NICENESS)
    try:
        make(folder, config, scenes)
    except CopeError as error:
        print(f"cope_train: validation: {error}", flush=True)


def _made_of(config: ValidationConfig, scenes: SceneConfig) -> dict[str, Any]:
    """What a set depends on, as plain data."""
    models = Path(scenes.models)
    info = models / "models_info.json"
    digest = hashlib.sha256(info.read_bytes())
    for item in Catalogue.from_models_info(info):
        digest.update(find_mesh(models, item.obj_id).read_bytes())
    made: dict[str, Any] = {"version": VERSION, "objects": digest.hexdigest()}
    made |= {"scenes": config.scenes, "views": config.views, "seed": config.seed}
    if config.random:
        drawn = json.dumps(asdict(scenes) | {"models": ""}, sort_keys=True)
        made["random"] = hashlib.sha256(drawn.encode()).hexdigest()
    return made
