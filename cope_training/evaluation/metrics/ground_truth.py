"""Reads the ground truth of a BOP data set: poses, visibilities, boxes, targets.

Of images only names and sizes are read.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import read_json
from cope_training.data.bop_reader import check_said_sizes, note_gaps
from cope_training.data.bop_scene import (
    HOW_TO_ANNOTATE,
    SCENE_GT,
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
from cope_training.evaluation.metrics.targets import read_targets

log = logging.getLogger(__name__)

DEFAULT_SIZE = (640, 480)  # px, where no camera.json and no image tells
NO_IMAGE = "no image to evaluate"


def read_ground_truth(scenes: Scenes, only: Iterable[tuple[int, int]] | None = None) -> GroundTruth:
    """Reads the annotations of the evaluated images.

    With a targets file those are the images it names, and its counts hold; without one, every
    annotated image, and every instance of visibility 0.1 or more is asked for. Scenes without
    scene_gt.json are left out.

    Args:
        only: (scene_id, im_id) to which the images are restricted; gaps in others are not noted.

    Raises:
        CopeError: no scene has ground truth; a file is missing or a key is, with both named.
    """
    if not scenes.annotated:
        raise CopeError(f"{scenes.root}: no ground truth ({SCENE_GT}) in any of its scenes")
    targets = None if scenes.targets is None else read_targets(scenes.targets)
    catalogue = known_objects(scenes)
    truths = {i: read_scene_truth(folder, catalogue) for i, folder in scenes.annotated.items()}
    for scene_id, truth in truths.items():
        if catalogue is not None:
            _check_objects(truth, catalogue)
        _note_gaps(scenes, scene_id, truth, named=targets is not None or only is not None)
    images = [(i, im) for i, truth in truths.items() for im in truth.im_id.tolist()]
    if targets is not None:
        targets.check(_annotated(truths), frozenset(images))
        images = [key for key in images if key in targets.images]
    if only is not None:
        wanted = set(only)
        images = [key for key in images if key in wanted]
    if not images:
        raise CopeError(f"{scenes.root}: {NO_IMAGE}")
    return _table(scenes, truths, images, None if targets is None else targets.counts)


def read_available(scenes: Scenes, limit: int | None = None) -> GroundTruth:
    """Reads the annotations of the (first ``limit``) evaluated images whose file is there.

    Raises:
        CopeError: as ``read_ground_truth``, or no image is there.
    """
    gts = read_ground_truth(scenes)
    there = [key for key in gts.images if scenes.image_path(*key) is not None][:limit]
    if not there:
        raise CopeError(f"{scenes.root}: {NO_IMAGE}")
    return replace(gts.of_images(there), image_size=size_of_images(scenes, there[0]))


def _annotated(truths: Mapping[int, SceneTruth]) -> Counter[tuple[int, int, int]]:
    """Instances by scene_id, im_id and obj_id."""
    found: Counter[tuple[int, int, int]] = Counter()
    for scene_id, truth in truths.items():
        of_rows = np.repeat(truth.im_id, np.diff(truth.first)).tolist()
        objects = truth.obj_id.tolist()
        found.update((scene_id, i, o) for i, o in zip(of_rows, objects, strict=True))
    return found


def known_objects(scenes: Scenes) -> Catalogue | None:
    """Those of the data set's models; None where they are elsewhere."""
    if scenes.models is None:
        return None
    return Catalogue.from_models_info(scenes.models / "models_info.json")


def _check_objects(truth: SceneTruth, catalogue: Catalogue) -> None:
    known = [item.obj_id for item in catalogue]
    unknown = np.flatnonzero(~np.isin(truth.obj_id, known))
    if len(unknown):
        row = int(unknown[0])
        raise CopeError(
            f"{truth.place_of(row)}: unknown obj_id {truth.obj_id[row]}: models_info.json has "
            f"{known}"
        )


def _note_gaps(scenes: Scenes, scene_id: int, truth: SceneTruth, named: bool) -> None:
    """Says what is missing beside the annotations; images only if nothing else names them."""
    if np.isnan(truth.visibility).any():
        note_once(
            log,
            "%s: does not say how much is visible of each object; all count as fully visible; %s",
            *(truth.folder / SCENE_GT_INFO, HOW_TO_ANNOTATE),
        )
    there = {im_id: path for (scene, im_id), path in scenes.images.items() if scene == scene_id}
    check_said_sizes(truth, there)
    if there and not named:
        note_gaps(truth, set(there))


def _table(
    scenes: Scenes,
    truths: Mapping[int, SceneTruth],
    images: list[tuple[int, int]],
    counts: Mapping[tuple[int, int, int], int] | None,
) -> GroundTruth:
    """The rows of the given images, in their order."""
    K, chosen = {}, set(images)
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
        image_size=size_of_images(scenes, images[0]),
        inst_count={key: n for key, n in counts.items() if key[:2] in chosen},
    )


def size_of_images(scenes: Scenes, first: tuple[int, int]) -> tuple[int, int]:
    """(width, height) px as camera.json says, else as the ``first`` image (scene_id, im_id) has."""
    for folder in (scenes.root, *scenes.root.parents[:2]):
        path = folder / "camera.json"
        if path.is_file():
            width, height = said_size(read_json(path), str(path))
            if width:
                return width, height
    picture = scenes.image_path(*first)
    return DEFAULT_SIZE if picture is None else image_size(picture)
