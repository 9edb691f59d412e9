"""Whether the files of a BOP scene are of the same objects: poses, K, boxes and masks.

Each may be right alone, and a model trained on them all wrong: boxes given by two corners, rows in
another order, intrinsics of images of another size, masks of another set.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.boxes import box_iou
from cope_training.data.notes import note_once

if TYPE_CHECKING:
    from cope_training.data.bop_scene import SceneTruth
    from cope_training.data.frames import Frame

log = logging.getLogger(__name__)

VISIBILITY = 0.5  # instances that are at least so visible are compared
LEAST_INSIDE = 0.5  # median share, of what would all lie inside but for rounding
SLACK = 2.0  # px, of that rounding
# Least median share of the projected box of an object that its silhouette's box fills: 0.3 to 1 in
# LM-O and the demo's sequence, a hundredth where translations are in centimetres.
LEAST_FILLED = 0.03
# Transposed rotations are told by IoUs that grow when they are turned back: by 0.04 in LM-O, 0.16
# in the demo's sequence, and by this many standard errors of the mean in 400 and 30 objects.
LEAST_GAIN, LEAST_SIGNIFICANCE, LEAST_ROWS = 0.02, 4.0, 8


def check_boxes(truth: SceneTruth, catalogue: Catalogue) -> None:
    """Silhouettes' boxes (bbox_obj) lie where poses and K project the boxes of the objects.

    Raises:
        CopeError: most do not; names the file, an image and an object.
    """
    known = np.isin(truth.obj_id, [item.obj_id for item in catalogue])
    seen = known & (truth.visibility >= VISIBILITY) & (truth.t[:, 2] > 0)
    rows = np.flatnonzero(seen & np.isfinite(truth.bbox).all(axis=1))
    if not len(rows):
        return
    low, high = _projected_boxes(truth, catalogue, rows, truth.R[rows])
    start, size = truth.bbox[rows, :2], truth.bbox[rows, 2:]
    shared = np.minimum(start + size, high + SLACK) - np.maximum(start, low - SLACK)
    inside = np.clip(shared, 0, None).prod(axis=1) / size.prod(axis=1)
    filled = size.prod(axis=1) / (high - low + SLACK).prod(axis=1)
    if np.median(inside) < LEAST_INSIDE:
        worst, what = int(inside.argmin()), "are these x1, y1, x2, y2, or poses or cam_K of others"
    elif np.median(filled) < LEAST_FILLED:
        worst, what = int(filled.argmin()), "are poses and boxes of one unit"
    else:
        _note_turned(truth, catalogue, rows, np.hstack((low, high)))
        return
    expected = np.rint((*low[worst], *(high - low)[worst])).astype(int).tolist()
    found = np.round(truth.bbox[rows[worst]], 2).tolist()
    raise CopeError(
        f"{truth.place_of(int(rows[worst]), info=True)}: bbox_obj: expected x, y, width, height "
        f"inside and about {expected}, where the pose and cam_K put the object, got {found}; so in "
        f"most of {len(rows)} objects: {what}?"
    )


def _note_turned(
    truth: SceneTruth, catalogue: Catalogue, rows: np.ndarray, given: np.ndarray
) -> None:
    """Says that rotations fit the silhouettes' boxes better transposed.

    Views that are much alike may do so by chance: no error.

    Args:
        given: (N, 4) x1 y1 x2 y2 px, projected boxes of ``rows`` with rotations as they are.
    """
    if len(rows) < LEAST_ROWS:
        return
    start, size = truth.bbox[rows, :2], truth.bbox[rows, 2:]
    silhouettes = np.hstack((start, start + size))
    turned = _projected_boxes(truth, catalogue, rows, truth.R[rows].transpose(0, 2, 1))
    gain = box_iou(np.hstack(turned), silhouettes) - box_iou(given, silhouettes)
    mean, error = float(gain.mean()), float(gain.std(ddof=1)) / np.sqrt(len(rows))
    if mean > max(LEAST_GAIN, LEAST_SIGNIFICANCE * error):
        text = (
            "%s: cam_R_m2c: transposed they fit bbox_obj better (by an IoU of %.2f, mean of %d "
            "objects): are they rotations from object to camera, row by row?"
        )
        note_once(log, text, truth.place_of(int(rows[gain.argmax()])), mean, len(rows))


def _projected_boxes(
    truth: SceneTruth, catalogue: Catalogue, rows: np.ndarray, R: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) and (N, 2) px: smallest and largest x and y of rows' objects turned by R (N, 3, 3)."""
    corners_of = {item.obj_id: item.corners for item in catalogue}
    corners = np.stack([corners_of[i] for i in truth.obj_id[rows].tolist()])
    K = np.repeat(truth.K, np.diff(truth.first), axis=0)[rows]
    points = corners @ R.transpose(0, 2, 1) + truth.t[rows, None]
    points = points @ K.transpose(0, 2, 1)
    pixels = points[..., :2] / np.maximum(points[..., 2:], MM)
    return pixels.min(axis=1), pixels.max(axis=1)


def check_masks(folder: Path, frames: Iterable[Frame]) -> None:
    """Masks of well visible objects lie in the objects' boxes.

    Args:
        folder: of the masks, for the error.
        frames: of the scene; those without an instance map do not count.

    Raises:
        CopeError: most do not, or are empty.
    """
    shares = [share for frame in frames for share in _masks_inside(frame)]
    if shares and np.median(shares) < LEAST_INSIDE:
        raise CopeError(
            f"{folder}: expected masks inside bbox_obj of their objects, got a median share of "
            f"{np.median(shares):.2f} of {len(shares)} masks: are they empty, inverted, or of "
            "other images?"
        )


def _masks_inside(frame: Frame) -> Iterator[float]:
    """The share of each well visible object's mask that lies in its box; 0 of empty masks."""
    if frame.instance_map is None:
        return
    for row in np.flatnonzero(frame.visibility >= VISIBILITY).tolist():
        y, x = np.nonzero(frame.instance_map == row)
        x1, y1, x2, y2 = frame.boxes[row] + (-SLACK, -SLACK, SLACK, SLACK)
        inside = (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)
        yield float(inside.mean()) if len(x) else 0.0
