"""Errors of estimated poses, vectorised over pairs of an estimate and a ground truth.

Axes: P pairs (all of one object), V vertices, S symmetries. ``R_*`` (P, 3, 3), ``t_*`` (P, 3)
and points in metres, ``K`` (P, 3, 3) in pixels. Definitions: Hodan et al., "BOP Challenge 2020",
section 2.2, and Hinterstoisser et al., ACCV 2012, for ADD and ADD-S.
"""

from collections.abc import Callable

import numpy as np

from cope_training.evaluation.metrics.objects import EvalObject

SKEW = 0.02  # rotations may stretch by that much (see bop_csv.ROTATION_TOLERANCE)
CHUNK_POINTS = 500_000  # points in flight at once: bounds the memory to some 100 MB

# (points (V, 3), rows (A,) of the pairs, symmetry of each (A,)) -> (A,) largest distance
Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def mssd(
    obj: EvalObject,
    R_est: np.ndarray,
    t_est: np.ndarray,
    R_gt: np.ndarray,
    t_gt: np.ndarray,
    limit: float = np.inf,
) -> np.ndarray:
    """Maximum symmetry-aware surface distance.

    Args:
        limit: m; pairs whose error is certainly no smaller may come back as infinity.

    Returns:
        (P,) m.
    """

    def distance(points: np.ndarray, rows: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
        S = obj.symmetries[symmetry]
        R = R_est[rows] - R_gt[rows] @ S[:, :3, :3]
        gap = _apply(R, t_est[rows] - t_gt[rows] - _rotate(R_gt[rows], S[:, :3, 3]), points)
        return np.sqrt(np.einsum("pvi,pvi->pv", gap, gap).max(axis=1))

    return _least_over_symmetries(obj, len(R_est), obj.hull, distance, limit)


def mspd(
    obj: EvalObject,
    K: np.ndarray,
    R_est: np.ndarray,
    t_est: np.ndarray,
    R_gt: np.ndarray,
    t_gt: np.ndarray,
    limit: float = np.inf,
) -> np.ndarray:
    """Maximum symmetry-aware projection distance; infinite if a vertex is behind the camera.

    Args:
        limit: px; pairs whose error is certainly no smaller may come back as infinity.

    Returns:
        (P,) px.
    """

    def distance(points: np.ndarray, rows: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
        S = obj.symmetries[symmetry]
        R, t = R_gt[rows] @ S[:, :3, :3], _rotate(R_gt[rows], S[:, :3, 3]) + t_gt[rows]
        seen = project(K[rows], _apply(R_est[rows], t_est[rows], points))
        gap = seen - project(K[rows], _apply(R, t, points))
        squares = np.einsum("pvi,pvi->pv", gap, gap)
        return np.sqrt(np.where(np.isfinite(squares), squares, np.inf).max(axis=1))

    return _least_over_symmetries(obj, len(R_est), obj.vertices, distance, limit)


def add(
    points: np.ndarray,
    R_est: np.ndarray,
    t_est: np.ndarray,
    R_gt: np.ndarray,
    t_gt: np.ndarray,
    limit: float = np.inf,
) -> np.ndarray:
    """Average distance of model points (V, 3) to themselves.

    Args:
        limit: m; pairs whose error is certainly no smaller may come back as infinity.

    Returns:
        (P,) m.
    """
    R, t = R_est - R_gt, t_est - t_gt
    error = np.full(len(R), np.inf)
    # The mean distance is no less than the length of the mean displacement.
    near = np.flatnonzero(np.linalg.norm(_rotate(R, points.mean(axis=0)) + t, axis=1) < limit)
    for rows in _chunks(near, len(points)):
        gap = _apply(R[rows], t[rows], points)
        error[rows] = np.sqrt(np.einsum("pvi,pvi->pv", gap, gap)).mean(axis=1)
    return error


def add_s(
    obj: EvalObject,
    R_est: np.ndarray,
    t_est: np.ndarray,
    R_gt: np.ndarray,
    t_gt: np.ndarray,
    limit: float = np.inf,
) -> np.ndarray:
    """Average distance of the ground truth's vertices to the nearest vertex of the estimate.

    Neighbours are sought in the estimate's object frame, so that one search tree per object
    serves every pair; their distances are measured in the camera's frame, because published
    ground truth holds rotations that are off by a per cent.

    Args:
        limit: m; pairs whose error is certainly no smaller may come back as infinity.

    Returns:
        (P,) m.
    """
    inverse = np.linalg.inv(R_est)
    R, t = inverse @ R_gt, _rotate(inverse, t_gt - t_est)
    error = np.full(len(R), np.inf)
    near = np.arange(len(R))
    if np.isfinite(limit):
        near = np.flatnonzero(_least_add_s(obj, R, t) < limit)
    for rows in _chunks(near, len(obj.vertices)):
        _, nearest = obj.tree.query(_apply(R[rows], t[rows], obj.vertices), workers=-1)
        found = obj.vertices[nearest] @ np.swapaxes(R_est[rows], 1, 2) + t_est[rows, None]
        gap = _apply(R_gt[rows], t_gt[rows], obj.vertices) - found
        error[rows] = np.linalg.norm(gap, axis=2).mean(axis=1)
    return error


def _least_add_s(obj: EvalObject, R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(P,) m: a lower bound of ADD-S for relative poses.

    The distance to the nearest vertex changes by no more than one moves, so a cluster's mean is
    at least its centre's distance less the mean distance of its members from it.
    """
    centres, share, spread = obj.clusters
    bound = np.empty(len(R))
    for rows in _chunks(np.arange(len(R)), len(centres)):
        distance, _ = obj.tree.query(_apply(R[rows], t[rows], centres), workers=-1)
        bound[rows] = distance @ share
    return (1 - SKEW) * bound - (1 + SKEW) * spread


def rotation_error(obj: EvalObject, R_est: np.ndarray, R_gt: np.ndarray) -> np.ndarray:
    """(P,) rad in [0, pi]: angle to the nearest of the ground truth's symmetric rotations."""
    relative = np.swapaxes(R_gt, 1, 2) @ R_est
    trace = np.einsum("pij,sij->ps", relative, obj.symmetries[:, :3, :3]).max(axis=1)
    return np.arccos(np.clip((trace - 1) / 2, -1, 1))


def translation_error(t_est: np.ndarray, t_gt: np.ndarray) -> np.ndarray:
    """(P,) m: distance between the origins."""
    return np.linalg.norm(t_est - t_gt, axis=-1)


def project(K: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Pinhole projection; NaN for points that are not in front of the camera.

    Args:
        K: (P, 3, 3).
        points: (P, V, 3) m, camera frame.

    Returns:
        (P, V, 2) px.
    """
    z = np.where(points[..., 2] > 0, points[..., 2], np.nan)[..., None]
    focal = np.stack([K[:, 0, 0], K[:, 1, 1]], axis=1)[:, None]
    skewed = points[..., :2] / z
    skewed[..., 0] += (K[:, 0, 1] / K[:, 0, 0])[:, None] * skewed[..., 1]
    return skewed * focal + K[:, None, :2, 2]


def _least_over_symmetries(
    obj: EvalObject,
    count: int,
    points: np.ndarray,
    distance: Distance,
    limit: float,
) -> np.ndarray:
    """Branch and bound: the exact least over the symmetries of the largest distance.

    A few points bound each symmetry from below; all points are measured only for the
    symmetries whose bound is still below the best found so far.
    """
    S = len(obj.symmetries)
    every = np.arange(count)
    best = np.full(count, np.inf)
    if S == 1:
        return _measured(distance, points, every, np.zeros(count, np.int64))
    pairs, symmetry = np.repeat(every, S), np.tile(np.arange(S), count)
    bound = _measured(distance, obj.screen, pairs, symmetry).reshape(count, S)
    order = np.argsort(bound, axis=1)
    active = every
    for step in range(S):
        tried = order[active, step]
        hopeful = bound[active, tried] < np.minimum(best[active], limit)
        active, tried = active[hopeful], tried[hopeful]
        if len(active) == 0:
            break
        best[active] = np.minimum(best[active], _measured(distance, points, active, tried))
    return best


def _measured(
    distance: Distance,
    points: np.ndarray,
    rows: np.ndarray,
    symmetry: np.ndarray,
) -> np.ndarray:
    """``distance`` of every row, in chunks of bounded memory."""
    result = np.empty(len(rows))
    for part in _chunks(np.arange(len(rows)), len(points)):
        result[part] = distance(points, rows[part], symmetry[part])
    return result


def _chunks(rows: np.ndarray, points: int) -> list[np.ndarray]:
    size = max(1, CHUNK_POINTS // max(points, 1))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _rotate(R: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(P, 3): each vector turned by its matrix (P, 3, 3)."""
    return (R @ vectors[..., None])[..., 0]


def _apply(R: np.ndarray, t: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(P, V, 3): the points (V, 3) in each of P poses."""
    return points @ np.swapaxes(R, 1, 2) + t[:, None]
