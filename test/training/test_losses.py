"""Losses: gradients, invariances and values by hand."""

import pytest
import torch
from core_factory import make_catalogue, make_network
from test_targets import CROP_SCALE, NEAR, make_frame

from cope_training.engine.configuration import LossConfig
from cope_training.tasks.dense.losses import CopeLoss, Predictions
from cope_training.tasks.dense.targets import BACKGROUND, IGNORE, TargetBuilder, Targets
from cope_training.tasks.loss_terms import choose_hypothesis, class_mean, focal_loss, huber

ALL = LossConfig(points=1.0, init=0.5)


def make_targets(rows: list, masks: list) -> Targets:
    return TargetBuilder(make_catalogue())([make_frame(rows, masks)])


def perfect(targets: Targets, hypothesis: int = 0) -> Predictions:
    """Outputs (standardised by stride) that say exactly what a hypothesis asks for."""
    batch, n = targets.labels.shape
    logits = torch.full((batch, n, 3), -20.0)
    positive = (targets.labels >= 0).nonzero(as_tuple=True)
    logits[(*positive, targets.labels[positive])] = 20.0
    boxes, keys = (targets.boxes.new_zeros(batch * n, width) for width in (4, 16))
    scale = targets.strides[:, None] * 8.0
    box = targets.boxes[targets.instance]
    boxes[targets.rows] = (targets.centers.repeat(1, 2) - box) / scale
    corners = targets.keypoints[targets.instance, hypothesis]
    keys[targets.rows] = (targets.centers[:, None] - corners).flatten(1) / scale
    return Predictions(logits, boxes.view(batch, n, 4), keys.view(batch, n, 16))


def make_loss(config: LossConfig = ALL) -> CopeLoss:
    return CopeLoss(make_network(), make_catalogue(), False, config)


def test_focal_loss_by_hand() -> None:
    logits = torch.tensor([[[0.0], [0.0], [0.0]]])
    labels = torch.tensor([[0, BACKGROUND, IGNORE]])
    half = 0.5**2 * -torch.log(torch.tensor(0.5))
    assert focal_loss(logits, labels).item() == pytest.approx((0.25 + 0.75) * half.item())


def test_huber_has_slope_one_above_beta() -> None:
    error = torch.tensor([0.05, 1.0], dtype=torch.float64, requires_grad=True)
    huber(error, 0.1).sum().backward()
    assert error.grad.tolist() == pytest.approx([0.5, 1.0])


def test_a_class_with_more_locations_weighs_no_more() -> None:
    values = torch.tensor([1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0])
    classes = torch.tensor([0, 2, 2, 2, 2, 2, 2])
    assert class_mean(
        values, classes, torch.bincount(classes, minlength=3)
    ).item() == pytest.approx(2.0)
    assert class_mean(values[:0], classes[:0], torch.zeros(3)).item() == 0.0


def test_one_hypothesis_per_instance() -> None:
    errors = torch.tensor([[1.0, 0.0], [0.0, 5.0], [0.3, 0.2]])
    assert choose_hypothesis(errors, torch.tensor([0, 0, 1]), 2).tolist() == [0, 1]


@pytest.mark.parametrize("hypothesis", [0, 1])
def test_a_symmetric_answer_costs_nothing(hypothesis: int) -> None:
    targets = make_targets([(1, 0.5, 1.0)], [CROP_SCALE])
    config = LossConfig(tra=0, rot=0, cons=0, proj=0)
    losses = make_loss(config)(perfect(targets, hypothesis), targets)
    assert losses["key"].item() == pytest.approx(0, abs=1e-9)
    assert losses["box"].item() == pytest.approx(0, abs=1e-9)
    assert losses["cls"].item() < 1e-6


def test_pose_losses_vanish_at_the_true_corners() -> None:
    """The geometric head turns exact corners into the exact pose, up to its steps' accuracy."""
    targets = make_targets([NEAR, (1, 0.5, 1.0)], [CROP_SCALE, (slice(0, 30), slice(0, 30))])
    loss = make_loss(LossConfig(points=1.0))
    loss.pose_head = _oracle(targets)
    losses = loss(perfect(targets, 0), targets)
    for name in ("rot", "tra", "proj", "cons", "points"):
        assert losses[name].item() == pytest.approx(0, abs=1e-6), name


def _oracle(targets: Targets):
    """A pose head that knows the truth: instances lie straight ahead, unrotated, at 0.5 m."""

    def head(keypoints: torch.Tensor, class_index: torch.Tensor, K: torch.Tensor):
        n = len(keypoints)
        return torch.eye(3).expand(n, 3, 3), torch.tensor([0.0, 0.0, 0.5]).expand(n, 3)

    return head


def test_every_published_loss_is_there_and_finite() -> None:
    targets = make_targets([NEAR], [CROP_SCALE])
    n = targets.labels.shape[1]
    torch.manual_seed(0)
    predictions = Predictions(
        torch.randn(1, n, 3), 0.1 * torch.randn(1, n, 4), 0.1 * torch.randn(1, n, 16)
    )
    losses = make_loss()(predictions, targets)
    expected = {"cls", "box", "key", "rot", "tra", "proj", "cons", "points", "init", "total"}
    assert set(losses) == expected
    assert all(torch.isfinite(v) for v in losses.values())
    parts = sum(v for k, v in losses.items() if k != "total")
    assert losses["total"].item() == pytest.approx(parts.item(), rel=1e-5)


def test_an_empty_batch_still_teaches_background() -> None:
    targets = make_targets([], [])
    n = targets.labels.shape[1]
    predictions = Predictions(torch.zeros(1, n, 3), torch.zeros(1, n, 4), torch.zeros(1, n, 16))
    losses = make_loss()(predictions, targets)
    assert set(losses) == {"cls", "total"}
    assert losses["total"] > 0


def test_gradients_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 6, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    labels = torch.tensor([[0, 1, BACKGROUND, IGNORE, BACKGROUND, 1]])
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, labels), (logits,))
    errors = torch.randn(7, dtype=torch.float64, generator=generator, requires_grad=True)
    classes = torch.tensor([0, 0, 1, 1, 1, 2, 2])
    count = torch.bincount(classes)
    assert torch.autograd.gradcheck(lambda x: class_mean(huber(x, 0.1), classes, count), (errors,))
