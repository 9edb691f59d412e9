"""The figures of a demonstration: rates, latency and, with ground truth, pose errors.

A detection is matched, best score first, to the free ground-truth instance of its class with
the smallest error: ADD (mean distance of model points, Hinterstoisser 2012), or ADD-S for
objects with a symmetry. No match is a pair whose error, or the distance of whose box centres,
is over half the diameter. The recall
counts matches below a tenth of the diameter over all instances that are at least half visible
in the processed images; the mean errors are over all matches with such instances, so a model
that misses much can still have small mean errors: read them together with the recall.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from cope_ros.core.catalogue import MM, Catalogue, ObjectModel
from demo.images import Truth
from demo.record import Pose, Processed

CORRECT = 0.1  # of the diameter, the usual threshold of ADD(-S)
MATCHED = 0.5  # of the diameter; beyond that a detection is of something else
VISIBLE = 0.5  # least visible share of an instance that must be found
MAX_POINTS = 1000  # of a mesh; more change ADD by less than 1 %


@dataclass(frozen=True)
class Match:
    """A detection with the ground-truth instance it stands for."""

    error: float  # ADD or ADD-S over the diameter
    translation: float  # m
    rotation: float  # rad, the least over the symmetries
    visibility: float  # in [0, 1]


def model_points(vertices: np.ndarray) -> np.ndarray:
    """At most ``MAX_POINTS`` or so of a mesh's vertices (P, 3), evenly picked."""
    return vertices[:: max(1, len(vertices) // MAX_POINTS)]


def match_image(
    poses: Sequence[Pose], truth: Truth, catalogue: Catalogue, points: Mapping[str, np.ndarray]
) -> list[Match]:
    """Matches one image's detections, best score first, to its ground truth."""
    free = set(range(len(truth.obj_id)))
    models = {item.class_id: item for item in catalogue}
    matches = []
    for pose in sorted(poses, key=lambda p: -p.score):
        model = models.get(pose.class_id)
        if model is None:
            continue
        rows = [row for row in free if truth.obj_id[row] == model.obj_id]
        near = [r for r in rows if _apart(model, pose, truth.T_cam_obj[r]) < MATCHED]
        pairs = [(_add(model, points[model.class_id], pose, truth.T_cam_obj[r]), r) for r in near]
        error, row = min(pairs, default=(np.inf, -1))
        if error < MATCHED * model.diameter:
            free.remove(row)
            moved, turned = pose_error(model, pose.T_cam_obj, truth.T_cam_obj[row])
            visibility = float(truth.visibility[row])
            matches.append(Match(error / model.diameter, moved, turned, visibility))
    return matches


def pose_error(model: ObjectModel, T_est: np.ndarray, T_gt: np.ndarray) -> tuple[float, float]:
    """Translation (m) and rotation (rad) between two poses (4, 4), least over the symmetries.

    About a continuous axis only the swing counts: the least angle over all turns about the
    axis is the angle between the two axes. The translation is that of a point on the axis.
    """
    identity = np.eye(4)[None]
    best = (np.inf, np.inf)
    for S in np.concatenate([identity, model.symmetries_discrete]):
        T = T_gt @ S
        turn = T[:3, :3].T @ T_est[:3, :3]
        point = np.zeros(3)
        angle = _between(0.5 * (np.trace(turn) - 1))
        for symmetry in model.symmetries_continuous[:1]:
            point = symmetry.offset
            angle = _between(symmetry.axis @ turn @ symmetry.axis)
        moved = float(np.linalg.norm(T_est[:3] @ [*point, 1] - T[:3] @ [*point, 1]))
        best = min(best, (angle, moved))
    return best[1], best[0]


def summarise(
    published: int,
    processed: Sequence[Processed],
    matches: Sequence[Match] | None,
    visible: int,
) -> dict[str, Any]:
    """The content of summary.json but for device and model.

    Args:
        published: number of images sent.
        processed: one entry for each image that was answered.
        matches: of all processed images; None without ground truth.
        visible: ground-truth instances, at least half visible, in the processed images.
    """
    latency = np.array([frame.latency for frame in processed])
    counted = [m for m in matches or () if m.visibility >= VISIBLE]
    correct = sum(m.error < CORRECT for m in counted)
    return {
        "frames_published": published,
        "frames_processed": len(processed),
        "frames_dropped": published - len(processed),
        "detections": sum(len(frame.poses) for frame in processed),
        "latency_ms": {
            name: _rounded(np.percentile(latency, q) if len(latency) else None)
            for name, q in (("p50", 50), ("p99", 99))
        },
        "add_s_recall": _rounded(correct / visible if matches is not None and visible else None),
        "mean_translation_error_mm": _rounded(_mean([m.translation / MM for m in counted])),
        "mean_rotation_error_deg": _rounded(_mean([np.degrees(m.rotation) for m in counted])),
    }


def _apart(model: ObjectModel, pose: Pose, T_gt: np.ndarray) -> float:
    """Distance of the box centres over the diameter: a cheap test before the mesh's points."""
    center = [*model.box_center, 1.0]
    return float(np.linalg.norm((pose.T_cam_obj - T_gt)[:3] @ center)) / model.diameter


def _add(model: ObjectModel, points: np.ndarray, pose: Pose, T_gt: np.ndarray) -> float:
    est = points @ pose.T_cam_obj[:3, :3].T + pose.T_cam_obj[:3, 3]
    true = points @ T_gt[:3, :3].T + T_gt[:3, 3]
    if model.is_symmetric:
        return float(cKDTree(est).query(true)[0].mean())
    return float(np.linalg.norm(est - true, axis=1).mean())


def _between(cosine: float) -> float:
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
