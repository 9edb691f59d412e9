"""Probabilities against the minimiser of the focal loss, found by brute force."""

import pytest
import torch

from cope_ros.core.detection.scores import FOCAL_ALPHA, FOCAL_GAMMA, class_probability


@pytest.mark.parametrize("posterior", [0.02, 0.25, 0.5, 0.75, 0.98])
def test_inverts_the_focal_losss_minimiser(posterior: float) -> None:
    p = torch.linspace(1e-4, 1 - 1e-4, 200_001, dtype=torch.float64)
    positive = FOCAL_ALPHA * (1 - p) ** FOCAL_GAMMA * -torch.log(p)
    negative = (1 - FOCAL_ALPHA) * p**FOCAL_GAMMA * -torch.log(1 - p)
    best = p[(posterior * positive + (1 - posterior) * negative).argmin()]
    assert class_probability(torch.logit(best)).item() == pytest.approx(posterior, abs=1e-3)


def test_grows_with_the_logit_and_stays_in_range() -> None:
    q = class_probability(torch.linspace(-30, 30, 601))
    assert (q.diff() >= 0).all()
    assert q.min() >= 0
    assert q.max() <= 1
