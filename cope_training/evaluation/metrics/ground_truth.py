"""Reads the ground truth of a BOP data set: poses, visibilities, boxes, targets.

Accepts the root of a data set, a split folder (or any folder of scene folders), or one scene.
Of images only names and sizes are read.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import numbers, read_json, whole_number
from cope_training.data.bop_images import depth_file, image_size, list_images
from cope_training.data.bop_reader import note_gaps
from cope_training.data.bop_scene import (
    HOW_TO_ANNOTATE,
    SCENE_GT,
    SCENE_GT_INFO,
    SceneTruth,
    read_scene_truth,
)
from cope_training.evaluation.metrics.scores import MIN_VISIBILITY
from cope_training.evaluation.metrics.tables import GroundTruth

log = logging.getLogger(__name__)

DEFAULT_SIZE = (640, 480)  # px, where no camera.json and no image tells


@dataclass(frozen=True)
class Scenes:
    """The scene folders of a data set and what lies beside them."""

    root: Path
    scenes: dict[int, Path]  # scene_id -> folder
    targets: Path | None
    models: Path | None  # folder with models_info.json

    @cached_property
    def images(self) -> dict[tuple[int, int], Path]:
        """The colour (or gray) images that are there, by (scene_id, im_id)."""
        found: dict[tuple[int, int], Path] = {}
        for scene_id, folder in self.scenes.items():
            found |= {(scene_id, im_id): path for im_id, path in list_images(folder).items()}
        return found

    def image_path(self, scene_id: int, im_id: int) -> Path | None:
        """The colour (or gray) image, if it is there."""
        return self.images.get((scene_id, im_id))

    def depth_path(self, scene_id: int, im_id: int) -> Path | None:
        """The depth image, if it is there."""
        return depth_file(self.scenes[scene_id], im_id)


def find_scenes(data: Path | str, split: str = "test") -> Scenes:
    """Finds the scene folders under ``data``.

    Raises:
        CopeError: there is no scene.
    """
    data = Path(data).resolve()
    if not data.is_dir():
        raise CopeError(f"{data}: no such folder")
    inner = data / split if (data / split).is_dir() else data
    folders = [inner] if (inner / SCENE_GT).is_file() else sorted(inner.iterdir())
    scenes = {int(f.name): f for f in folders if f.name.isdigit() and (f / SCENE_GT).is_file()}
    if not scenes and (inner / SCENE_GT).is_file():
        scenes = {0: inner}  # one scene whose folder has a name of its own
    if not scenes:
        raise CopeError(f"{data}: expected a BOP data set: no scene_gt.json here or in {split}/*/")
    around = [data, inner, *inner.parents[:2]]
    # Of several, those of the localisation task: the later ones name no objects.
    targets = [p for f in around for p in sorted(f.glob("test_targets_bop*.json"))]
    folders = [f / name for f in around for name in ("models_eval", "models", ".")]
    models = [folder for folder in folders if (folder / "models_info.json").is_file()]
    return Scenes(
        data,
        scenes,
        targets[0] if targets and split == "test" else None,
        models[0] if models else None,
    )


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
        log.warning(
            "%s: does not say how much is visible of each object; all count as fully visible; %s",
            *(truth.folder / SCENE_GT_INFO, HOW_TO_ANNOTATE),
        )
    there = {im_id for scene, im_id in scenes.images if scene == scene_id}
    if there and named is None:
        note_gaps(truth, there)


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
            camera = read_json(path)
            if isinstance(camera, dict) and {"width", "height"} <= set(camera):
                width, height = (numbers(camera, k, 1, str(path))[0] for k in ("width", "height"))
                return int(width), int(height)
    picture = scenes.image_path(*first)
    return DEFAULT_SIZE if picture is None else image_size(picture)


def check_image_sizes(scenes: Scenes, gts: GroundTruth) -> None:
    """Makes sure that images, depth images and camera.json have one size.

    Raises:
        CopeError: a file of another size, or one that is no image; names it.
    """
    for key in gts.images:
        for path in (scenes.image_path(*key), scenes.depth_path(*key)):
            if path is None:
                continue
            found = image_size(path)
            if found != gts.image_size:
                wide, high = gts.image_size
                raise CopeError(
                    f"{path}: expected {wide} x {high} px as in camera.json and the other "
                    f"images, got {found[0]} x {found[1]}"
                )
