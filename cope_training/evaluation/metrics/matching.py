"""Greedy matching of estimates to ground truth, for many thresholds at once.

As BOP does it: within an image and object, by descending score, each estimate takes the free
instance of least error among those whose error is below the threshold.

Axes: N estimates, G ground-truth instances, P pairs, T settings (thresholds).
"""

from dataclasses import dataclass

import numpy as np

from cope_training.evaluation.metrics.tables import Pairs

NONE = -1  # row of "no partner"


@dataclass(frozen=True)
class Matches:
    """Who found whom, for each of T settings."""

    gt_of_est: np.ndarray  # (T, N) int64, row of the ground truth or -1
    est_of_gt: np.ndarray  # (T, G) int64, row of the estimate or -1

    @property
    def found(self) -> np.ndarray:
        """(T, G) bool: instances that some estimate found."""
        return self.est_of_gt != NONE


def match(
    pairs: Pairs, errors: np.ndarray, thresholds: np.ndarray, n_est: int, n_gt: int
) -> Matches:
    """Matches greedily under each setting.

    Args:
        errors: (P,) or (P, T), one error per pair, or one per pair and setting (VSD).
        thresholds: (T,) or (P, T), an error must be strictly below its threshold.
        n_est: N.
        n_gt: G.
    """
    columns = errors[:, None] if errors.ndim == 1 else errors
    allowed: np.ndarray = np.where(columns < thresholds, columns, np.inf)  # (P, T)
    settings = allowed.shape[1]
    gt_of_est = np.full((settings, n_est), NONE, np.int64)
    est_of_gt = np.full((settings, n_gt), NONE, np.int64)
    reachable = np.isfinite(allowed.min(axis=1))
    every = np.arange(settings)
    for run, est in enumerate(pairs.owner.tolist()):
        start, stop = int(pairs.first[run]), int(pairs.first[run + 1])
        if not reachable[start:stop].any():
            continue
        partners = pairs.gt[start:stop]
        free = est_of_gt[:, partners].T == NONE
        candidates = np.where(free, allowed[start:stop], np.inf)
        choice = candidates.argmin(axis=0)
        hit = np.isfinite(candidates[choice, every])
        rows = partners[choice[hit]]
        gt_of_est[every[hit], est] = rows
        est_of_gt[every[hit], rows] = est
    return Matches(gt_of_est, est_of_gt)
