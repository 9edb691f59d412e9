"""The figures of a demonstration: rates, latency and, with ground truth, pose errors.

Errors are ADD (mean distance of the model's points, Hinterstoisser et al., ACCV 2012), or ADD-S
for objects with a symmetry. Detections are matched greedily within an image and class: by
descending score, each takes the free instance of least error below a threshold. The recall is
the share of instances, at least half visible and in processed images, that are matched below a
tenth of the diameter. The mean errors are over such instances matched below half the diameter,
so a model that misses much can still have small mean errors: read them with the recall.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.errors import CopeError
from cope_training.evaluation.metrics import (
    Estimates,
    EvalObject,
    GroundTruth,
    add,
    add_s,
    find_scenes,
    read_ground_truth,
    rotation_error,
    translation_error,
)
from cope_training.evaluation.metrics.matching import match
from cope_training.evaluation.metrics.tables import UNKNOWN_TIME, Pairs, pair_up
from demo.images import CameraImage
from demo.record import Processed
from demo.shapes import same_objects

CORRECT = 0.1  # of the diameter, the usual threshold of ADD(-S)
MATCHED = 0.5  # of the diameter; beyond that a detection is of something else
VISIBLE = 0.5  # least visible share of an instance that must be found
Known = Sequence[tuple[CameraImage, Processed]]


@dataclass(frozen=True)
class Accuracy:
    """How well instances that are at least half visible were estimated; None: not measurable."""

    add_s_recall: float | None = None  # in [0, 1]
    translation: float | None = None  # mean, m
    rotation: float | None = None  # mean, rad, the least over the symmetries
    instances: int = 0  # that the recall counts


def read_truth(folder: Path, known: Known, catalogue: Catalogue) -> GroundTruth | None:
    """The ground truth of the processed images, None where there is none of these objects.

    Where the data set comes with a models_info.json, its diameters must be the catalogue's.

    Raises:
        CopeError: a file of the data set is at fault.
    """
    keys = [image.key for image, _ in known if image.key is not None]
    try:
        # Without the targets, which name only a part of the annotated images.
        scenes = replace(find_scenes(folder), targets=None)
    except CopeError:
        return None
    if not keys or (scenes.models is not None and not same_objects(scenes.models, catalogue)):
        return None
    return read_ground_truth(scenes, keys)


def measure_accuracy(
    ests: Estimates, truth: GroundTruth, objects: Mapping[int, EvalObject]
) -> tuple[Accuracy, np.ndarray]:
    """Compares the detections of the processed images with the ground truth.

    Args:
        objects: the meshes of every object of the catalogue, by obj_id.

    Returns:
        The figures, and (G,) int64 which row of ``ests`` found an instance, -1 for none.
    """
    pairs = pair_up(ests, truth)
    errors = _relative_errors(ests, truth, pairs, objects)
    matches = match(pairs, errors, np.array([CORRECT, MATCHED]), len(ests), len(truth))
    counted = (truth.visibility >= VISIBLE) & np.isin(truth.obj_id, list(objects))
    rows = np.flatnonzero(matches.found[1] & counted)
    partners = matches.est_of_gt[1, rows]
    turned = [
        float(rotation_error(objects[int(truth.obj_id[g])], ests.R[[e]], truth.R[[g]])[0])
        for e, g in zip(partners, rows, strict=True)
    ]
    moved = translation_error(ests.t[partners], truth.t[rows])
    recall = matches.found[0, counted].mean() if counted.any() else None
    figures = Accuracy(recall, _mean(moved), _mean(turned), int(counted.sum()))
    return figures, matches.est_of_gt[0]


def summarise(published: int, processed: Sequence[Processed], accuracy: Accuracy) -> dict[str, Any]:
    """The content of summary.json but for device and model.

    Args:
        published: number of images sent.
        processed: one entry for each image that was answered.
    """
    latency = [frame.latency for frame in processed]
    moved, turned = accuracy.translation, accuracy.rotation
    return {
        "frames_published": published,
        "frames_processed": len(processed),
        "frames_dropped": published - len(processed),
        "detections": sum(len(frame.poses) for frame in processed),
        "latency_ms": {
            "p50": _rounded(np.percentile(latency, 50) if latency else None, 2),
            "p99": _rounded(np.percentile(latency, 99) if latency else None, 2),
        },
        "instances": accuracy.instances,
        "add_s_recall": _rounded(accuracy.add_s_recall, 4),
        "mean_translation_error_mm": _rounded(None if moved is None else moved / MM, 3),
        "mean_rotation_error_deg": _rounded(None if turned is None else np.degrees(turned), 3),
    }


def key_of(image: CameraImage, place: int) -> tuple[int, int]:
    """(scene_id, im_id) of an image; its ``place`` in the run where it is in no data set."""
    return image.key or (0, place)


def table_of(known: Known, catalogue: Catalogue) -> tuple[Estimates, list[str]]:
    """Every detection of a class of the catalogue, as columns, and the ids of the detections."""
    ids = {item.class_id: item.obj_id for item in catalogue}
    rows = [
        (key_of(image, place), pose)
        for place, (image, frame) in enumerate(known)
        for pose in frame.poses
        if pose.class_id in ids
    ]
    T = np.array([pose.T_cam_obj for _, pose in rows], dtype=float).reshape(-1, 4, 4)
    keys = np.array([key for key, _ in rows], dtype=np.int64).reshape(-1, 2)
    given = [pose.covariance for _, pose in rows if pose.covariance is not None]
    table = Estimates(
        scene_id=keys[:, 0],
        im_id=keys[:, 1],
        obj_id=np.array([ids[pose.class_id] for _, pose in rows], dtype=np.int64),
        score=np.array([pose.score for _, pose in rows], dtype=float),
        R=T[:, :3, :3],
        t=T[:, :3, 3],
        time=np.full(len(rows), UNKNOWN_TIME),
        covariance=np.array(given) if given and len(given) == len(rows) else None,
    )
    return table, [pose.track_id for _, pose in rows]


def _relative_errors(
    ests: Estimates, truth: GroundTruth, pairs: Pairs, objects: Mapping[int, EvalObject]
) -> np.ndarray:
    """(P,) ADD, or ADD-S of symmetric objects, over the diameter; infinite far beyond a match."""
    errors = np.full(len(pairs), np.inf)
    owners = truth.obj_id[pairs.gt]
    for obj_id, item in objects.items():
        rows = np.flatnonzero(owners == obj_id)
        e, g = pairs.est[rows], pairs.gt[rows]
        poses = (ests.R[e], ests.t[e], truth.R[g], truth.t[g])
        limit = MATCHED * item.diameter
        symmetric = item.model.is_symmetric
        found = add_s(item, *poses, limit) if symmetric else add(item.vertices, *poses, limit)
        errors[rows] = found / item.diameter
    return errors


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)
