"""The pipeline as a whole: shapes, planted hypotheses, symmetries, empty scenes."""

import pytest
import torch
from core_factory import make_catalogue, make_estimator, make_K

from cope_ros.core import geometry
from cope_ros.core.detection.instances import MAX_VOTES
from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.types import Hypotheses, Instances


def plant(
    estimator: CopeEstimator, poses: list[tuple[int, float, float]], copies: int
) -> Hypotheses:
    """``copies`` slightly different hypotheses of each (class, x m, z m), best first."""
    K = make_K(1)[0]
    generator = torch.Generator().manual_seed(0)
    rows = [(c, x, z) for c, x, z in poses for _ in range(copies)]
    classes = torch.tensor([r[0] for r in rows])
    t = torch.tensor([[r[1], 0.0, r[2]] for r in rows])
    t = t + 0.001 * torch.randn(t.shape, generator=generator)
    R = geometry.exp_so3(0.02 * torch.randn(len(rows), 3, generator=generator))
    corners = geometry.transform(R, t, estimator.decode.corners[classes])
    keypoints = geometry.project(corners, K)
    boxes = torch.cat((keypoints.amin(1), keypoints.amax(1)), -1)
    score = torch.linspace(0.99, 0.6, len(rows))
    consistency = 0.5 + 0.5 * torch.rand(len(rows), generator=generator)
    values = (score, classes, boxes, keypoints, R, t, consistency)
    return Hypotheses(*(v.unsqueeze(0) for v in values))


@pytest.mark.parametrize("batch", [1, 3])
def test_shapes_and_rotations_of_a_noise_image(batch: int) -> None:
    estimator = make_estimator()
    image = torch.randint(0, 256, (batch, 128, 160, 3), dtype=torch.uint8)
    with torch.inference_mode():
        out: Instances = estimator(image, make_K(batch))
    assert out.R.shape == (batch, 100, 3, 3)
    assert out.valid.any()
    assert all(torch.isfinite(v.float()).all() for v in out)
    det = torch.linalg.det(out.R[out.valid])
    assert torch.allclose(det, torch.ones_like(det), atol=1e-3)
    scores = out.score[0][out.valid[0]]
    assert (scores.diff() <= 0).all()


def test_batched_images_do_not_influence_each_other() -> None:
    estimator = make_estimator()
    image = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        both, first = estimator(image, make_K(2)), estimator(image[:1], make_K(1))
    assert torch.equal(both.valid[:1], first.valid)
    assert torch.allclose(both.t[:1][first.valid], first.t[first.valid], atol=1e-3)


def test_each_planted_object_becomes_one_instance_at_its_place() -> None:
    estimator = make_estimator()
    poses = [(0, -0.2, 0.8), (1, 0.0, 0.8), (2, 0.25, 0.9), (0, 0.05, 1.5)]
    with torch.inference_mode():
        out = estimator.group(plant(estimator, poses, copies=8))
    rows = out.valid[0].nonzero().squeeze(1)
    assert len(rows) == 4
    assert out.support[0, rows].tolist() == [8, 8, 8, 8]
    for row, (c, x, z) in zip(rows, poses, strict=True):
        assert out.class_index[0, row] == c
        assert torch.allclose(out.t[0, row], torch.tensor([x, 0.0, z]), atol=0.002)


def test_a_hypothesis_without_support_is_discarded() -> None:
    estimator = make_estimator()
    with torch.inference_mode():
        assert not estimator.group(plant(estimator, [(0, 0.0, 0.8)], copies=1)).valid.any()
        assert estimator.group(plant(estimator, [(0, 0.0, 0.8)], copies=2)).valid.sum() == 1


def test_nothing_above_the_threshold_is_an_empty_estimate() -> None:
    estimator = make_estimator()
    estimator.score_threshold.fill_(0.5)
    with torch.inference_mode():
        out = estimator(torch.zeros(2, 64, 64, 3, dtype=torch.uint8), make_K(2))
    assert not out.valid.any()


def test_disabled_classes_are_not_found() -> None:
    estimator = make_estimator()
    estimator.enabled.copy_(torch.tensor([False, True, False]))
    image = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        out = estimator(image, make_K(1))
    assert set(out.class_index[out.valid].tolist()) == {1}


def test_symmetric_hypotheses_agree_after_alignment() -> None:
    """Half of the votes for the object with a half-turn are turned: the mean must not care."""
    estimator = make_estimator()
    h = plant(estimator, [(1, 0.0, 0.8)], copies=8)
    R = h.R.clone()
    R[0, ::2] = R[0, ::2] @ torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    with torch.inference_mode():
        out = estimator.group(h._replace(R=R))
    turn = out.R[0, 0]
    nearest = min(
        geometry.rotation_angle(turn, S).item()
        for S in (torch.eye(3), torch.diag(torch.tensor([-1.0, -1.0, 1.0])))
    )
    assert nearest < 0.03


def test_n_hypotheses_limits_the_average() -> None:
    estimator = make_estimator()
    h = plant(estimator, [(0, 0.0, 0.8)], copies=8)
    best = h.consistency[0].argmax()
    estimator.n_hypotheses.fill_(1)
    with torch.inference_mode():
        out = estimator.group(h)
    assert torch.allclose(out.t[0, 0], h.t[0, best], atol=1e-6)
    assert MAX_VOTES >= 10


def test_non_finite_hypotheses_are_left_out() -> None:
    estimator = make_estimator()
    h = plant(estimator, [(0, 0.0, 0.8)], copies=4)
    t = h.t.clone()
    t[0, 1] = float("nan")
    with torch.inference_mode():
        out = estimator.group(h._replace(t=t))
    assert out.support[0, 0] == 3
    assert torch.isfinite(out.t).all()


def test_catalogue_round_trip() -> None:
    catalogue = make_catalogue()
    again = type(catalogue).from_dict(catalogue.to_dict())
    assert again.class_ids == catalogue.class_ids
    for a, b in zip(again, catalogue, strict=True):
        assert (abs(a.corners - b.corners) < 1e-12).all()
        assert (abs(a.symmetry.members - b.symmetry.members) < 1e-12).all()
