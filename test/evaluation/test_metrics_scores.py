"""Matching, recall and precision against small cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_scene import estimates, truth

from cope_training.evaluation.metrics.matching import match
from cope_training.evaluation.metrics.measure import time_per_image
from cope_training.evaluation.metrics.scores import (
    asked_instances,
    average_precision,
    interpolated_precision,
    recall_by_visibility,
    recalls,
)
from cope_training.evaluation.metrics.tables import (
    Estimates,
    asked_for,
    best_per_image,
    pair_up,
)


def table(pairs, values: dict[tuple[int, int], float]) -> np.ndarray:
    """Errors of pairs from {(est, gt): error}."""
    return np.array([values[e, g] for e, g in zip(pairs.est, pairs.gt, strict=True)])


def test_matching_is_greedy_by_score_not_optimal() -> None:
    ests, gts = estimates([(0, 1, 0.9), (0, 1, 0.8)]), truth([(0, 1, 1.0), (0, 1, 1.0)])
    pairs = pair_up(ests, gts)
    error = table(pairs, {(0, 0): 1.0, (0, 1): 2.0, (1, 0): 1.0, (1, 1): 9.0})
    # The better one takes instance 0; the other has nothing left below its threshold.
    found = match(pairs, error, np.array([5.0, 10.0]), 2, 2)
    assert found.gt_of_est.tolist() == [[0, -1], [0, 1]]
    assert found.est_of_gt.tolist() == [[0, -1], [0, 1]]


def test_error_equal_to_the_threshold_is_no_match() -> None:
    ests, gts = estimates([(0, 1, 0.9)]), truth([(0, 1, 1.0)])
    found = match(pair_up(ests, gts), np.array([5.0]), np.array([5.0, 5.001]), 1, 1)
    assert found.found.tolist() == [[False], [True]]


def test_pairs_stay_within_image_and_object() -> None:
    ests = estimates([(0, 1, 0.5), (1, 1, 0.9), (0, 2, 0.7), (0, 1, 0.6), (0, 3, 1.0)])
    gts = truth([(0, 1, 1.0), (0, 2, 1.0), (1, 1, 1.0), (0, 1, 1.0)])
    pairs = pair_up(ests, gts)
    expected = {(0, 0), (0, 3), (3, 0), (3, 3), (2, 1), (1, 2)}
    assert set(zip(pairs.est.tolist(), pairs.gt.tolist(), strict=True)) == expected
    assert pairs.owner.tolist() == [3, 0, 2, 1]  # descending score within image and object


def slow_match(values: np.ndarray, score: np.ndarray, limit: float) -> list[int]:
    """(N,) instance of each estimate by the definition of greedy matching."""
    free, result = set(range(values.shape[1])), [-1] * len(score)
    for e in sorted(range(len(score)), key=lambda i: -score[i]):
        candidates = [g for g in free if values[e, g] < limit]
        if candidates:
            result[e] = min(candidates, key=lambda g: (values[e, g], g))
            free.discard(result[e])
    return result


@given(st.integers(0, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_matching_equals_the_naive_loop(n: int, g: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 8, (n, g)).astype(float)
    score = rng.permutation(n).astype(float)
    ests, gts = estimates([(0, 1, s) for s in score]), truth([(0, 1, 1.0)] * g)
    pairs = pair_up(ests, gts)
    limits = np.array([2.0, 5.0, 8.0])
    found = match(pairs, values[pairs.est, pairs.gt], limits, n, g)
    for row, limit in enumerate(limits):
        assert found.gt_of_est[row].tolist() == slow_match(values, score, limit)


def test_only_as_many_estimates_as_instances_are_asked_for() -> None:
    ests = estimates([(0, 1, 0.2), (0, 1, 0.9), (0, 1, 0.5), (0, 2, 1.0)])
    gts = truth([(0, 1, 1.0), (0, 1, 0.5), (0, 1, 0.05)])
    assert asked_for(ests, gts).tolist() == [False, True, True, False]


def test_the_most_visible_instances_are_asked_for() -> None:
    gts = truth([(0, 1, 0.05), (0, 1, 0.3), (0, 1, 0.9), (0, 2, 0.09)])
    assert asked_instances(gts).tolist() == [False, True, True, False]


def test_recall_per_object_and_bin() -> None:
    ests = estimates([(0, 1, 0.9), (0, 2, 0.9)])
    gts = truth([(0, 1, 0.95), (1, 1, 0.92), (0, 2, 0.35), (1, 2, 0.02)])
    pairs = pair_up(ests, gts)
    found = match(pairs, np.array([0.1, 0.3]), np.array([0.2, 0.4]), 2, 4)
    assert recalls(found, gts).tolist() == [1 / 3, 2 / 3]
    assert recalls(found, gts, 1).tolist() == [1 / 2, 1 / 2]
    assert recalls(found, gts, 7).tolist() == [0, 0]
    share, number = recall_by_visibility(found, gts)
    assert number.tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 2]
    assert share[9] == 0.5
    assert share[3] == 0.5  # found at one of two thresholds
    assert np.isnan(share[0])


def test_interpolated_precision_by_hand() -> None:
    # Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: 1 up to recall 0.5, 2/3 after.
    value = interpolated_precision(np.array([True, False, True]), 2)
    assert value == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert interpolated_precision(np.zeros(0, bool), 2) == 0
    assert interpolated_precision(np.array([False]), 1) == 0


def test_matches_with_hardly_visible_instances_count_neither_way() -> None:
    ests = estimates([(0, 1, 0.9), (0, 1, 0.8)])
    gts = truth([(0, 1, 0.05), (0, 1, 0.9)])
    pairs = pair_up(ests, gts)
    error = table(pairs, {(0, 0): 0.0, (0, 1): 9.0, (1, 0): 9.0, (1, 1): 0.0})
    found = match(pairs, error, np.array([1.0]), 2, 2)
    assert average_precision(found, ests, gts) == {1: 1.0}


def test_best_per_image_keeps_the_highest_scores() -> None:
    ests = estimates([(0, 1, 0.1), (0, 2, 0.9), (1, 1, 0.2), (0, 1, 0.5)])
    assert best_per_image(ests, 2).tolist() == [False, True, True, True]
    assert best_per_image(Estimates.empty(), 2).shape == (0,)


def test_time_per_image_is_the_mean_over_images() -> None:
    ests = estimates([(0, 1, 0.5), (0, 2, 0.5), (3, 1, 0.5)])
    ests.time[:] = [1.0, 1.0, 4.0]
    assert time_per_image(ests) == pytest.approx(2.5)
    ests.time[0] = -1
    assert time_per_image(ests) is None
    assert time_per_image(Estimates.empty()) is None
