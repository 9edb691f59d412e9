"""Reads the ground truth of a BOP data set: poses, visibilities, boxes, targets.

Accepts the root of a data set, a split folder (or any folder of scene folders), or one scene.
Images and depth are not touched here.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.catalogue import MM
from cope_ros.core.errors import CopeError
from cope_training.evaluation.metrics.scores import MIN_VISIBILITY
from cope_training.evaluation.metrics.tables import GroundTruth

IMAGE_FOLDERS = ("rgb", "gray")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif")
DEFAULT_SIZE = (640, 480)  # px, where no camera.json and no image tells


@dataclass(frozen=True)
class Scenes:
    """The scene folders of a data set and what lies beside them."""

    root: Path
    scenes: dict[int, Path]  # scene_id -> folder
    targets: Path | None
    models: Path | None  # folder with models_info.json

    def image_path(self, scene_id: int, im_id: int) -> Path | None:
        """The colour (or gray) image, if it is there."""
        return _first_file(self.scenes[scene_id], IMAGE_FOLDERS, im_id)

    def depth_path(self, scene_id: int, im_id: int) -> Path | None:
        """The depth image, if it is there."""
        return _first_file(self.scenes[scene_id], ("depth",), im_id)


def find_scenes(data: Path | str, split: str = "test") -> Scenes:
    """Finds the scene folders under ``data``.

    Raises:
        CopeError: there is no scene.
    """
    data = Path(data).resolve()
    if not data.is_dir():
        raise CopeError(f"{data}: no such folder")
    inner = data / split if (data / split).is_dir() else data
    folders = [inner] if (inner / "scene_gt.json").is_file() else sorted(inner.iterdir())
    scenes = {
        int(f.name): f for f in folders if f.name.isdigit() and (f / "scene_gt.json").is_file()
    }
    if not scenes and (inner / "scene_gt.json").is_file():
        scenes = {0: inner}  # one scene whose folder has a name of its own
    if not scenes:
        raise CopeError(f"{data}: expected a BOP data set: no scene_gt.json here or in {split}/*/")
    around = [data, inner, *inner.parents[:2]]
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
    counts = None if scenes.targets is None else _read_targets(scenes.targets)
    if counts is not None:
        counts = {k: n for k, n in counts.items() if k[0] in scenes.scenes}
        named = {key[:2] for key in counts}
        wanted = named if wanted is None else wanted & named
    rows: list[tuple[Any, ...]] = []
    K: dict[tuple[int, int], np.ndarray] = {}
    for scene_id, folder in scenes.scenes.items():
        _read_scene(scene_id, folder, wanted, rows, K)
    if not K:
        raise CopeError(f"{scenes.root}: no image to evaluate")
    if counts is None:
        counts = {}
        for row in rows:
            if row[5] >= MIN_VISIBILITY:
                counts[row[:3]] = counts.get(row[:3], 0) + 1
    counts = {key: n for key, n in counts.items() if key[:2] in K}
    return _table(rows, K, _image_size(scenes, next(iter(K))), counts)


def read_json(path: Path) -> Any:
    """Parses a JSON file.

    Raises:
        CopeError: it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise CopeError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CopeError(f"{path}: expected JSON, got {error}") from error


def _read_scene(
    scene_id: int,
    folder: Path,
    wanted: set[tuple[int, int]] | None,
    rows: list[tuple[Any, ...]],
    K: dict[tuple[int, int], np.ndarray],
) -> None:
    truth = read_json(folder / "scene_gt.json")
    cameras = read_json(folder / "scene_camera.json")
    info_path = folder / "scene_gt_info.json"
    infos = read_json(info_path) if info_path.is_file() else {}
    for name in sorted(truth, key=int):
        key = (scene_id, int(name))
        if wanted is not None and key not in wanted:
            continue
        try:
            K[key] = np.array(cameras[name]["cam_K"], dtype=float).reshape(3, 3)
            about = infos.get(name, [{}] * len(truth[name]))
            for entry, seen in zip(truth[name], about, strict=True):
                rows.append((*key, int(entry["obj_id"]), *_pose(entry), *_visibility(seen)))
        except (KeyError, ValueError, TypeError) as error:
            raise CopeError(f"{folder}: image {name}: missing or malformed: {error!r}") from error


def _pose(entry: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    R = np.array(entry["cam_R_m2c"], dtype=float).reshape(3, 3)
    return R, np.array(entry["cam_t_m2c"], dtype=float).reshape(3) * MM


def _visibility(seen: dict[str, Any]) -> tuple[float, np.ndarray]:
    x, y, w, h = seen.get("bbox_obj", [np.nan] * 4)
    return float(seen.get("visib_fract", 1.0)), np.array([x, y, x + w, y + h], dtype=float)


def _table(
    rows: list[tuple[Any, ...]],
    K: dict[tuple[int, int], np.ndarray],
    size: tuple[int, int],
    counts: dict[tuple[int, int, int], int],
) -> GroundTruth:
    count = len(rows)
    scene_id, im_id, obj_id = (np.array([r[i] for r in rows], dtype=np.int64) for i in range(3))
    R, t, visibility, boxes = (np.array([r[i] for r in rows], dtype=float) for i in range(3, 7))
    return GroundTruth(
        scene_id=scene_id,
        im_id=im_id,
        obj_id=obj_id,
        R=R.reshape(count, 3, 3),
        t=t.reshape(count, 3),
        visibility=visibility,
        boxes=boxes.reshape(count, 4),
        K=K,
        image_size=size,
        inst_count=counts,
    )


def _read_targets(path: Path) -> dict[tuple[int, int, int], int]:
    counts: dict[tuple[int, int, int], int] = {}
    try:
        for entry in read_json(path):
            key = (int(entry["scene_id"]), int(entry["im_id"]), int(entry["obj_id"]))
            counts[key] = int(entry["inst_count"])
    except (KeyError, ValueError, TypeError) as error:
        raise CopeError(f"{path}: target {len(counts)}: missing or malformed {error}") from error
    return counts


def _image_size(scenes: Scenes, first: tuple[int, int]) -> tuple[int, int]:
    for folder in (scenes.root, *scenes.root.parents[:2]):
        if (folder / "camera.json").is_file():
            camera = read_json(folder / "camera.json")
            if "width" in camera and "height" in camera:
                return int(camera["width"]), int(camera["height"])
    path = scenes.image_path(*first)
    if path is None:
        return DEFAULT_SIZE
    from PIL import Image

    with Image.open(path) as image:
        return image.size


def _first_file(scene: Path, folders: tuple[str, ...], im_id: int) -> Path | None:
    for folder in folders:
        for suffix in IMAGE_SUFFIXES:
            path = scene / folder / f"{im_id:06d}{suffix}"
            if path.is_file():
                return path
    return None
