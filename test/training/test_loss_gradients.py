"""Losses in float64: gradients through both pose heads, invariances, one hypothesis for all."""

from dataclasses import replace

import pytest
import torch
from core_factory import make_catalogue
from test_losses import make_loss, make_targets, perfect
from test_targets import NEAR

from cope_ros.core import geometry
from cope_ros.core.network.cope_network import catalogue_corners
from cope_ros.core.network.pose_head import GeometricPoseHead, PublishedPoseHead
from cope_training.engine.configuration import LossConfig
from cope_training.tasks.dense.losses import CopeLoss, Predictions
from cope_training.tasks.dense.targets import Targets

NONE = LossConfig(key=0, box=0, cls=0, tra=0, rot=0, cons=0, proj=0, points=0, init=0)
DENSE = [(name, "geometric") for name in ("cls", "box", "key")]
POSE = [
    (name, kind)
    for name in ("rot", "tra", "proj", "cons", "points")
    for kind in ("geometric", "published")
]
SMALL = (slice(40, 64), slice(40, 64))  # nine locations


def doubled(targets: Targets) -> Targets:
    floats = {k: v.double() for k, v in vars(targets).items() if v.is_floating_point()}
    return replace(targets, **floats)


def make_head(kind: str) -> torch.nn.Module:
    torch.manual_seed(3)
    corners = catalogue_corners(make_catalogue())
    if kind == "geometric":
        head: torch.nn.Module = GeometricPoseHead(corners, (16, 16))
        torch.nn.init.normal_(head.layers[-1].weight, std=0.3)
    else:
        head = PublishedPoseHead(len(corners), (16, 16))
    return head.double()


def loss_in_double(config: LossConfig, kind: str = "geometric") -> CopeLoss:
    loss = make_loss(config).to(torch.float64)
    loss.pose_head = make_head(kind)
    return loss


def in_double(outputs: Predictions) -> Predictions:
    return Predictions(outputs.logits.double(), outputs.boxes.double(), outputs.keys.double())


def disturbed(targets: Targets, scale: float = 0.1) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    exact = perfect(targets)
    return tuple(
        (v.double().clamp(-3, 3) + scale * torch.randn(v.shape, generator=generator).double())
        for v in (exact.logits, exact.boxes, exact.keys)
    )


@pytest.mark.parametrize(("name", "kind"), [*DENSE, *POSE])
def test_every_loss_has_the_gradient_of_its_value(name: str, kind: str) -> None:
    """Numerical against analytic gradients, from the network's outputs through the pose head."""
    targets = doubled(make_targets([NEAR], [SMALL]))
    rows = targets.rows
    assert 4 <= len(rows) <= 16
    loss = loss_in_double(replace(NONE, **{name: 1.0}), kind)
    outputs = disturbed(targets)
    fields = {"cls": 0, "box": 1}
    field = fields.get(name, 2)
    picked = rows[:2]
    values = outputs[field].flatten(0, 1)[picked].clone().requires_grad_(True)

    def evaluate(changed: torch.Tensor) -> torch.Tensor:
        flat = outputs[field].flatten(0, 1).index_copy(0, picked, changed)
        parts = list(outputs)
        parts[field] = flat.view_as(outputs[field])
        return loss(Predictions(*parts), targets)["total"]

    assert evaluate(values) > 0
    assert torch.autograd.gradcheck(evaluate, (values,), eps=1e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("name", "kind"), [*POSE, ("init", "geometric")])
def test_pose_losses_reach_the_heads_weights(name: str, kind: str) -> None:
    targets = doubled(make_targets([NEAR], [SMALL]))
    loss = loss_in_double(replace(NONE, **{name: 1.0}), kind)
    predictions = Predictions(*disturbed(targets))
    bias = loss.pose_head.layers[-1].bias
    loss(predictions, targets)["total"].backward()
    step = 1e-6
    for place in range(9):  # the first class' outputs
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                bias[place] += sign * step
                values.append(loss(predictions, targets)["total"].item())
                bias[place] -= sign * step
        numeric = (values[0] - values[1]) / (2 * step)
        assert bias.grad[place].item() == pytest.approx(numeric, rel=1e-4, abs=1e-7)
    assert (bias.grad[9:] == 0).all()


@pytest.mark.parametrize("hypothesis", [0, 1])
def test_a_symmetric_pose_costs_nothing_in_any_loss(hypothesis: int) -> None:
    """The half-turned object's keypoints are exact, and the head says the half-turned pose."""
    targets = doubled(make_targets([(1, 0.5, 1.0)], [SMALL]))
    loss = loss_in_double(replace(LossConfig(points=1.0), cls=0.0))
    R, t = targets.R[0, hypothesis], targets.t[0, hypothesis]
    loss.pose_head = lambda k, c, K: (R.expand(len(k), 3, 3), t.expand(len(k), 3))
    outputs = in_double(perfect(targets, hypothesis))
    for name, value in loss(outputs, targets).items():
        assert value.item() == pytest.approx(0.0, abs=1e-6), name


def test_rotation_and_translation_share_the_keypoints_hypothesis() -> None:
    """Keypoints of one hypothesis with the pose of the other are not forgiven."""
    targets = doubled(make_targets([(1, 0.5, 1.0)], [SMALL]))
    loss = loss_in_double(replace(NONE, rot=1.0, proj=1.0, points=1.0))
    R, t = targets.R[0, 0], targets.t[0, 0]
    loss.pose_head = lambda k, c, K: (R.expand(len(k), 3, 3), t.expand(len(k), 3))
    outputs = in_double(perfect(targets, 1))
    losses = loss(outputs, targets)
    # A half-turn about z: both first columns turn into their opposites, two in four of six sums.
    error = (targets.R[0, 0] - targets.R[0, 1])[:, :2].abs()
    expected = (error - 0.5 * LossConfig().beta).clamp_min(0).mean().item()
    assert losses["rot"].item() == pytest.approx(expected, rel=1e-6)
    assert losses["proj"].item() > 0.1
    assert losses["points"].item() > 0.1


def test_objects_weigh_the_same_however_many_locations_see_them() -> None:
    large, small = (slice(0, 64), slice(0, 128)), (slice(96, 120), slice(96, 120))
    rows = [NEAR, (2, 0.5, 1.0)]
    loss = loss_in_double(replace(NONE, box=1.0))
    values = []
    for masks in ([large, small], [small, large]):
        targets = doubled(make_targets(rows, masks))
        exact = perfect(targets)
        boxes = exact.boxes.double().flatten(0, 1)
        wrong = targets.class_index[targets.instance] == 0
        boxes[targets.rows[wrong]] += 1.0
        changed = Predictions(
            exact.logits.double(), boxes.view_as(exact.boxes), exact.keys.double()
        )
        values.append(loss(changed, targets)["total"].item())
        assert wrong.sum() != (~wrong).sum()
    beta = LossConfig().beta
    assert values == pytest.approx([0.5 * (1.0 - 0.5 * beta)] * 2)


def test_equation_7_and_8_differ_by_what_the_projection_is_compared_with() -> None:
    """Projected corners against the truth (7), and against the estimated corners (8)."""
    targets = doubled(make_targets([NEAR], [SMALL]))
    loss = loss_in_double(replace(NONE, proj=1.0, cons=1.0))
    R, t = targets.R[0, 0], targets.t[0, 0]
    loss.pose_head = lambda k, c, K: (R.expand(len(k), 3, 3), t.expand(len(k), 3))
    exact = perfect(targets)
    keys = exact.keys.double().flatten(0, 1)
    keys[targets.rows] += 0.5
    shifted = Predictions(exact.logits.double(), exact.boxes.double(), keys.view_as(exact.keys))
    losses = loss(shifted, targets)
    assert losses["proj"].item() == pytest.approx(0.0, abs=1e-9)
    assert losses["cons"].item() == pytest.approx(0.5 - 0.5 * LossConfig().beta, rel=1e-5)
    points = geometry.transform(R[None], t[None], loss.corners[:1])
    assert torch.allclose(geometry.project(points, targets.K), targets.keypoints[:, 0], atol=1e-3)
