"""The stage on crops: which instances are refined, duplicates, boxes, scores; as a script."""

from collections.abc import Callable

import pytest
import torch
from core_factory import make_estimator, make_K
from test_crop_head import estimate, noise
from test_refiner import make_refining_estimator

from cope_ros.core import geometry
from cope_ros.core.detection.clustering import nms_3d
from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.types import Instances
from cope_training.export import script


def make_contour_estimator() -> CopeEstimator:
    estimator = make_estimator("lite_flow")
    refiner = estimator.network.refiner
    assert refiner is not None
    points = geometry.normalize(torch.randn(3, 4096, 3, generator=torch.Generator().manual_seed(0)))
    refiner.points[..., :3] = 0.03 * points
    refiner.points[..., 3:] = points
    return estimator


def test_two_of_a_kind_at_one_place_are_one() -> None:
    center = torch.tensor([
        [0.0, 0.0, 1.0], [0.01, 0.0, 1.1], [0.0, 0.0, 1.0], [0.04, 0.0, 1.0], [0.0, 0.0, 1.3],
        [0.041, 0.0, 1.0],
    ])[None]  # fmt: skip
    classes = torch.tensor([[0, 0, 1, 0, 0, 0]])
    valid = torch.ones(1, 6, dtype=torch.bool)
    twice = nms_3d(classes, valid, center, torch.full((1, 6), 0.1))
    assert twice.tolist() == [[False, True, False, False, False, True]]
    valid[0, 3] = False  # padding repeats nothing and is not repeated
    twice = nms_3d(classes, valid, center, torch.full((1, 6), 0.1))
    assert twice.tolist() == [[False, True, False, False, False, False]]


def test_boxes_and_corners_are_those_of_the_settled_poses() -> None:
    estimator = make_contour_estimator()
    found = estimate(estimator, noise(2))
    refiner = estimator.network.refiner
    assert refiner is not None
    middle = estimator.refinement["crops"].corners[found.class_index].mean(2, keepdim=True)
    points = refiner.points[found.class_index][..., :3] + middle
    K = make_K(2)[:, None]
    pixels = geometry.project(geometry.transform(found.R, found.t, points), K)
    boxes = torch.cat((pixels.amin(2), pixels.amax(2)), -1)
    own = torch.isclose(boxes, found.boxes, atol=1e-2).all(-1) & found.valid
    corners = geometry.transform(
        found.R, found.t, estimator.refinement["crops"].corners[found.class_index]
    )
    alike = torch.isclose(geometry.project(corners, K), found.keypoints, atol=1e-2)
    assert torch.equal(alike.flatten(2).all(-1) & found.valid, own)
    assert int(own.sum(1).min()) > 0
    assert int(own.sum(1).max()) <= estimator.refinement["crops"].max_refined
    assert int(found.valid.sum(1).min()) > estimator.refinement["crops"].max_refined


def test_what_the_flow_says_nothing_for_scores_less() -> None:
    estimator, image = make_contour_estimator(), noise()
    known = estimate(estimator, image)
    estimator.refinement["crops"].likelihood_midpoint = 1e3
    doubted = estimate(estimator, image)
    assert float(doubted.score.sum()) < float(known.score.sum())
    estimator.refinement["crops"].likelihood_midpoint = -1e3
    sure = estimate(estimator, image)
    assert float(sure.score.sum()) > float(known.score.sum())


def test_evidence_orders_what_is_settled() -> None:
    """The poses of the settled change with the contours' fit, those of the others do not."""
    estimator, image = make_contour_estimator(), noise()
    before = estimate(estimator, image)
    estimator.refinement["crops"].max_refined = 3
    after = estimate(estimator, image)
    same = torch.isclose(before.t[0][:, None], after.t[0], atol=1e-5).all(-1)
    kept = same.any(0)[after.valid[0]]
    assert 0 < int(kept.sum()) < len(kept)


@pytest.mark.parametrize("make", [make_refining_estimator, make_contour_estimator])
def test_scripting_changes_nothing(make: Callable[[], CopeEstimator]) -> None:
    estimator, image = make(), noise(2)
    expected = estimate(estimator, image)
    scripted = script(estimator)
    for a, b in zip(expected, Instances(*scripted(image, make_K(2))), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-4)
