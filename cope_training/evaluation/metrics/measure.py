"""From estimates and ground truth to every score.

Axes: N estimates, G ground-truth instances, P pairs of both, T settings of a threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from cope_training.evaluation.metrics.detection import coco_map, projected_boxes
from cope_training.evaluation.metrics.matching import Matches, match
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.pair_errors import (
    ADD_THRESHOLD,
    MSPD_THRESHOLDS,
    MSSD_THRESHOLDS,
    DepthImage,
    PairErrors,
    discrepancies,
    intrinsics,
    pair_errors,
    timed,
)
from cope_training.evaluation.metrics.scores import (
    MIN_VISIBILITY,
    asked_instances,
    average_precision,
    recall_by_visibility,
    recalls,
)
from cope_training.evaluation.metrics.tables import (
    Estimates,
    GroundTruth,
    Pairs,
    asked_for,
    best_per_image,
)
from cope_training.evaluation.metrics.vsd import TAUS, DepthRenderer
from cope_training.progress import Progress

VSD_THRESHOLDS = np.arange(1, 11) * 0.05  # shares of the visible pixels (BOP)
MAX_PER_IMAGE = 100  # BOP24 counts no more estimates of an image than these
# What each recall curve runs over; BOP's average recall is the mean over these.
AXES = {"mssd": MSSD_THRESHOLDS, "mspd": MSPD_THRESHOLDS, "vsd": VSD_THRESHOLDS}


@dataclass(frozen=True)
class Measurement:
    """All scores of one set of estimates."""

    summary: dict[str, float | None]
    per_object: dict[int, dict[str, float | None]]
    recall_curves: dict[str, tuple[np.ndarray, np.ndarray]]  # (T,) thresholds, (T,) recalls
    by_visibility: dict[str, np.ndarray]  # (10,) mean recall of each tenth of visibility
    instances_by_visibility: np.ndarray  # (10,)
    found_by: np.ndarray  # (G,) int64, row of the estimate within ADD(-S) 10 %, -1 for none
    estimates: Estimates  # what was measured: those of the evaluated images, with boxes
    pair_errors: PairErrors
    seconds: dict[str, float] = field(default_factory=dict)  # per stage


def measure(
    ests: Estimates,
    gts: GroundTruth,
    objects: Mapping[int, EvalObject],
    depth_image: DepthImage | None = None,
    renderer: DepthRenderer | None = None,
    progress: Progress | None = None,
    min_visibility: float = MIN_VISIBILITY,
) -> Measurement:
    """Computes every score of ``ests`` on the images of ``gts``.

    Args:
        ests: estimates in other images are left out.
        objects: by obj_id, each that occurs in ``ests`` or ``gts``.
        depth_image: measured depth; without it or the renderer VSD is None.
        min_visibility: least visible share of the instances in ``add_s_recall_visible`` and in the
            errors of z.
    """
    seconds: dict[str, float] = {}
    progress = progress or (lambda stage, share: None)
    ests = _prepared(ests, gts, objects)
    found_errors = pair_errors(ests, gts, objects, progress, seconds)
    if depth_image is not None and renderer is not None:
        with timed(seconds, "vsd"):
            values = discrepancies(
                ests, gts, objects, found_errors.pairs, depth_image, renderer, progress
            )
        found_errors = replace(found_errors, vsd=values)
    with timed(seconds, "scores"):
        localised = _localise(ests, gts, found_errors)
        precision = _precisions(ests, gts, found_errors)
        result = _assemble(ests, gts, objects, localised, precision, found_errors)
        result.summary.update(_of_visible(result, localised["mspd"], gts, min_visibility))
    return replace(result, seconds=seconds)


def time_per_image(ests: Estimates) -> float | None:
    """Mean over the images with an estimate, s (BOP); None if any time is unknown."""
    if len(ests) == 0 or (ests.time < 0).any():
        return None
    keys = np.stack([ests.scene_id, ests.im_id], axis=1)
    _, first = np.unique(keys, axis=0, return_index=True)
    return float(ests.time[first].mean())


def _prepared(ests: Estimates, gts: GroundTruth, objects: Mapping[int, EvalObject]) -> Estimates:
    """The estimates of the evaluated images, with boxes."""
    images = zip(ests.scene_id.tolist(), ests.im_id.tolist(), strict=True)
    ests = ests.take(np.array([key in gts.K for key in images], dtype=bool))
    if ests.boxes is None:
        boxes = projected_boxes(ests.obj_id, ests.R, ests.t, intrinsics(ests, gts), objects)
        ests = replace(ests, boxes=boxes)
    return ests


def _localise(ests: Estimates, gts: GroundTruth, found: PairErrors) -> dict[str, Matches]:
    """Matches of BOP's localisation task: of each target as many estimates as are asked for."""
    pairs, mask = found.pairs.keep(asked_for(ests, gts))
    asked = asked_instances(gts)[pairs.gt]
    settings = {
        "mssd": (found.mssd, MSSD_THRESHOLDS),
        "mspd": (found.mspd, MSPD_THRESHOLDS),
        "add": (found.add, np.array([ADD_THRESHOLD])),
        "adds": (found.adds, np.array([ADD_THRESHOLD])),
        "add_s": (found.add_s, np.array([ADD_THRESHOLD])),
    }
    if found.vsd is not None:
        taus, thetas = len(TAUS), len(VSD_THRESHOLDS)
        settings["vsd"] = (np.repeat(found.vsd, thetas, axis=1), np.tile(VSD_THRESHOLDS, taus))
    result = {}
    for kind, (error, limits) in settings.items():
        kept = error[mask]
        kept = np.where(asked if kept.ndim == 1 else asked[:, None], kept, np.inf)
        result[kind] = match(pairs, kept, limits, len(ests), len(gts))
    return result


def _precisions(
    ests: Estimates, gts: GroundTruth, found: PairErrors
) -> dict[str, dict[int, float]]:
    """Average precision per object: BOP24's over MSSD and MSPD, COCO's over boxes."""
    use = best_per_image(ests, MAX_PER_IMAGE)
    pairs, mask = found.pairs.keep(use)
    # Rows of estimates beyond the limit must not count as false positives either.
    kept = ests.take(use)
    rows = np.cumsum(use) - 1
    pairs = Pairs(rows[pairs.est], pairs.gt, pairs.first, rows[pairs.owner])
    result = {"coco_map": coco_map(kept, gts)}
    for kind, limits in (("mssd", MSSD_THRESHOLDS), ("mspd", MSPD_THRESHOLDS)):
        matches = match(pairs, getattr(found, kind)[mask], limits, len(kept), len(gts))
        result[f"bop24_ap_{kind}"] = average_precision(matches, kept, gts)
    return result


def _assemble(
    ests: Estimates,
    gts: GroundTruth,
    objects: Mapping[int, EvalObject],
    localised: Mapping[str, Matches],
    precision: Mapping[str, Mapping[int, float]],
    found: PairErrors,
) -> Measurement:
    asked = asked_instances(gts)
    present = sorted(set(np.unique(gts.obj_id[asked]).tolist()))
    per_object: dict[int, dict[str, float | None]] = {
        i: {
            **_recall_scores(localised, gts, i),
            **{name: values.get(i) for name, values in precision.items()},
            "targets": int((asked & (gts.obj_id == i)).sum()),
        }
        for i in present
    }
    summary = _recall_scores(localised, gts, None)
    summary |= {name: _mean(list(values.values())) for name, values in precision.items()}
    per_object_add = [float(row["add_s_recall"] or 0) for row in per_object.values()]
    summary["add_s_recall_object_mean"] = _mean(per_object_add)
    summary["time_s_per_image"] = time_per_image(ests)
    summary["images"], summary["targets"] = len(gts.K), int(asked.sum())
    curves = {kind: _curve(kind, m, gts) for kind, m in localised.items() if kind in AXES}
    binned = {kind: recall_by_visibility(m, gts) for kind, m in localised.items()}
    by_visibility = {kind: share for kind, (share, _) in binned.items()}
    counts = binned["add_s"][1]
    by = localised["add_s"].est_of_gt[0]
    return Measurement(summary, per_object, curves, by_visibility, counts, by, ests, found)


def _of_visible(
    result: Measurement, mspd: Matches, gts: GroundTruth, min_visibility: float
) -> dict[str, float | None]:
    """Scores of the instances that are visible enough.

    Errors of z are those of estimates whose projection is right within MSPD's widest threshold,
    whatever their depth.
    """
    wanted = asked_instances(gts) & (gts.visibility >= min_visibility)
    row = mspd.est_of_gt[-1]
    near = wanted & (row >= 0)
    error = np.abs(result.estimates.t[row[near], 2] - gts.t[near, 2]) * 1e3
    found = result.found_by[wanted] >= 0
    return {
        "min_visibility": min_visibility,
        "targets_visible": int(wanted.sum()),
        "add_s_recall_visible": float(found.mean()) if len(found) else None,
        "z_error_median_mm": float(np.median(error)) if len(error) else None,
        "z_error_p90_mm": float(np.quantile(error, 0.9)) if len(error) else None,
    }


def _curve(kind: str, matches: Matches, gts: GroundTruth) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds and recalls; VSD's recalls are the mean over its misalignment tolerances."""
    return AXES[kind], recalls(matches, gts).reshape(-1, len(AXES[kind])).mean(axis=0)


def _recall_scores(
    localised: Mapping[str, Matches], gts: GroundTruth, obj_id: int | None
) -> dict[str, float | None]:
    scores: dict[str, float | None] = {"ar_vsd": None}
    for kind, matches in localised.items():
        value = float(recalls(matches, gts, obj_id).mean())
        scores[f"{kind}_recall" if kind.startswith("add") else f"ar_{kind}"] = value
    parts = [scores[f"ar_{kind}"] for kind in AXES]
    known = [part for part in parts if part is not None]
    scores["ar"] = _mean(known) if len(known) == len(parts) else None
    return scores


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
