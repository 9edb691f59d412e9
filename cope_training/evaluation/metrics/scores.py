"""Recall and average precision from matches.

Axes: N estimates, G ground-truth instances, T settings (thresholds).
"""

import numpy as np

from cope_training.evaluation.metrics.matching import NONE, Matches
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth, keys_of

MIN_VISIBILITY = 0.1  # BOP: instances less visible than this are not asked for
RECALL_STEPS = np.linspace(0, 1, 101)  # COCO's sampling of the precision curve
# Upper edges are open but for the last; BOP's minimum is the first edge that counts.
VISIBILITY_EDGES = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


def asked_instances(gts: GroundTruth) -> np.ndarray:
    """(G,) bool: the instances that BOP's localisation task asks for.

    Those are the ``inst_count`` most visible ones of each target.
    """
    order = np.argsort(-gts.visibility, kind="stable")
    left = dict(gts.inst_count)
    asked = np.zeros(len(gts), dtype=bool)
    keys = keys_of(gts)
    for row in order.tolist():
        if left.get(keys[row], 0) > 0:
            left[keys[row]] -= 1
            asked[row] = True
    return asked


def recalls(matches: Matches, gts: GroundTruth, obj_id: int | None = None) -> np.ndarray:
    """(T,) in [0, 1]: share of the targets that were found, of one object or of all.

    Zero where nothing is asked for.
    """
    counted = asked_instances(gts)
    if obj_id is not None:
        counted &= gts.obj_id == obj_id
    return (matches.found & counted).sum(axis=1) / max(int(counted.sum()), 1)


def recall_by_visibility(matches: Matches, gts: GroundTruth) -> tuple[np.ndarray, np.ndarray]:
    """Mean recall over the settings of the instances in each tenth of visibility.

    Returns:
        (10,) recall, NaN in empty bins, and (10,) how many instances each bin holds.
    """
    bins = np.clip(np.digitize(gts.visibility, VISIBILITY_EDGES[1:-1]), 0, 9)
    share = matches.found.mean(axis=0)
    counted = asked_instances(gts)
    number = np.bincount(bins[counted], minlength=10)
    summed = np.bincount(bins[counted], weights=share[counted], minlength=10)
    return np.divide(summed, number, out=np.full(10, np.nan), where=number > 0), number


def average_precision(matches: Matches, ests: Estimates, gts: GroundTruth) -> dict[int, float]:
    """BOP24 average precision of each object that has a visible instance.

    Estimates that match an instance below the minimum visibility count neither way.

    Args:
        matches: of all estimates with all instances of the evaluated images.

    Returns:
        obj_id to the mean over the T settings, in [0, 1].
    """
    visible = gts.visibility >= MIN_VISIBILITY
    result = {}
    for obj_id in np.unique(gts.obj_id[visible]).tolist():
        rows = np.flatnonzero(ests.obj_id == obj_id)
        # Equal scores are taken in the order of the images, as BOP and COCO do.
        rows = rows[np.lexsort((ests.im_id[rows], ests.scene_id[rows], -ests.score[rows]))]
        total = int((visible & (gts.obj_id == obj_id)).sum())
        partner = matches.gt_of_est[:, rows]
        hit = (partner != NONE) & visible[partner]
        ignored = (partner != NONE) & ~visible[partner]
        curves = [interpolated_precision(hit[s][~ignored[s]], total) for s in range(len(partner))]
        result[obj_id] = float(np.mean(curves))
    return result


def interpolated_precision(hit: np.ndarray, total: int) -> float:
    """COCO's average precision: the mean best precision at 101 recall levels.

    Args:
        hit: (N,) bool, true positives among the estimates by descending score.
        total: how many instances there are to find.
    """
    if len(hit) == 0 or total == 0:
        return 0.0
    found = np.cumsum(hit)
    precision = found / np.arange(1, len(hit) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    # First place whose recall reaches each level; beyond the last one precision is zero.
    place = np.searchsorted(found / total, RECALL_STEPS, side="left")
    return float(np.append(best, 0.0)[place].mean())
