"""The ground truth of one BOP scene folder, checked whole: the one reader of poses.

Training, evaluation and the demonstration read ``scene_gt.json``, ``scene_camera.json`` and
``scene_gt_info.json`` here, so that they accept and refuse the same. Files are in millimetres,
tables in metres.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import intrinsics, numbers, shortened, whole_number
from cope_training.data.bop_checks import check_truth
from cope_training.data.bop_json import read_by_image

SCENE_GT, SCENE_CAMERA = "scene_gt.json", "scene_camera.json"
SCENE_GT_INFO = "scene_gt_info.json"
INFO_KEYS = (("visib_fract", 1), ("bbox_obj", 4))
HOW_TO_ANNOTATE = "bop_toolkit's scripts calc_gt_info.py and calc_gt_masks.py write it"

Rows = list[list[float]]


@dataclass(frozen=True)
class SceneTruth:
    """The annotations of a scene's I images, ascending, as R rows."""

    folder: Path
    im_id: np.ndarray  # (I,) int64
    K: np.ndarray  # (I, 3, 3) float64, px
    size: np.ndarray  # (I, 2) int64 width, height of the image that K is for, 0 where not said
    depth_scale: np.ndarray  # (I,) float64 mm per unit of the depth images, 0 where not given
    first: np.ndarray  # (I + 1,) int64, rows first[i]:first[i + 1] belong to image i
    row: np.ndarray  # (R,) int64, place in the image's list in scene_gt, which names the masks
    obj_id: np.ndarray  # (R,) int64
    R: np.ndarray  # (R, 3, 3) float64
    t: np.ndarray  # (R, 3) float64 m
    visibility: np.ndarray  # (R,) float64, NaN where scene_gt_info.json does not say
    bbox: np.ndarray  # (R, 4) float64 x, y, width, height of the whole silhouette, px, or NaN

    def place_of(self, row: int, info: bool = False) -> str:
        """Which image and object of scene_gt.json (or its info) a row is, for messages."""
        image = int(np.searchsorted(self.first, row, side="right")) - 1
        where = self.folder / (SCENE_GT_INFO if info else SCENE_GT)
        return f"{where}: image {self.im_id[image]}, object {self.row[row]}"


def read_scene_truth(
    folder: Path, catalogue: Catalogue | None = None, with_info: bool = False
) -> SceneTruth:
    """Reads and checks a scene folder's ground truth.

    Args:
        folder: of the scene.
        catalogue: of objects; with their sizes, poses and boxes of another unit are found out.
        with_info: scene_gt_info.json must say visibility and box of each object.

    Raises:
        CopeError: a file or key is missing, broken, or says what cannot be; names both.
    """
    gt, camera = read_by_image(folder / SCENE_GT), read_by_image(folder / SCENE_CAMERA)
    if with_info and not (folder / SCENE_GT_INFO).is_file():
        raise CopeError(f"{folder / SCENE_GT_INFO}: no such file; {HOW_TO_ANNOTATE}")
    has_info = (folder / SCENE_GT_INFO).is_file()
    info = read_by_image(folder / SCENE_GT_INFO) if has_info else {}
    K, sizes, scales, first, rows, seen = [], [], [], [0], [], []
    for im_id, entries in gt.items():
        for name, content in ((SCENE_CAMERA, camera), (SCENE_GT_INFO, info if has_info else gt)):
            if im_id not in content:
                raise CopeError(f"{folder / name}: image {im_id} of {SCENE_GT} is missing")
        where = f"{folder / SCENE_CAMERA}: image {im_id}"
        K.append(intrinsics(camera[im_id], where))
        sizes.append(said_size(camera[im_id], where))
        scales.append(depth_scale(camera[im_id], where))
        rows += _parse_image(entries, folder, im_id)
        count = len(rows) - first[-1]
        about = info[im_id] if has_info else [{}] * count
        seen += _parse_info(about, count, with_info, folder, im_id)
        first.append(len(rows))
    table = np.array(rows, dtype=np.float64).reshape(-1, 14)
    known = np.array(seen, dtype=np.float64).reshape(-1, 5)
    truth = SceneTruth(
        folder=folder,
        im_id=np.array(list(gt), dtype=np.int64),
        K=np.array(K, dtype=np.float64).reshape(-1, 3, 3),
        size=np.array(sizes, dtype=np.int64).reshape(-1, 2),
        depth_scale=np.array(scales, dtype=np.float64),
        first=np.array(first, dtype=np.int64),
        row=table[:, 0].astype(np.int64),
        obj_id=table[:, 1].astype(np.int64),
        R=table[:, 2:11].reshape(-1, 3, 3),
        t=table[:, 11:14] * MM,
        visibility=known[:, 0],
        bbox=known[:, 1:],
    )
    check_truth(truth, catalogue)
    return truth


def said_size(camera: Any, where: str) -> tuple[int, int]:
    """(width, height) px in an entry of scene_camera.json or in camera.json; zeros if not there.

    Raises:
        CopeError: one of both is missing or is no integer over 0.
    """
    if not isinstance(camera, dict) or not {"width", "height"} & set(camera):
        return 0, 0
    width, height = (whole_number(camera, key, where) for key in ("width", "height"))
    if min(width, height) < 1:
        raise CopeError(f"{where}: width, height: expected over 0, got {width}, {height}")
    return width, height


def depth_scale(camera: Any, where: str) -> float:
    """mm per unit of the depth image, from an entry of scene_camera.json; 0 where not given.

    Raises:
        CopeError: it is no number over 0.
    """
    if not isinstance(camera, dict) or "depth_scale" not in camera:
        return 0.0
    scale = float(numbers(camera, "depth_scale", 1, where)[0])
    if scale <= 0:
        raise CopeError(f"{where}: depth_scale: expected mm per unit over 0, got {scale}")
    return scale


def _parse_image(entries: Any, folder: Path, im_id: int) -> Rows:
    """A row per object: place, obj_id, 12 of the pose (mm)."""
    place_in_file = f"{folder / SCENE_GT}: image {im_id}"
    if not isinstance(entries, list):
        raise CopeError(f"{place_in_file}: expected a list of objects, got {shortened(entries)}")
    rows = []
    for place, entry in enumerate(entries):
        where = f"{place_in_file}, object {place}"
        obj_id = whole_number(entry, "obj_id", where)
        R = numbers(entry, "cam_R_m2c", 9, where)
        rows.append([place, obj_id, *R, *numbers(entry, "cam_t_m2c", 3, where)])
    return rows


def _parse_info(entries: Any, count: int, complete: bool, path: Path, im_id: int) -> Rows:
    """A row per object: visible share and box; NaN where missing and not ``complete``."""
    place_in_file = f"{path / SCENE_GT_INFO}: image {im_id}"
    if not isinstance(entries, list) or len(entries) != count:
        raise CopeError(f"{place_in_file}: expected one entry per object of {SCENE_GT}")
    rows = []
    for place, entry in enumerate(entries):
        where = f"{place_in_file}, object {place}"
        rows.append([v for key, n in INFO_KEYS for v in _info(entry, key, n, complete, where)])
    return rows


def _info(entry: Any, key: str, count: int, required: bool, where: str) -> list[float]:
    if required or not isinstance(entry, dict) or key in entry:
        return numbers(entry, key, count, where).tolist()
    return [np.nan] * count
