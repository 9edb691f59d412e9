"""Reads the ground truth of a BOP data set: poses, visibilities, boxes, targets.

Of images only names and sizes are read.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import read_json, whole_number
from cope_training.data.bop_reader import check_said_sizes, note_gaps
from cope_training.data.bop_scene import (
    HOW_TO_ANNOTATE,
    SCENE_GT_INFO,
    SceneTruth,
    read_scene_truth,
    said_size,
)
from cope_training.data.notes import note_once
from cope_training.data.photographs import image_size
from cope_training.evaluation.metrics.scenes import Scenes
from cope_training.evaluation.metrics.scores import MIN_VISIBILITY
from cope_training.evaluation.metrics.tables import GroundTruth

log = logging.getLogger(__name__)

DEFAULT_SIZE = (640, 480)  # px, where no camera.json and no image tells


def read_ground_truth(scenes: Scenes, only: Iterable[tuple[int, int]] | None = None) -> GroundTruth:
    """Reads the annotations of the evaluated images.

    With a targets file those are the images it names, and its counts hold; without one, every
    annotated image, and every instance of visibility 0.1 or more is asked for.

    Args:
        only: (scene_id, im_id) to which the images are restricted.

    Raises:
        CopeError: a file is missing or a key is, with both named.
    """
    wanted = None if only is None else set(only)
    counts, named = None, None
    if scenes.targets is not None:
        counts, named = _read_targets(scenes.targets)
        named = {key for key in named if key[0] in scenes.scenes}
        wanted = named if wanted is None else wanted & named
    sizes = known_sizes(scenes)
    truths = {i: read_scene_truth(folder, sizes) for i, folder in scenes.scenes.items()}
    for scene_id, truth in truths.items():
        _check_objects(truth, sizes)
        _note_gaps(scenes, scene_id, truth, named)
    images = [(i, im) for i, truth in truths.items() for im in truth.im_id.tolist()]
    images = [key for key in images if wanted is None or key in wanted]
    if not images:
        raise CopeError(f"{scenes.root}: no image to evaluate")
    return _table(scenes, truths, images, counts)


def known_sizes(scenes: Scenes) -> dict[int, float]:
    """obj_id -> diameter in m of the data set's models; empty where they are elsewhere."""
    if scenes.models is None:
        return {}
    catalogue = Catalogue.from_models_info(scenes.models / "models_info.json")
    return {item.obj_id: item.diameter for item in catalogue}


def _check_objects(truth: SceneTruth, sizes: Mapping[int, float]) -> None:
    unknown = np.flatnonzero(~np.isin(truth.obj_id, list(sizes)))
    if sizes and len(unknown):
        row = int(unknown[0])
        raise CopeError(
            f"{truth.place_of(row)}: unknown obj_id {truth.obj_id[row]}: models_info.json has "
            f"{sorted(sizes)}"
        )


def _note_gaps(
    scenes: Scenes, scene_id: int, truth: SceneTruth, named: set[tuple[int, int]] | None
) -> None:
    if np.isnan(truth.visibility).any():
        note_once(
            log,
            "%s: does not say how much is visible of each object; all count as fully visible; %s",
            *(truth.folder / SCENE_GT_INFO, HOW_TO_ANNOTATE),
        )
    there = {im_id: path for (scene, im_id), path in scenes.images.items() if scene == scene_id}
    check_said_sizes(truth, there)
    if there and named is None:
        note_gaps(truth, set(there))


def _table(
    scenes: Scenes,
    truths: Mapping[int, SceneTruth],
    images: list[tuple[int, int]],
    counts: dict[tuple[int, int, int], int] | None,
) -> GroundTruth:
    """The rows of the given images, in their order."""
    K = {}
    parts: list[tuple[np.ndarray, ...]] = []
    for scene, truth in truths.items():
        numbers_of_rows = np.repeat(truth.im_id, np.diff(truth.first))
        K.update({(scene, i): k for i, k in zip(truth.im_id.tolist(), truth.K, strict=True)})
        rows = np.isin(numbers_of_rows, [i for s, i in images if s == scene])
        seen = np.where(np.isnan(truth.visibility), 1.0, truth.visibility)
        box = np.concatenate([truth.bbox[:, :2], truth.bbox[:, :2] + truth.bbox[:, 2:]], axis=1)
        columns = (numbers_of_rows, truth.obj_id, truth.R, truth.t, seen, box)
        parts.append((np.full(int(rows.sum()), scene), *(column[rows] for column in columns)))
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    scene_id, im_id, obj_id, R, t, visibility, boxes = joined
    if counts is None:
        asked = visibility >= MIN_VISIBILITY
        keys = zip(*(c[asked].tolist() for c in (scene_id, im_id, obj_id)), strict=True)
        counts = dict(Counter(keys))
    return GroundTruth(
        scene_id=scene_id,
        im_id=im_id,
        obj_id=obj_id,
        R=R,
        t=t,
        visibility=visibility,
        boxes=boxes,
        K={key: K[key] for key in images},
        image_size=_image_size(scenes, images[0]),
        inst_count={key: n for key, n in counts.items() if key[:2] in set(images)},
    )


def _read_targets(
    path: Path,
) -> tuple[dict[tuple[int, int, int], int] | None, set[tuple[int, int]]]:
    """The asked counts, None in the form of BOP24's detection task, and the named images."""
    entries = read_json(path)
    if not isinstance(entries, list):
        raise CopeError(f"{path}: expected a list of targets, got a {type(entries).__name__}")
    counts: dict[tuple[int, int, int], int] = {}
    named: set[tuple[int, int]] = set()
    for place, entry in enumerate(entries):
        where = f"{path}: target {place}"
        image = whole_number(entry, "scene_id", where), whole_number(entry, "im_id", where)
        named.add(image)
        if "obj_id" in entry or "inst_count" in entry:
            obj_id = whole_number(entry, "obj_id", where)
            counts[(*image, obj_id)] = whole_number(entry, "inst_count", where)
    if counts and len({key[:2] for key in counts}) < len(named):
        raise CopeError(f"{path}: expected obj_id and inst_count in all targets or in none")
    return counts or None, named


def _image_size(scenes: Scenes, first: tuple[int, int]) -> tuple[int, int]:
    for folder in (scenes.root, *scenes.root.parents[:2]):
        path = folder / "camera.json"
        if path.is_file():
            width, height = said_size(read_json(path), str(path))
            if width:
                return width, height
    picture = scenes.image_path(*first)
    return DEFAULT_SIZE if picture is None else image_size(picture)
