"""Detections as an imperfect detector would make them of a known truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.runtime import Estimate
from cope_training.evaluation.metrics.objects import symmetry_transforms
from cope_training.evaluation.mot import TruthFrame


@dataclass(frozen=True)
class Defects:
    """What is wrong with simulated detections."""

    across: float  # of the diameter, standard deviation of the position across the ray
    along: float  # of the diameter, along the ray
    rotation: float  # degrees, standard deviation about each axis
    recall: float  # chance that an object not occluded is detected
    occlusion_rate: float  # occlusions per object and second
    occlusion: float  # s, how long each lasts
    false_alarms: float  # mean number per frame


GOOD = Defects(0.02, 0.05, 5.0, 0.95, 0.1, 0.5, 0.2)
POOR = Defects(0.05, 0.12, 15.0, 0.7, 0.2, 0.5, 1.0)


def simulate(
    frames: Sequence[TruthFrame], catalogue: Catalogue, defects: Defects, seed: int
) -> list[Estimate]:
    """One estimate per frame; each pose in a symmetric equivalent drawn anew."""
    rng = np.random.default_rng(seed)
    symmetries = [symmetry_transforms(item) for item in catalogue]
    hidden_until: dict[int, float] = {}
    last: dict[int, float] = {}
    estimates = []
    for frame in frames:
        rows = []
        for row, name in enumerate(frame.ids.tolist()):
            dt = frame.stamp - last.get(name, frame.stamp)
            last[name] = frame.stamp
            if rng.random() < dt * defects.occlusion_rate:
                hidden_until[name] = frame.stamp + defects.occlusion
            visible = frame.wanted[row] and frame.stamp >= hidden_until.get(name, -np.inf)
            if visible and rng.random() < defects.recall:
                rows.append(row)
        seen = np.array(rows, dtype=np.int64)
        estimates.append(_detections(rng, frame, seen, catalogue, symmetries, defects))
    return estimates


def _detections(
    rng: np.random.Generator,
    frame: TruthFrame,
    rows: np.ndarray,
    catalogue: Catalogue,
    symmetries: list[np.ndarray],
    defects: Defects,
) -> Estimate:
    classes = frame.class_index[rows]
    T = np.tile(np.eye(4), (len(rows), 1, 1))
    T[:, :3, :3], T[:, :3, 3] = frame.R[rows], frame.t[rows]
    for row, c in enumerate(classes.tolist()):
        T[row] = T[row] @ rng.choice(symmetries[c])
    turns = rng.normal(0, np.deg2rad(defects.rotation), (len(rows), 3))
    R = Rotation.from_rotvec(turns).as_matrix() @ T[:, :3, :3] if len(rows) else T[:, :3, :3]
    diameter = np.array([catalogue[c].diameter for c in classes])
    ray = T[:, :3, 3] / np.linalg.norm(T[:, :3, 3], axis=1, keepdims=True)
    noise = rng.normal(0, defects.across, (len(rows), 3))
    noise += ray * rng.normal(0, defects.along, (len(rows), 1))
    t = T[:, :3, 3] + noise * diameter[:, None]
    count = rng.poisson(defects.false_alarms)
    box = frame.t.min(axis=0), frame.t.max(axis=0)
    t = np.concatenate([t, rng.uniform(*box, (count, 3))])
    R = np.concatenate([R, Rotation.random(count, rng=rng).as_matrix().reshape(-1, 3, 3)])
    index = np.concatenate([classes, rng.integers(len(catalogue), size=count)])
    return as_estimate(index, R, t)


def as_estimate(class_index: np.ndarray, R: np.ndarray, t: np.ndarray) -> Estimate:
    """Poses alone as an estimate; boxes, keypoints and covariances say nothing."""
    n = len(t)
    return Estimate(
        class_index=class_index.astype(np.int64),
        score=np.ones(n, np.float32),
        R=R.astype(np.float32),
        t=t.astype(np.float32),
        covariance=np.tile(np.eye(6, dtype=np.float32), (n, 1, 1)),
        boxes=np.zeros((n, 4), np.float32),
        keypoints=np.zeros((n, 8, 2), np.float32),
        support=np.zeros(n, np.int64),
    )
