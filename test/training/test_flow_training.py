"""Training of the flow: what is true of it, its loss, and that it can learn alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from refiner_scene import CATALOGUE, CPU, make_config, make_task, write_models
from test_crop_head_training import make_crop

from cope_ros.core import geometry
from cope_ros.core.errors import CopeError
from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import PRESETS
from cope_ros.core.refinement.flow import Flow
from cope_training.engine.configuration import load_config
from cope_training.engine.trainer import Trainer
from cope_training.tasks.refiner.config import MARGIN, RefinerTraining
from cope_training.tasks.refiner.flow_loss import TOLERANCE, flow_errors, is_seen
from cope_training.tasks.refiner.targets import FINE, RefinerTargets, displaced
from cope_training.tasks.refiner.task import RefinerTask

DIAMETERS = torch.tensor([o.diameter for o in CATALOGUE])
ALONE = RefinerTraining(flow_alone=True, found_share=0.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


def make_targets(count: int = 3) -> RefinerTargets:
    task = make_task(found_share=0.0)
    frames = [make_crop(i % 3, i, MARGIN) for i in range(count)]
    crops = torch.stack([torch.from_numpy(f.image) for f in frames])
    return task.cut_crops(crops, task.targets(frames)).targets


def seen_places(targets: RefinerTargets) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, P, 3) m, what the true depth shows at every third place, and (N, P) where it does."""
    depth = targets.depth[:, ::3, ::3]
    steps = 3.0 * FINE * torch.arange(depth.shape[1])
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    pixels = torch.stack((x, y), -1).flatten(0, 1).expand(len(depth), -1, -1)
    ray = torch.cat((geometry.unproject(pixels, targets.K), torch.ones(*pixels.shape[:2], 1)), -1)
    return ray * depth.flatten(1).unsqueeze(-1), depth.flatten(1) > 0


def true_flow(targets: RefinerTargets) -> Flow:
    """From the wrong poses, of the points that are really seen."""
    point, shown = seen_places(targets)
    pixel = geometry.project(point, targets.K)
    turn = targets.R_start @ targets.R.transpose(1, 2)
    rendered = (point - targets.center.unsqueeze(1)) @ turn.transpose(1, 2)
    ones = shown.float()
    sqrt_information = torch.stack((ones + 1, 0 * ones, ones + 1), -1)
    seen = 40.0 * ones - 20.0
    return Flow(
        targets.R_start, targets.center_start, rendered, ones, pixel, sqrt_information, seen
    )


def test_the_truth_costs_nothing_but_its_doubt() -> None:
    targets = make_targets()
    diameter = DIAMETERS[targets.class_index]
    flow = true_flow(targets)
    assert flow.rendered.mean() > 0.05
    errors = flow_errors(flow, targets, diameter)
    assert float(errors["flow"]) == pytest.approx(-2.0 * np.log(2.0), abs=1e-3)
    assert float(errors["seen"]) < 1e-3
    aside = flow_errors(flow._replace(pixel=flow.pixel + 3.0), targets, diameter)
    expected = np.sqrt(1.0 + 2 * 36.0) - 1.0 - 2.0 * np.log(2.0)
    assert float(aside["flow"]) == pytest.approx(expected, rel=1e-3)


def test_what_hides_an_object_is_not_taken_for_it() -> None:
    targets = make_targets()
    diameter = DIAMETERS[targets.class_index]
    flow = true_flow(targets)
    hidden = replace(targets, depth=torch.zeros_like(targets.depth))
    errors = flow_errors(flow, hidden, diameter)
    assert float(errors["flow"]) == 0.0
    assert float(errors["seen"]) > 10.0


def test_a_place_is_seen_where_the_depth_is_about_its_own() -> None:
    depth = torch.zeros(1, 48, 48)
    depth[:, 10:20, 10:20] = 0.5
    pixel = torch.tensor(
        [[[2 * 15.0, 2 * 15.0], [2 * 20.0, 2 * 15.0], [2 * 22.0, 30.0], [-9.0, 30.0]]]
    )
    z = torch.full((1, 4), 0.5)
    tolerance = torch.tensor([TOLERANCE * 0.1])
    assert is_seen(pixel, z, depth, tolerance).tolist() == [[True, True, False, False]]
    assert not is_seen(pixel, z + 0.005, depth, tolerance).any()


def test_gradients_are_those_of_the_losses() -> None:
    targets = make_targets()
    values = {k: v.double() for k, v in vars(targets).items() if v.is_floating_point()}
    targets, flow = replace(targets, **values), Flow(*(v.double() for v in true_flow(targets)))
    torch.manual_seed(0)
    inputs = [
        (v + 0.2 * torch.randn_like(v)).requires_grad_()
        for v in (flow.pixel, flow.sqrt_information, flow.seen)
    ]

    def total(
        pixel: torch.Tensor, sqrt_information: torch.Tensor, seen: torch.Tensor
    ) -> torch.Tensor:
        delta = flow._replace(pixel=pixel, sqrt_information=sqrt_information.abs() + 0.1, seen=seen)
        return torch.stack(
            list(flow_errors(delta, targets, DIAMETERS[targets.class_index].double()).values())
        ).sum()

    assert torch.autograd.gradcheck(total, inputs, fast_mode=True)


def make_trainer(models: Path) -> Trainer:
    trainer = Trainer(make_config(models, preset="lite_flow", refiner=ALONE), CATALOGUE, CPU)
    trainer.start()
    trainer.train_mode()
    return trainer


def test_it_learns_alone(models: Path) -> None:
    trainer = make_trainer(models)
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    batch = [make_crop(c, c, MARGIN) for c in (0, 1, 2, 0)]
    seen = [trainer.train_step(batch)["seen"] for _ in range(14)]
    assert np.mean(seen[-3:]) < 0.9 * np.mean(seen[:3])
    moved = {k for k, v in trainer.network.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert all(k.startswith("refiner.flow.") for k in moved)
    assert "refiner.flow.log_sigmas" in moved


def test_a_refiner_without_flow_is_refused(models: Path) -> None:
    with pytest.raises(CopeError, match="flow_alone: the preset 'lite_refiner' has no flow"):
        Trainer(make_config(models, refiner=ALONE), CATALOGUE, CPU)


def test_with_the_refiner_it_learns_too(models: Path) -> None:
    config = make_config(models, preset="lite_flow")
    task = Trainer(config, CATALOGUE, CPU).task
    assert isinstance(task, RefinerTask)
    frames = [make_crop(c, c, MARGIN) for c in (0, 1)]
    crops = torch.stack([torch.from_numpy(f.image) for f in frames])
    losses = task(crops, task.targets(frames), 0.0)
    assert {"flow", "seen", "fit", "rotation", "size"} < set(losses)
    losses["total"].backward()
    assert task.part.output.weight.grad is not None
    assert task.part.flow is not None
    assert task.part.flow.log_sigmas.grad is not None


def test_flows_start_astray_as_far_as_is_said() -> None:
    frames = [make_crop(0, 0, MARGIN)] * 300
    straight = make_task(flow_error=0.0).targets(frames)
    assert torch.equal(straight.jitter_displacement, torch.zeros(300, 3))
    assert torch.allclose(straight.jitter_rotation, torch.eye(3).expand(300, 3, 3), atol=1e-6)
    values = {"rotation_error": 10.0, "center_error": 0.05, "size_error": 0.1}
    samples = make_task(flow_error=0.5, **values).targets(frames)
    turn = torch.rad2deg(geometry.log_so3(samples.jitter_rotation))
    sigma = 0.5 / 3**0.5  # of uniform shares, root mean square
    assert turn.std() == pytest.approx(10.0 * sigma, rel=0.2)
    assert samples.jitter_displacement[:, :2].std() == pytest.approx(0.05 * sigma, rel=0.2)
    assert samples.jitter_displacement[:, 2].std() == pytest.approx(0.1 * sigma, rel=0.2)


def test_what_is_displaced_moves_aside_by_diameters_and_along_its_ray() -> None:
    center = torch.tensor([[0.1, 0.0, 0.5]])
    displacement = torch.tensor([[0.2, -0.1, float(np.log(1.1))]])
    moved = displaced(center, displacement, torch.tensor([0.1]))
    assert torch.allclose(moved, 1.1 * torch.tensor([[0.12, -0.01, 0.5]]))


@pytest.mark.parametrize(("name", "alone"), [("lmo_flow", True), ("lmo_together", False)])
def test_the_recipes_of_lmo_are_read(name: str, alone: bool) -> None:
    config = load_config(Path(__file__).parents[2] / f"config/training/{name}.yaml")
    assert config.refiner.flow_alone == alone
    assert (config.refiner.flow_error > 0) != alone
    refiner = build_network(PRESETS[config.preset], CATALOGUE).refiner
    assert refiner is not None
    assert refiner.flow is not None
