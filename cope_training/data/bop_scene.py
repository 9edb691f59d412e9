"""The ground truth of one BOP scene folder, checked whole: the one reader of poses.

Training, evaluation and the demonstration read ``scene_gt.json``, ``scene_camera.json`` and
``scene_gt_info.json`` here, so that they accept and refuse the same. Files are in millimetres,
tables in metres.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.catalogue import MM
from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import intrinsics, numbers, shortened, whole_number
from cope_training.data.bop_json import read_by_image

SCENE_GT, SCENE_CAMERA = "scene_gt.json", "scene_camera.json"
SCENE_GT_INFO = "scene_gt_info.json"
# Largest deviation of R R^T from the identity. Generous, because LM-O's own poses are off by 0.01.
ROTATION_TOLERANCE = 2e-2
# An object nearer than its diameter that would still show this many pixels a thousand times
# farther away was written in metres.
METRES_PIXELS = 2.0
INFO_KEYS = (("visib_fract", 1), ("bbox_obj", 4))
HOW_TO_ANNOTATE = "bop_toolkit's scripts calc_gt_info.py and calc_gt_masks.py write it"

Rows = list[list[float]]


@dataclass(frozen=True)
class SceneTruth:
    """The annotations of a scene's I images, ascending, as R rows."""

    folder: Path
    im_id: np.ndarray  # (I,) int64
    K: np.ndarray  # (I, 3, 3) float64, px
    depth_scale: np.ndarray  # (I,) float64 mm per unit of the depth images, 0 where not given
    first: np.ndarray  # (I + 1,) int64, rows first[i]:first[i + 1] belong to image i
    row: np.ndarray  # (R,) int64, place in the image's list in scene_gt, which names the masks
    obj_id: np.ndarray  # (R,) int64
    R: np.ndarray  # (R, 3, 3) float64
    t: np.ndarray  # (R, 3) float64 m
    visibility: np.ndarray  # (R,) float64, NaN where scene_gt_info.json does not say
    bbox: np.ndarray  # (R, 4) float64 x, y, width, height of the whole silhouette, px, or NaN

    def place_of(self, row: int) -> str:
        """Which image and object of scene_gt.json a row is, for messages."""
        image = int(np.searchsorted(self.first, row, side="right")) - 1
        where = self.folder / SCENE_GT
        return f"{where}: image {self.im_id[image]}, object {self.row[row]}"


def read_scene_truth(
    folder: Path, diameters: Mapping[int, float] | None = None, with_info: bool = False
) -> SceneTruth:
    """Reads and checks a scene folder's ground truth.

    Args:
        folder: of the scene.
        diameters: obj_id -> m; with them, translations in metres are found out.
        with_info: scene_gt_info.json must say visibility and box of each object.

    Raises:
        CopeError: a file or key is missing, broken, or says what cannot be; names both.
    """
    gt, camera = read_by_image(folder / SCENE_GT), read_by_image(folder / SCENE_CAMERA)
    if with_info and not (folder / SCENE_GT_INFO).is_file():
        raise CopeError(f"{folder / SCENE_GT_INFO}: no such file; {HOW_TO_ANNOTATE}")
    has_info = (folder / SCENE_GT_INFO).is_file()
    info = read_by_image(folder / SCENE_GT_INFO) if has_info else {}
    K, scales, first, rows, seen = [], [], [0], [], []
    for im_id, entries in gt.items():
        for name, content in ((SCENE_CAMERA, camera), (SCENE_GT_INFO, info if has_info else gt)):
            if im_id not in content:
                raise CopeError(f"{folder / name}: image {im_id} of {SCENE_GT} is missing")
        where = f"{folder / SCENE_CAMERA}: image {im_id}"
        K.append(intrinsics(camera[im_id], where))
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
        depth_scale=np.array(scales, dtype=np.float64),
        first=np.array(first, dtype=np.int64),
        row=table[:, 0].astype(np.int64),
        obj_id=table[:, 1].astype(np.int64),
        R=table[:, 2:11].reshape(-1, 3, 3),
        t=table[:, 11:14] * MM,
        visibility=known[:, 0],
        bbox=known[:, 1:],
    )
    _check_rotations(truth)
    _check_translations(truth, diameters or {})
    return truth


def depth_scale(camera: Any, where: str) -> float:
    """mm per unit of the depth image, from an entry of scene_camera.json; 0 where not given.

    Raises:
        CopeError: it is no number over 0.
    """
    if "depth_scale" not in camera:
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


def _check_rotations(truth: SceneTruth) -> None:
    gram = truth.R @ truth.R.transpose(0, 2, 1)
    off = np.abs(gram - np.eye(3)).max(axis=(1, 2)) > ROTATION_TOLERANCE
    wrong = np.flatnonzero(off | (np.linalg.det(truth.R) < 0))
    if len(wrong):
        raise CopeError(
            f"{truth.place_of(wrong[0])}: cam_R_m2c: expected a rotation, got "
            f"{describe_matrix(truth.R[wrong[0]])}{_others(wrong)}"
        )


def describe_matrix(M: np.ndarray) -> str:
    """What a (3, 3) matrix that is no rotation is instead."""
    length = float(np.cbrt(abs(np.linalg.det(M))))
    near = length > 0 and np.abs(M @ M.T / length**2 - np.eye(3)).max() <= ROTATION_TOLERANCE
    if near and np.linalg.det(M) < 0:
        return "a reflection (determinant -1)"
    return f"one scaled by {length:.4g}" if near else f"{np.round(M, 4).tolist()}"


def _check_translations(truth: SceneTruth, diameters: Mapping[int, float]) -> None:
    hidden = truth.visibility <= 0  # synthetic sets list what stands behind the camera, too
    behind = np.flatnonzero((truth.t[:, 2] <= 0) & ~hidden)
    if len(behind):
        z = truth.t[behind[0], 2] / MM
        raise CopeError(
            f"{truth.place_of(behind[0])}: cam_t_m2c: expected an object in front of the camera, "
            f"got z = {z:.4g} mm{_others(behind)}"
        )
    size = np.array([diameters.get(i, 0.0) for i in truth.obj_id.tolist()])
    distance = np.linalg.norm(truth.t, axis=1)
    focal = np.repeat(truth.K[:, 0, 0], np.diff(truth.first))
    near = np.flatnonzero(
        (distance < size) & (focal * size * MM > METRES_PIXELS * distance) & ~hidden
    )
    if len(near):
        row = near[0]
        raise CopeError(
            f"{truth.place_of(row)}: cam_t_m2c: {distance[row] / MM:.4g} mm from the camera, "
            f"nearer than its diameter of {size[row] / MM:.4g} mm; expected mm, are these "
            f"metres?{_others(near)}"
        )


def _others(rows: np.ndarray) -> str:
    return f" ({len(rows)} objects of the scene)" if len(rows) > 1 else ""
