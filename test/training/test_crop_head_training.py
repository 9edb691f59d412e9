"""Training of the crop head: targets, losses, and that it alone learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from core_factory import make_catalogue
from test_crop_head import random_rotations
from test_instance_crops import make_scene

from cope_ros.core import geometry
from cope_ros.core.errors import CopeError
from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import PRESETS
from cope_ros.core.refinement.crop_head import CENTER_UNIT, SIZE_UNIT, InstancePrediction
from cope_ros.core.refinement.crop_network import CROP_SCALE
from cope_training.data.frames import Frame
from cope_training.data.instance_crops import virtual_frame
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import TrainConfig, load_config
from cope_training.engine.pictures import ESTIMATE
from cope_training.engine.reporting import overlay
from cope_training.engine.trainer import Trainer
from cope_training.tasks.crop_head.config import CropHeadTraining
from cope_training.tasks.crop_head.loss import SURFACE_UNIT, CropHeadLoss
from cope_training.tasks.crop_head.targets import CropHeadTargetBuilder, CropHeadTargets

CATALOGUE = make_catalogue()
SIZE, CELLS = 96, 12
CPU = torch.device("cpu")
QUICK = TrainConfig(
    task="crop_head",
    preset="lite_crop_head",
    pretrained="",
    pose_pretraining=0,
    samples=400,
    batch=4,
)


def make_crop(class_index: int = 0, seed: int = 0, margin: int = 0) -> Frame:
    """A turned object, of which a wall is seen."""
    scene = make_scene()
    scene.class_index[0] = class_index
    scene.T_cam_obj[0, :3, :3] = random_rotations(20)[seed].numpy()
    size = SIZE + 2 * margin
    return virtual_frame(scene, np.array([66.0, 58.0]), 70.0 * size / SIZE, 0.2, size)


def true_prediction(targets: CropHeadTargets, pick: int = 0) -> InstancePrediction:
    """By hand, what a perfect crop head says of the hypothesis ``pick``."""
    R, t = targets.R[:, pick], targets.t[:, pick]
    middle = torch.stack([torch.tensor(o.corners).mean(0) for o in CATALOGUE]).to(t)
    middle = middle[targets.class_index]
    diameter = torch.tensor([o.diameter for o in CATALOGUE]).to(t)[targets.class_index]
    p = (R @ middle[..., None]).squeeze(-1) + t
    pixel = geometry.project(p[:, None], targets.K).squeeze(1)
    apparent = targets.K[:, 0, 0] * diameter / p[:, 2]
    R_ray = geometry.rotation_to_ray(geometry.normalize(p)).transpose(1, 2) @ R
    object_points = (targets.points - t[:, None, None]) @ R[:, None]
    surface = (object_points - middle[:, None, None]) / (
        SURFACE_UNIT * diameter[:, None, None, None]
    )
    return InstancePrediction(
        surface,
        40.0 * (2 * targets.visible - 1),
        (pixel - 47.5) / (CENTER_UNIT * SIZE),
        torch.log(apparent * CROP_SCALE / SIZE) / SIZE_UNIT,
        torch.zeros(len(t), 24).to(t),
        R_ray[:, None].expand(-1, 24, 3, 3),
    )


def as_double(targets: CropHeadTargets) -> CropHeadTargets:
    values = vars(targets).items()
    return CropHeadTargets(**{k: v.double() if v.is_floating_point() else v for k, v in values})


@pytest.mark.parametrize("pick", [0, 1])
def test_the_truth_costs_nothing_but_the_choice(pick: int) -> None:
    """Both augmentations of an object with a half-turn are true."""
    targets = CropHeadTargetBuilder(CATALOGUE)([make_crop(1, 0), make_crop(1, 3)])
    assert targets.visible.sum() > 20
    losses = CropHeadLoss(CATALOGUE, CropHeadTraining())(true_prediction(targets, pick), targets)
    for name in ("rotation", "surface", "visible", "center", "size"):
        assert losses[name] < 1e-4, name
    assert losses["choice"] == pytest.approx(0.3 * np.log(24), rel=1e-3)
    assert losses["total"] == pytest.approx(float(losses["choice"]), abs=1e-3)


def test_the_truth_decodes_to_the_pose() -> None:
    frames = [make_crop(c, c) for c in range(3)]
    targets = CropHeadTargetBuilder(CATALOGUE)(frames)
    network = build_network(PRESETS["lite_crop_head"], CATALOGUE)
    assert network.crop_head is not None
    R, center = network.crop_head.pose(true_prediction(targets), targets.class_index, targets.K)
    assert torch.allclose(R, targets.R[:, 0], atol=1e-4)
    middle = network.crop_head.centers[targets.class_index].unsqueeze(-1)
    t = center - (R @ middle).squeeze(-1)
    assert torch.allclose(t, targets.t[:, 0], atol=1e-4)


def test_the_choice_falls_on_the_nearest_anchor() -> None:
    targets = CropHeadTargetBuilder(CATALOGUE)([make_crop(0, i) for i in range(8)])
    loss = CropHeadLoss(CATALOGUE, CropHeadTraining())
    prediction = true_prediction(targets)
    nearest = geometry.rotation_angle(prediction.R[:, :1], loss.anchors).argmin(1)
    costs = []
    for anchor in range(24):
        logits = torch.zeros(8, 24)
        logits[:, anchor] = 2.0
        costs.append([
            float(loss(_row(prediction._replace(choice=logits), i), _rows(targets, i))["choice"])
            for i in range(8)
        ])  # fmt: skip
    assert np.argmin(costs, axis=0).tolist() == nearest.tolist()


def _row(prediction: InstancePrediction, i: int) -> InstancePrediction:
    return InstancePrediction(*(v[i : i + 1] for v in prediction))


def _rows(targets: CropHeadTargets, i: int) -> CropHeadTargets:
    return CropHeadTargets(**{k: v[i : i + 1] for k, v in vars(targets).items()})


def test_gradients_are_those_of_the_losses() -> None:
    targets = as_double(CropHeadTargetBuilder(CATALOGUE)([make_crop(1, 4), make_crop(2, 5)]))
    loss = CropHeadLoss(CATALOGUE, CropHeadTraining()).to(torch.float64)
    torch.manual_seed(0)
    inputs = [
        (v + 0.3 * torch.randn_like(v)).requires_grad_() for v in true_prediction(targets)
    ]  # fmt: skip

    def total(*values: torch.Tensor) -> torch.Tensor:
        return loss(InstancePrediction(*values), targets)["total"]

    assert torch.autograd.gradcheck(total, inputs, fast_mode=True)


def make_trainer(config: TrainConfig = QUICK) -> Trainer:
    trainer = Trainer(config, CATALOGUE, CPU)
    trainer.start()
    trainer.train_mode()
    return trainer


def test_it_learns_and_the_dense_part_stays() -> None:
    trainer = make_trainer()
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    batch = [make_crop(c, c) for c in (0, 1, 2, 0)]
    losses = [trainer.train_step(batch)["total"] for _ in range(14)]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    moved = {k for k, v in trainer.network.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert all(k.startswith("crop_head.") for k in moved)
    assert not any(k.startswith("crop_head.backbone.stem.") for k in moved)


def test_it_starts_with_what_the_dense_backbone_knows() -> None:
    plain = build_network(replace(PRESETS["lite_crop_head"], crop_head=None), CATALOGUE)
    weights = {k: v.clone() for k, v in plain.state_dict().items()}
    trainer = Trainer(QUICK, CATALOGUE, CPU)
    trainer.start(checkpoints.Initial(weights, CATALOGUE, "lite"))
    state = trainer.network.state_dict()
    own = [k for k in state if k.startswith("crop_head.backbone.")]
    assert own
    assert all(torch.equal(state[k], weights[k.removeprefix("crop_head.")]) for k in own)
    assert all(torch.equal(state[k], v) for k, v in weights.items())
    again = Trainer(QUICK, CATALOGUE, CPU)
    changed = {k: v + 1 if k.startswith("crop_head.") else v for k, v in state.items()}
    again.start(checkpoints.Initial(changed, CATALOGUE, "lite_crop_head"))
    assert all(torch.equal(v, changed[k]) for k, v in again.network.state_dict().items())


def test_other_objects_keep_the_layers_that_know_none() -> None:
    trainer, other = make_trainer(), make_catalogue(2)
    fewer = Trainer(QUICK, other, CPU)
    fewer.start(checkpoints.Initial(trainer.ema, CATALOGUE, "three objects"))
    ours, theirs = fewer.network.state_dict(), trainer.network.state_dict()
    assert torch.equal(ours["crop_head.hidden.0.weight"], theirs["crop_head.hidden.0.weight"])
    assert len(ours["crop_head.surface.bias"]) == 8


def test_a_plain_network_can_be_started_from_one_with_a_close_up() -> None:
    trainer = make_trainer()
    plain = Trainer(replace(QUICK, task="dense", preset="lite"), CATALOGUE, CPU)
    plain.start(checkpoints.Initial(trainer.ema, CATALOGUE, "lite_crop_head"))
    weight = plain.network.pyramid.lateral3.weight
    assert torch.equal(weight, trainer.network.pyramid.lateral3.weight)


def test_it_resumes_to_the_bit(tmp_path: Path) -> None:
    batch = [make_crop(c, c) for c in (0, 1, 2, 0)]
    straight, first = make_trainer(), make_trainer()
    for trainer in (straight, first):
        trainer.train_step(batch)
    checkpoints.save(tmp_path / "checkpoint", first.checkpoint({}))
    second = make_trainer()
    second.resume(checkpoints.load(tmp_path / "checkpoint"), "test")
    for trainer in (straight, second):
        trainer.train_step(batch)
    state = second.network.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in straight.network.state_dict().items())


def test_tensorboard_shows_windows_with_the_pose_found() -> None:
    trainer = make_trainer()
    frame = make_crop()
    picture = overlay(trainer, [frame, frame])
    assert picture.shape[0] == SIZE
    red = (picture[:, :SIZE] != frame.image).any(-1) & (picture[:, :SIZE] == ESTIMATE).all(-1)
    assert red.sum() > 20


def test_wrong_stages_and_windows_are_refused() -> None:
    with pytest.raises(CopeError, match="the preset 'lite' has none"):
        Trainer(replace(QUICK, preset="lite"), CATALOGUE, CPU)
    with pytest.raises(CopeError, match="expected dense, joint, crop_head or refiner, got 'both'"):
        Trainer(replace(QUICK, task="both"), CATALOGUE, CPU)
    with pytest.raises(CopeError, match="expected one instance, its map and depth"):
        CropHeadTargetBuilder(CATALOGUE)([replace(make_crop(), depth=None)])


def test_the_recipe_of_lmo_is_read() -> None:
    config = load_config(Path(__file__).parents[2] / "config/training/lmo_crop_head.yaml")
    assert config.task == "crop_head"
    assert PRESETS[config.preset].crop_head is not None
