"""The orders of instances."""

import torch
from torch import Tensor

from cope_ros.core.types import (
    Hypotheses,
    Instances,
    best_first,
    rank_within_class,
    replace_non_finite,
)


def make_instances(score: Tensor, class_index: Tensor, valid: Tensor) -> Instances:
    """Of which each row has its number in all fields."""
    batch, m = score.shape
    number = torch.arange(m).float().expand(batch, m)
    return Instances(
        valid,
        class_index,
        score,
        number[..., None, None].expand(-1, -1, 3, 3),
        number[..., None].expand(-1, -1, 3),
        number[..., None, None].expand(-1, -1, 6, 6),
        number[..., None].expand(-1, -1, 4),
        number[..., None, None].expand(-1, -1, 8, 2),
        number.long(),
        number,
    )


SCORE = torch.tensor([[0.9, 0.8, 0.75, 0.7, 0.6, 0.5], [0.9, 0.8, 0.75, 0.7, 0.6, 0.5]])
CLASS = torch.tensor([[2, 2, 2, 2, 0, 1], [0, 1, 2, 0, 0, 0]])
VALID = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])


def test_many_of_a_class_wait_for_others() -> None:
    found = rank_within_class(make_instances(SCORE, CLASS, VALID))
    # 0.9, 0.64, 0.48, 0.36 of class 2, and the others as they are; then 0.9, 0.8, 0.75, 0.56.
    assert found.support.tolist() == [[0, 1, 4, 5, 2, 3], [0, 1, 2, 3, 4, 5]]
    assert torch.equal(found.score, SCORE.gather(1, found.support))
    assert torch.equal(found.class_index, CLASS.gather(1, found.support))
    for value in (found.R, found.t, found.covariance, found.boxes, found.keypoints):
        assert torch.equal(value.flatten(2)[..., 0].long(), found.support)


def test_padding_stays_last_whatever_its_score() -> None:
    score = SCORE.flip(1)
    found = best_first(make_instances(score, CLASS, VALID))
    assert found.support.tolist() == [[5, 4, 3, 2, 1, 0], [3, 2, 1, 0, 4, 5]]
    assert found.valid.tolist() == VALID.tolist()
    assert torch.equal(best_first(found).support, found.support)


def test_of_padding_nothing_is_better() -> None:
    first = torch.tensor([[False, False, True, True, False, False]])
    found = rank_within_class(make_instances(SCORE[:1], torch.ones(1, 6, dtype=torch.int64), first))
    assert found.support.tolist() == [[2, 3, 0, 1, 4, 5]]


def test_poses_that_are_not_finite_are_silenced() -> None:
    R, t = torch.eye(3).repeat(1, 3, 1, 1), torch.ones(1, 3, 3)
    R[0, 1, 2, 2], t[0, 2, 0] = float("inf"), float("nan")
    one = torch.ones(1, 3)
    given = Hypotheses(one, one.long(), torch.ones(1, 3, 4), torch.ones(1, 3, 8, 2), R, t, one)
    h, finite = replace_non_finite(given)
    assert finite.tolist() == [[True, False, False]]
    assert h.consistency.tolist() == [[1.0, 0.0, 0.0]]
    assert torch.equal(h.R[0, 0], torch.eye(3))
    assert not h.R[0, 1:].any()
    assert not h.t[0, 1:].any()
