"""What cannot be in the ground truth of a scene: no rotations, metres, shares over one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.bop_agreement import check_boxes
from cope_training.data.notes import note_once
from cope_training.data.photographs import image_size

if TYPE_CHECKING:
    from cope_training.data.bop_scene import SceneTruth

log = logging.getLogger(__name__)

# Largest deviation of R R^T from the identity. Generous, because LM-O's own poses are off by 0.01.
ROTATION_TOLERANCE = 2e-2
# An object nearer than its diameter that would still show this many pixels a thousand times
# farther away was written in metres.
METRES_PIXELS = 2.0
LEAST_PIXELS = 0.2  # across: no annotated object that is seen is smaller
IN_PIXELS = 10.0  # a focal length below it is hardly one in px, which others find out
FARTHEST = 1e4  # m; beyond, numbers are no lengths in mm
SHARE_TOLERANCE = 1e-3  # of visib_fract, which some tools round up
# Where along an image's side its principal point may lie, and where it lies in most.
CENTER_BOUNDS, USUAL_BOUNDS = (0.1, 0.9), (0.35, 0.65)
LEAST_FOCAL = 0.1  # of the image's width, which would be a field of view of 157 degrees


def check_truth(truth: SceneTruth, catalogue: Catalogue | None) -> None:
    """Makes sure that poses, visibilities and boxes can be.

    Args:
        catalogue: the objects whose sizes are compared with distances and boxes.

    Raises:
        CopeError: names the file, the image, the object and the key.
    """
    _check_rotations(truth)
    _check_translations(truth, catalogue)
    _check_info(truth)
    if catalogue is not None:
        _check_ids(truth, catalogue)
        check_boxes(truth, catalogue)


def are_rotations(R: np.ndarray) -> np.ndarray:
    """(N,) bool: which of the (N, 3, 3) matrices are rotations, within ROTATION_TOLERANCE."""
    with np.errstate(all="ignore"):
        deviation = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
        return (deviation <= ROTATION_TOLERANCE) & (np.linalg.det(R) > 0)


def describe_matrix(M: np.ndarray) -> str:
    """What a (3, 3) matrix that is no rotation is instead."""
    with np.errstate(all="ignore"):
        determinant = float(np.linalg.det(M))
        length = float(np.cbrt(abs(determinant)))
        even = length > 0 and bool(
            np.abs(M @ M.T / length**2 - np.eye(3)).max() <= ROTATION_TOLERANCE
        )
    if even and determinant < 0:
        scaled = "" if abs(length - 1) <= ROTATION_TOLERANCE else f" scaled by {length:.4g}"
        return f"a reflection (determinant {determinant:.4g}){scaled}"
    return f"one scaled by {length:.4g}" if even else f"{np.round(M, 4).tolist()}"


def _check_rotations(truth: SceneTruth) -> None:
    wrong = np.flatnonzero(~are_rotations(truth.R))
    if len(wrong):
        _refuse(
            truth,
            wrong,
            f"cam_R_m2c: expected a rotation, got {describe_matrix(truth.R[wrong[0]])}",
        )


def _check_ids(truth: SceneTruth, catalogue: Catalogue) -> None:
    known = [item.obj_id for item in catalogue]
    wrong = np.flatnonzero((truth.obj_id < 1) & ~np.isin(truth.obj_id, known))
    if len(wrong):
        problem = f"expected BOP's, from 1 on, got {truth.obj_id[wrong[0]]}"
        _refuse(truth, wrong, f"obj_id: {problem}; models_info.json has {known}")


def _check_translations(truth: SceneTruth, catalogue: Catalogue | None) -> None:
    diameters = {item.obj_id: item.diameter for item in catalogue or ()}
    hidden = truth.visibility <= 0  # synthetic sets list what stands behind the camera, too
    size = np.array([diameters.get(i, 0.0) for i in truth.obj_id.tolist()])
    focal = np.repeat(truth.K[:, 0, 0], np.diff(truth.first))
    behind = np.flatnonzero((truth.t[:, 2] <= 0) & ~hidden)
    if len(behind):
        z = truth.t[behind[0], 2] / MM
        problem = f"expected an object in front of the camera, got z = {z:.4g} mm"
        _refuse(truth, behind, f"cam_t_m2c: {problem}")
    distance = np.linalg.norm(np.clip(truth.t, -2 * FARTHEST, 2 * FARTHEST), axis=1)
    tiny = (size > 0) & (focal * size < LEAST_PIXELS * distance) & (focal > IN_PIXELS) & ~hidden
    far = np.flatnonzero(tiny | (distance > FARTHEST))
    if len(far):
        problem = f"{truth.t[far[0]] / MM} mm: too far to be seen; expected mm"
        _refuse(truth, far, f"cam_t_m2c: {problem}, are these micrometres?")
    near = (distance < size) & (focal * size * MM > METRES_PIXELS * distance) & ~hidden
    if near.any():
        row = np.flatnonzero(near)[0]
        problem = (
            f"{distance[row] / MM:.4g} mm from the camera, nearer than its diameter of "
            f"{size[row] / MM:.4g} mm; expected mm, are these metres?"
        )
        _refuse(truth, np.flatnonzero(near), f"cam_t_m2c: {problem}")


def _check_info(truth: SceneTruth) -> None:
    wrong = np.flatnonzero((truth.visibility < 0) | (truth.visibility > 1 + SHARE_TOLERANCE))
    if len(wrong):
        found = truth.visibility[wrong[0]]
        _refuse(
            truth, wrong, f"visib_fract: expected a share from 0 to 1, got {found:.4g}", info=True
        )
    width, height = truth.bbox[:, 2], truth.bbox[:, 3]
    empty = np.flatnonzero(((width <= 0) | (height <= 0)) & (truth.visibility > 0))
    if len(empty):
        box = truth.bbox[empty[0]].tolist()
        problem = f"bbox_obj: expected x, y, width, height of what is seen, got {box}"
        _refuse(truth, empty, problem, info=True)


def _refuse(truth: SceneTruth, rows: np.ndarray, problem: str, info: bool = False) -> None:
    more = f" ({len(rows)} objects of the scene)" if len(rows) > 1 else ""
    raise CopeError(f"{truth.place_of(int(rows[0]), info)}: {problem}{more}")


def check_sizes(
    files: Iterable[Path | None], size: tuple[int, int], K: np.ndarray, source: str
) -> None:
    """Makes sure that the files of an image have one size, and intrinsics that can be its.

    Args:
        files: colour and depth, None where missing.
        size: (width, height) px of the set's images, or of camera.json.
        K: (3, 3) px.
        source: names where K stands.

    Raises:
        CopeError: a file is no image or has another size; or as ``check_camera``.
    """
    there = [path for path in files if path is not None]
    for path in there:
        check_size(path, size, "camera.json and the other images")
    if there:
        check_camera(K, size, there[0], source)


def check_size(path: Path, size: tuple[int, int], where: str) -> None:
    """Makes sure that an image file has a size (width, height) px, which stands ``where``.

    Raises:
        CopeError: it has another, or is no image.
    """
    found = image_size(path)
    if found != size:
        raise CopeError(
            f"{path}: expected {size[0]} x {size[1]} px as in {where}, got {found[0]} x {found[1]}"
        )


def check_camera(K: np.ndarray, size: tuple[int, int], image: Path, source: str) -> None:
    """Makes sure that intrinsics can be those of an image.

    A principal point far off the middle is said once a folder, because crops have it.

    Args:
        K: (3, 3) px.
        size: (width, height) px of the image.
        image: its file.
        source: names where K stands.

    Raises:
        CopeError: the principal point lies at the border or beyond, or the focal length is
            hardly a pixel, as in intrinsics of another size or unit.
    """
    shares = K[:2, 2] / size
    found = f"{image}: {size[0]} x {size[1]} px, but {source} has"
    center = f"its principal point at ({K[0, 2]:.4g}, {K[1, 2]:.4g})"
    if not ((CENTER_BOUNDS[0] <= shares) & (shares <= CENTER_BOUNDS[1])).all():
        raise CopeError(f"{found} {center}: are these intrinsics of another image size?")
    if K[0, 0] < LEAST_FOCAL * size[0]:
        raise CopeError(f"{found} a focal length of {K[0, 0]:.4g} px: expected pixels")
    if not ((USUAL_BOUNDS[0] <= shares) & (shares <= USUAL_BOUNDS[1])).all():
        note_once(
            log,
            "%s: intrinsics with a principal point far off the middle of the image, such as "
            "(%.4g, %.4g) of %d x %d px: right for crops, wrong if they are of another size",
            *(image.parent, K[0, 2], K[1, 2], *size),
        )
