"""COCO's mean average precision on amodal boxes, with BOP's rule for hardly visible instances.

Boxes are x1 y1 x2 y2 in pixels, pixel centres at integers. Source: the COCO detection
challenge's evaluation; instances below BOP's minimum visibility are ignored as in BOP's 2D
detection task: matching one counts neither way.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cope_training.data.boxes import box_iou
from cope_training.evaluation.metrics.errors import project
from cope_training.evaluation.metrics.matching import match
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.scores import MIN_VISIBILITY, average_precision
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth, pair_up, rank_in_image

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_PER_CLASS = 100  # estimates of an image and object that count (COCO's maxDets)
# COCO prefers any instance that counts over any that is ignored; errors are at most one.
IGNORED_PENALTY = 2.0
TOLERANCE = 1e-10  # COCO accepts an overlap equal to its threshold


def coco_map(ests: Estimates, gts: GroundTruth) -> dict[int, float]:
    """Average precision over IoU 0.5 to 0.95 in steps of 0.05, per object; their mean is the mAP.

    Args:
        ests: with boxes.
        gts: with boxes; instances without one (NaN) overlap nothing.

    Raises:
        ValueError: the estimates have no boxes.
    """
    if ests.boxes is None:
        raise ValueError("coco_map: expected estimates with boxes, got none")
    pairs = pair_up(ests, gts)
    pairs, _ = pairs.keep(rank_in_image(ests) < MAX_PER_CLASS)
    error = 1 - box_iou(ests.boxes[pairs.est], gts.boxes[pairs.gt])
    penalty = np.where(gts.visibility[pairs.gt] < MIN_VISIBILITY, IGNORED_PENALTY, 0.0)
    limits = 1 - IOU_THRESHOLDS[None] + TOLERANCE + penalty[:, None]
    matches = match(pairs, error + penalty, limits, len(ests), len(gts))
    return average_precision(matches, ests, gts)


def with_boxes(gts: GroundTruth, objects: Mapping[int, EvalObject]) -> GroundTruth:
    """The ground truth with the boxes that no file gives taken from the projected meshes."""
    rows = np.flatnonzero(np.isnan(gts.boxes).any(axis=1))
    if len(rows) == 0:
        return gts
    keys = zip(gts.scene_id[rows].tolist(), gts.im_id[rows].tolist(), strict=True)
    K = np.array([gts.K[key] for key in keys])
    boxes = gts.boxes.copy()
    boxes[rows] = projected_boxes(gts.obj_id[rows], gts.R[rows], gts.t[rows], K, objects)
    return replace(gts, boxes=boxes)


def projected_boxes(
    obj_id: np.ndarray,
    R: np.ndarray,
    t: np.ndarray,
    K: np.ndarray,
    objects: Mapping[int, EvalObject],
) -> np.ndarray:
    """(N, 4) px: the amodal box of each mesh in its pose; NaN if it reaches behind the camera.

    The box of a projected mesh is that of its convex hull.
    """
    boxes = np.full((len(obj_id), 4), np.nan)
    for index in np.unique(obj_id).tolist():
        rows = np.flatnonzero(obj_id == index)
        points = objects[index].hull @ np.swapaxes(R[rows], 1, 2) + t[rows, None]
        pixels = project(K[rows], points)
        boxes[rows] = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    return boxes
