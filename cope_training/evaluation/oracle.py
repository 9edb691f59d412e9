"""Oracle substitution: how many poses would be right if their depth or their rotation were true.

What was found of each instance is that of ``failures.explain``: the estimate that found it, else
the one of its class whose box overlaps by at least half. Errors are those of these estimates,
right or wrong; an instance without one is missed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from cope_training.evaluation.failures import MISSED, WRONG_CLASS, Failures, explain
from cope_training.evaluation.metrics import errors
from cope_training.evaluation.metrics.measure import Measurement
from cope_training.evaluation.metrics.objects import EvalObject, diameters
from cope_training.evaluation.metrics.pair_errors import ADD_THRESHOLD, intrinsics
from cope_training.evaluation.metrics.tables import GroundTruth

MIN_VISIBILITY = 0.5  # of the instances in rows that are not of a visibility
VISIBILITIES = (0.1, 0.3, 0.5, 0.75, 0.9)  # lower edges; the last is open
SIZES = (0.0, 65.0, 100.0, 150.0, 260.0)  # px, focal length times diameter over depth
SPREAD = (0.16, 0.84)  # quantiles one standard deviation of a Gaussian off its mean


@dataclass(frozen=True)
class OracleRow:
    """What became of a group of instances; shares in [0, 1], NaN where there is nothing."""

    instances: int
    right: float  # ADD(-S) below a tenth of the diameter
    true_rotation: float  # the same with true rotations put in
    true_depth: float
    both: float
    missed: float
    rotation_deg: float  # median angle, to the nearest symmetric equivalent
    depth_bias: float  # median of the depth's error over the depth, positive: too far
    depth_scatter: float  # half the distance between its SPREAD quantiles

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain data for JSON, None for NaN."""
        return {k: None if np.isnan(v) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class _Attempts:
    """G instances and what was found of them; NaN or False where nothing was."""

    found: np.ndarray  # (G,) bool: whether there is an estimate of the class
    right: np.ndarray  # (G,) bool
    true_rotation: np.ndarray  # (G,) bool
    true_depth: np.ndarray  # (G,) bool
    both: np.ndarray  # (G,) bool
    rotation_deg: np.ndarray  # (G,)
    depth: np.ndarray  # (G,) error over the true depth


def oracle_rows(
    result: Measurement,
    gts: GroundTruth,
    objects: Mapping[int, EvalObject],
    names: Mapping[int, str],
    min_visibility: float = MIN_VISIBILITY,
) -> dict[str, OracleRow]:
    """Rows over all instances, and by class, visible share and apparent size.

    Args:
        result: of the estimates with boxes.
        names: obj_id to class_id.
        min_visibility: least visible share of the instances in all rows but those of visibility.

    Returns:
        By names such as ``all``, ``cup``, ``visible 50-75 %``, ``size 65-100 px``; groups
        without an instance are left out.
    """
    failures = explain(result.estimates, gts, result.found_by, objects)
    attempts = _attempts(result, gts, objects, failures)
    asked = failures.kind >= 0
    seen = asked & (gts.visibility >= min_visibility)
    groups = {"all": seen}
    groups |= {names[i]: seen & (gts.obj_id == i) for i in names}
    for low, high in zip(VISIBILITIES, (*VISIBILITIES[1:], np.inf), strict=True):
        top = f"{100 * min(high, 1.0):.0f}"
        inside = asked & (gts.visibility >= low) & (gts.visibility < high)
        groups[f"visible {100 * low:.0f}-{top} %"] = inside
    size = apparent_size(gts, objects)
    for low, high in zip(SIZES, (*SIZES[1:], np.inf), strict=True):
        name = f"size {low:.0f}-{high:.0f} px" if np.isfinite(high) else f"size over {low:.0f} px"
        groups[name] = seen & (size >= low) & (size < high)
    return {name: _row(attempts, rows) for name, rows in groups.items() if rows.any()}


def oracle_table(rows: Mapping[str, OracleRow]) -> str:
    """Markdown: a line for each group."""
    lines = [
        "| instances | number | right | true rotation | true depth | both | missed | rotation "
        "| depth: bias, scatter |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in rows.items():
        shares = (row.right, row.true_rotation, row.true_depth, row.both, row.missed)
        cells = " | ".join(f"{share:.3f}" for share in shares)
        if np.isnan(row.depth_bias):
            spread = "- | -"
        else:
            off = f"{100 * row.depth_bias:+.1f} %, {100 * row.depth_scatter:.1f} %"
            spread = f"{row.rotation_deg:.1f}° | {off}"
        lines.append(f"| {name} | {row.instances} | {cells} | {spread} |")
    return "\n".join(lines)


def apparent_size(gts: GroundTruth, objects: Mapping[int, EvalObject]) -> np.ndarray:
    """(G,) px: focal length times diameter over the depth of the box's centre."""
    depth = np.maximum(_centers(gts.R, gts.t, gts.obj_id, objects)[:, 2], 1e-9)
    return intrinsics(gts, gts)[:, 0, 0] * diameters(objects, gts.obj_id) / depth


def _attempts(
    result: Measurement, gts: GroundTruth, objects: Mapping[int, EvalObject], failures: Failures
) -> _Attempts:
    found = (failures.kind >= 0) & ~np.isin(failures.kind, (MISSED, WRONG_CLASS))
    g = np.flatnonzero(found)
    ests = result.estimates.take(failures.attempt[g])
    R, t = _nearest_equivalents(ests.R, gts, g, objects)
    center, true_center = (
        _centers(*pose, ests.obj_id, objects) for pose in ((ests.R, ests.t), (R, t))
    )
    at_depth = center * (true_center[:, 2:] / center[:, 2:])
    cases = {
        "true_rotation": (R, center),
        "true_depth": (ests.R, at_depth),
        "both": (R, at_depth),
    }
    columns = {name: np.zeros(len(gts), bool) for name in cases}
    for name, (R_case, c) in cases.items():
        columns[name][g] = _is_right(R_case, c, gts, g, objects)
    rotation_deg, depth = np.full((2, len(gts)), np.nan)
    depth[g] = center[:, 2] / true_center[:, 2] - 1.0
    for obj, rows in _by_object(gts.obj_id[g], objects):
        angle = errors.rotation_error(obj, ests.R[rows], R[rows])
        rotation_deg[g[rows]] = np.degrees(angle)
    return _Attempts(found, result.found_by >= 0, **columns, rotation_deg=rotation_deg, depth=depth)


def _nearest_equivalents(
    R_est: np.ndarray, gts: GroundTruth, g: np.ndarray, objects: Mapping[int, EvalObject]
) -> tuple[np.ndarray, np.ndarray]:
    """(E, 3, 3) and (E, 3) m: of the poses equivalent to the truth the nearest in rotation."""
    R, t = gts.R[g].copy(), gts.t[g].copy()
    for obj, rows in _by_object(gts.obj_id[g], objects):
        relative = np.swapaxes(R[rows], 1, 2) @ R_est[rows]
        best = np.einsum("pij,sij->ps", relative, obj.symmetries[:, :3, :3]).argmax(axis=1)
        S = obj.symmetries[best]
        t[rows] += (R[rows] @ S[:, :3, 3:])[..., 0]
        R[rows] = R[rows] @ S[:, :3, :3]
    return R, t


def _is_right(
    R: np.ndarray,
    center: np.ndarray,
    gts: GroundTruth,
    g: np.ndarray,
    objects: Mapping[int, EvalObject],
) -> np.ndarray:
    """(E,) bool: ADD(-S) of poses with these boxes' centres (E, 3) is below the threshold."""
    right = np.zeros(len(g), bool)
    for obj, rows in _by_object(gts.obj_id[g], objects):
        t = center[rows] - R[rows] @ obj.model.box_center
        poses = (R[rows], t, gts.R[g[rows]], gts.t[g[rows]])
        limit = ADD_THRESHOLD * obj.diameter
        if obj.model.is_symmetric:
            error = errors.add_s(obj, *poses, limit=limit)
        else:
            error = errors.add(obj.vertices, *poses, limit=limit)
        right[rows] = error < limit
    return right


def _centers(
    R: np.ndarray, t: np.ndarray, obj_id: np.ndarray, objects: Mapping[int, EvalObject]
) -> np.ndarray:
    """(N, 3) m: centres of the boxes in the camera frame."""
    middle = np.array([objects[i].model.box_center for i in obj_id.tolist()]).reshape(-1, 3)
    return (R @ middle[..., None])[..., 0] + t


def _by_object(
    obj_id: np.ndarray, objects: Mapping[int, EvalObject]
) -> Iterator[tuple[EvalObject, np.ndarray]]:
    """Each object of ``obj_id`` (N,) and its rows."""
    for index in np.unique(obj_id).tolist():
        yield objects[index], np.flatnonzero(obj_id == index)


def _row(attempts: _Attempts, rows: np.ndarray) -> OracleRow:
    found = rows & attempts.found
    bias = angle = scatter = np.nan
    if found.any():
        low, bias, high = np.quantile(attempts.depth[found], (SPREAD[0], 0.5, SPREAD[1]))
        angle, scatter = np.median(attempts.rotation_deg[found]), 0.5 * (high - low)
    return OracleRow(
        instances=int(rows.sum()),
        right=float(attempts.right[rows].mean()),
        true_rotation=float(attempts.true_rotation[rows].mean()),
        true_depth=float(attempts.true_depth[rows].mean()),
        both=float(attempts.both[rows].mean()),
        missed=float((~attempts.found[rows]).mean()),
        rotation_deg=float(angle),
        depth_bias=float(bias),
        depth_scatter=float(scatter),
    )
