"""The page's plots: recall by class, size and visibility, errors, times."""

from itertools import pairwise

import numpy as np

from cope_training.evaluation.failures import FOUND
from cope_training.evaluation.metrics.errors import rotation_error
from cope_training.evaluation.page.content import Results, Truth
from cope_training.evaluation.page.failure_cards import offsets
from cope_training.evaluation.plots import (
    error_histogram,
    latency_histogram,
    recall_bars,
    stage_bars,
)

VISIBILITY_STEPS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
SIZE_STEPS = (0, 32, 64, 96, 128, 192, 256, np.inf)  # px, longer side of the amodal box
LIMITS = {"depth": 60.0, "lateral": 20.0, "rotation": 60.0}  # mm, mm, degrees: ends of the plots


def recall_charts(results: Results, truth: Truth) -> list[str]:
    """Recall by class, visibility and size in the image."""
    gts = truth.gts
    label = "share that is right"
    by_class = [
        (results.names[i], *_counts(truth, gts.obj_id == i))
        for i in results.names
        if (truth.asked & (gts.obj_id == i)).any()
    ]
    by_class.sort(key=lambda row: row[1] / row[2])
    by_visibility = [
        (f"{low:.0%} to {high:.0%}", *_counts(truth, _between(gts.visibility, low, high)))
        for low, high in pairwise(VISIBILITY_STEPS)
    ]
    extent = np.nanmax(gts.boxes[:, 2:] - gts.boxes[:, :2], axis=1, initial=0)
    by_size = [
        (_span(low, high), *_counts(truth, (extent >= low) & (extent < high)))
        for low, high in pairwise(SIZE_STEPS)
    ]
    return [
        recall_bars("by class", label, by_class),
        recall_bars("by visible share", label, [row for row in by_visibility if row[2]]),
        recall_bars("by size in the image", label, [row for row in by_size if row[2]]),
    ]


def error_charts(results: Results, truth: Truth) -> list[str]:
    """Errors of all estimates that are of an annotated instance, right or not."""
    gts, ests, failures = truth.gts, results.estimates, truth.failures
    rows = np.flatnonzero(truth.asked & (failures.attempt >= 0))
    rows = rows[ests.obj_id[failures.attempt[rows]] == gts.obj_id[rows]]
    partner = failures.attempt[rows]
    depth, aside = offsets(ests.t[partner], gts.t[rows])
    angle = [
        float(rotation_error(results.objects[int(gts.obj_id[g])], ests.R[[e]], gts.R[[g]])[0])
        for e, g in zip(partner.tolist(), rows.tolist(), strict=True)
    ]
    return [
        error_histogram("depth", "mm", 1e3 * depth, LIMITS["depth"], ", positive is too far"),
        error_histogram("across the ray", "mm", 1e3 * aside, LIMITS["lateral"]),
        error_histogram("rotation", "degrees", np.degrees(angle), LIMITS["rotation"]),
    ]


def time_charts(results: Results) -> list[str]:
    """Histogram of the times per image and the stages, as far as they are known."""
    charts = [latency_histogram(results.seconds)] if len(results.seconds) else []
    return [*charts, stage_bars(results.stages)] if results.stages else charts


def _counts(truth: Truth, rows: np.ndarray) -> tuple[int, int]:
    """Right ones and all of those asked for among ``rows``."""
    asked = truth.asked & rows
    return int((truth.failures.kind[asked] == FOUND).sum()), int(asked.sum())


def _between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values >= low) & ((values < high) | (high >= VISIBILITY_STEPS[-1]))


def _span(low: float, high: float) -> str:
    return f"{low:.0f} px up" if np.isinf(high) else f"{low:.0f} to {high:.0f} px"
