"""Scores of tracks against a ground truth with identities: CLEAR MOT and IDF1.

py-motmetrics does the counting; here are the distances, what is left out, and how often an
orientation jumps.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from cope_ros.core.catalogue import Catalogue
from cope_ros.tracking.symmetry import Symmetries

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # motmetrics 1.4 against newer pandas
    import motmetrics

MATCH_DISTANCE = 0.5  # of the diameter, between centres: farther apart is no match
FLIP = np.deg2rad(60.0)  # change of an id's rotation between sightings that no camera explains
SHOT = 10**9  # above every id of a tracker
MEASURES = {
    "mota": "mota",
    "idf1": "idf1",
    "switches": "num_switches",
    "transfers": "num_transfer",
    "fragmentations": "num_fragmentations",
    "misses": "num_misses",
    "false_alarms": "num_false_positives",
    "objects": "num_objects",
}


@dataclass(frozen=True)
class TruthFrame:
    """What is there at one instant; N objects."""

    stamp: float  # s
    ids: np.ndarray  # (N,) int64, one for each physical object
    class_index: np.ndarray  # (N,) int64
    R: np.ndarray  # (N, 3, 3)
    t: np.ndarray  # (N, 3) m
    wanted: np.ndarray  # (N,) bool: whoever is not may be reported or missed freely
    shot: int  # number of the scene; ids may be used again in another one


class MotScore:
    """Collects frames; ``summary`` tells the measures of all of them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._symmetries = Symmetries(catalogue)
        self._accumulator = motmetrics.MOTAccumulator(auto_id=True)
        self._last_R: dict[int, np.ndarray] = {}
        self._flips = self._steps = 0

    def add(
        self,
        truth: TruthFrame,
        ids: np.ndarray,
        class_index: np.ndarray,
        R: np.ndarray,
        t: np.ndarray,
    ) -> None:
        """One frame's published instances.

        Args:
            ids: (M,) int64, what the tracker calls them, unique over classes.
        """
        distance = self._distances(truth, class_index, R, t)
        to_score = self._without_unwanted(distance, truth.wanted)
        self._count_flips(ids, R)
        self._accumulator.update(
            truth.ids[truth.wanted].tolist(),
            (ids[to_score] + truth.shot * SHOT).tolist(),
            distance[np.ix_(truth.wanted, to_score)],
        )

    def summary(self) -> dict[str, float]:
        """Measures by name; ``flips`` is the share of an id's consecutive rotations that jump."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = motmetrics.metrics.create().compute(
                self._accumulator, metrics=list(MEASURES.values()), name="all"
            )
        row = {ours: float(table[theirs].iloc[0]) for ours, theirs in MEASURES.items()}
        return row | {"flips": self._flips / max(self._steps, 1)}

    def _distances(
        self, truth: TruthFrame, class_index: np.ndarray, R: np.ndarray, t: np.ndarray
    ) -> np.ndarray:
        """(N, M) distance of centres over the diameter, NaN where a match is out of question."""
        here = self._symmetries.centers(truth.R, truth.t, truth.class_index)
        there = self._symmetries.centers(np.asarray(R, float), np.asarray(t, float), class_index)
        diameter = self._symmetries.diameters[truth.class_index]
        distance = np.linalg.norm(here[:, None] - there, axis=2) / diameter[:, None]
        distance[truth.class_index[:, None] != class_index] = np.nan
        distance[distance > MATCH_DISTANCE] = np.nan
        return distance

    @staticmethod
    def _without_unwanted(distance: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Columns (K,) of the published instances that do not show an unwanted object."""
        cost = np.where(np.isnan(distance), 10.0, distance)
        rows, columns = linear_sum_assignment(cost)
        on_unwanted = columns[~wanted[rows] & ~np.isnan(distance[rows, columns])]
        return np.setdiff1d(np.arange(distance.shape[1]), on_unwanted)

    def _count_flips(self, ids: np.ndarray, R: np.ndarray) -> None:
        now: dict[int, np.ndarray] = {}
        for name, rotation in zip(ids.tolist(), R, strict=True):
            now[name] = rotation
            if name in self._last_R:
                cosine = 0.5 * (np.sum(rotation * self._last_R[name]) - 1.0)
                self._flips += int(cosine < np.cos(FLIP))
                self._steps += 1
        self._last_R = now
