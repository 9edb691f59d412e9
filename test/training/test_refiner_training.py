"""Training of the refiner: its surfaces, wrong poses, losses, and that it alone learns."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from core_factory import make_catalogue
from refiner_scene import CATALOGUE, CPU, SIZE, SIZES, make_config, make_task, write_models
from test_crop_head_training import make_crop

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import PRESETS
from cope_ros.core.refinement.crop_network import CROP_SCALE, SURFACE_UNIT
from cope_ros.core.refinement.refiner import PoseDelta, Refiner
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import load_config
from cope_training.engine.pictures import ESTIMATE
from cope_training.engine.reporting import overlay
from cope_training.engine.trainer import Trainer
from cope_training.tasks.refiner.config import MARGIN, RefinerTraining
from cope_training.tasks.refiner.loss import RefinerLoss, true_delta
from cope_training.tasks.refiner.surface_points import surface_points
from cope_training.tasks.refiner.targets import RefinerTargets


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


def make_targets(count: int = 4, **values) -> RefinerTargets:
    """Of random poses alone."""
    task = make_task(found_share=0.0, **values)
    frames = [make_crop(i % 3, i % 20, MARGIN) for i in range(count)]
    crops = torch.stack([torch.from_numpy(f.image) for f in frames])
    return task.cut_crops(crops, task.targets(frames)).targets


def make_refiner() -> Refiner:
    refiner = build_network(PRESETS["lite_refiner"], CATALOGUE).refiner
    assert refiner is not None
    return refiner


def test_surfaces_lie_evenly_on_the_meshes(models: Path) -> None:
    points = surface_points(models, CATALOGUE, 600)
    assert points.shape == (3, 600, 6)
    for surface, size in zip(points, SIZES, strict=True):
        half = torch.tensor(size) / 2000.0
        p, normal = surface[:, :3], surface[:, 3:]
        assert (p.abs() / half).max(1).values == pytest.approx(torch.ones(600), abs=1e-4)
        on = (p.abs() / half).argmax(1)
        outward = normal.gather(1, on[:, None]) * p.gather(1, on[:, None]).sign()
        assert (outward > 0).all()
        assert normal.norm(dim=1) == pytest.approx(torch.ones(600), abs=1e-4)
        gaps = torch.cdist(p, p) + torch.eye(600)
        faces = 4 * (half[0] * half[1] + half[1] * half[2] + half[0] * half[2]) * 2
        assert gaps.min() > 0.5 * math.sqrt(faces / 600)


def test_surfaces_are_about_the_middle_of_the_box(tmp_path: Path) -> None:
    box = trimesh.creation.box((40.0, 40.0, 40.0))
    box.apply_translation((10.0, 0.0, 5.0))
    box.export(tmp_path / "obj_000001.ply")
    entry = {"diameter": 69.0, "min_x": -10, "min_y": -20, "min_z": -15}
    entry |= {f"size_{a}": 40 for a in "xyz"}
    points = surface_points(tmp_path, Catalogue.from_dict({"1": entry}), 100)
    assert points[..., :3].abs().amax((0, 1)) == pytest.approx(torch.full((3,), 0.02), abs=1e-3)
    with pytest.raises(CopeError, match="no mesh for object 2"):
        surface_points(tmp_path, Catalogue.from_dict({"2": entry}), 100)


def true_surface(targets: RefinerTargets) -> torch.Tensor:
    """By hand, the object coordinates of what is seen."""
    diameters = torch.tensor([o.diameter for o in CATALOGUE]).to(targets.R)[targets.class_index]
    about = (targets.points - targets.center[:, None, None]) @ targets.R[:, None]
    return about / (SURFACE_UNIT * diameters[:, None, None, None])


def test_the_truth_costs_nothing_and_corrects_exactly() -> None:
    targets = make_targets(6)
    turn, displacement, log_size = true_delta(targets, SIZE)
    mask = 40.0 * (2 * targets.visible - 1)
    delta = PoseDelta(true_surface(targets), mask, displacement, log_size, turn)
    losses = RefinerLoss(CATALOGUE, RefinerTraining())(delta, targets)
    assert all(value < 1e-3 for value in losses.values())
    R, center = make_refiner().apply_delta(delta, targets.R_start, targets.center_start, targets.K)
    assert torch.allclose(R, targets.R, atol=1e-4)
    assert torch.allclose(center, targets.center, atol=1e-4)
    wrong = delta._replace(size=log_size + 1.0)
    assert RefinerLoss(CATALOGUE, RefinerTraining())(wrong, targets)["size"] > 0.5


def test_wrong_poses_are_as_wrong_as_configured() -> None:
    targets = make_targets(300, rotation_error=10.0, size_error=0.05, center_error=0.02)
    plain = targets.class_index == 0
    angle = torch.rad2deg(geometry.rotation_angle(targets.R, targets.R_start))[plain]
    assert angle.mean() == pytest.approx(10.0 * math.sqrt(8 / math.pi), rel=0.2)
    farther = torch.log(targets.center_start[:, 2] / targets.center[:, 2])
    assert farther.std() == pytest.approx(0.05, rel=0.2)
    diameters = torch.tensor([o.diameter for o in CATALOGUE])[targets.class_index]
    aside = targets.center[:, :2] / diameters[:, None] / targets.center[:, 2:]
    aside = aside * targets.center_start[:, 2:]
    assert aside.std() == pytest.approx(0.02, rel=0.2)


def test_windows_lie_about_the_wrong_poses() -> None:
    targets = make_targets(200, zoom_sigma=0.1)
    assert targets.center_start[:, :2].abs().max() < 1e-5
    diameters = torch.tensor([o.diameter for o in CATALOGUE])[targets.class_index]
    apparent = targets.K[:, 0, 0] * diameters / targets.center_start[:, 2]
    zoom = torch.log(SIZE / CROP_SCALE / apparent)
    assert zoom.mean() == pytest.approx(0.0, abs=0.03)
    assert zoom.std() == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize(("index", "turn", "left"), [(0, 2.0, 2.0), (1, math.pi, 0), (2, 2.0, 0)])
def test_of_poses_that_look_the_same_the_nearest_is_wanted(
    index: int, turn: float, left: float
) -> None:
    """No symmetry, a half-turn, a continuous axis: what cannot be seen is not asked for."""
    task = make_task(found_share=0.0)
    frame = make_crop(index, 4, MARGIN)
    samples = task.targets([frame])
    about_z = geometry.exp_so3(torch.tensor([0.0, 0.0, turn]))
    crops = task.cut_crops(
        torch.from_numpy(frame.image)[None], replace(samples, R_start=samples.R @ about_z)
    )
    angle = geometry.rotation_angle(crops.targets.R, crops.targets.R_start)
    assert float(angle) == pytest.approx(left, abs=1e-2)


def test_gradients_are_those_of_the_losses() -> None:
    targets = make_targets(3)
    values = {k: v.double() for k, v in vars(targets).items() if v.is_floating_point()}
    targets = replace(targets, **values)
    loss = RefinerLoss(CATALOGUE, RefinerTraining()).to(torch.float64)
    torch.manual_seed(0)
    turn, displacement, log_size = true_delta(targets, SIZE)
    truth = (true_surface(targets), targets.visible, displacement, log_size, turn)
    inputs = [(v + 0.3 * torch.randn_like(v)).requires_grad_() for v in truth]
    assert torch.autograd.gradcheck(
        lambda *delta: loss(PoseDelta(*delta), targets)["total"], inputs, fast_mode=True
    )


def make_trainer(models: Path, **values) -> Trainer:
    trainer = Trainer(make_config(models, **values), CATALOGUE, CPU)
    trainer.start()
    trainer.train_mode()
    return trainer


def test_it_learns_and_the_rest_stays(models: Path) -> None:
    trainer = make_trainer(models)
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    assert before["refiner.points"].any()
    batch = [make_crop(c, c, MARGIN) for c in (0, 1, 2, 0)]
    losses = [trainer.train_step(batch)["total"] for _ in range(14)]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    moved = {k for k, v in trainer.network.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert all(k.startswith("refiner.") for k in moved)
    assert "refiner.points" not in moved
    assert not any(k.startswith("refiner.backbone.stem.") for k in moved)


def test_it_starts_with_what_the_close_up_sees_and_keeps_its_own(models: Path) -> None:
    closer = build_network(replace(PRESETS["lite_crop_head"], instance_head=None), CATALOGUE)
    weights = {k: v.clone() for k, v in closer.state_dict().items()}
    trainer = Trainer(make_config(models), CATALOGUE, CPU)
    trainer.start(checkpoints.Initial(weights, CATALOGUE, "lite_crop_head"))
    state = trainer.network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in weights.items())
    parts = ("backbone", "lateral3", "lateral4", "features", "surface")
    own = [k for k in state if k.startswith(tuple(f"refiner.{part}." for part in parts))]
    assert {k.split(".")[1] for k in own} == set(parts)
    assert all(torch.equal(state[k], weights[k.replace("refiner", "crop_head", 1)]) for k in own)
    again = Trainer(make_config(models), CATALOGUE, CPU)
    changed = {k: v + 1 if k.startswith("refiner.") else v for k, v in state.items()}
    again.start(checkpoints.Initial(changed, CATALOGUE, "lite_refiner"))
    changed["refiner.points"] = state["refiner.points"]  # as the meshes are today
    assert all(torch.equal(v, changed[k]) for k, v in again.network.state_dict().items())


def test_other_objects_are_drawn_with_their_own_surfaces(models: Path, tmp_path: Path) -> None:
    trainer, other = make_trainer(models), make_catalogue(1)
    center, half = 1000 * other[0].box_center, 500 * other[0].box_size  # mm
    ellipsoid = trimesh.creation.icosphere(subdivisions=4)
    ellipsoid.apply_transform(np.block([[np.diag(half), center[:, None]], [0, 0, 0, 1.0]]))
    ellipsoid.export(tmp_path / "obj_000001.ply")
    (tmp_path / "models_info.json").write_text(json.dumps(other.to_dict()))
    one = Trainer(make_config(tmp_path), other, CPU)
    one.start(checkpoints.Initial(trainer.ema, CATALOGUE, "three objects"))
    ours, theirs = one.network.state_dict(), trainer.network.state_dict()
    assert torch.equal(ours["refiner.output.weight"], theirs["refiner.output.weight"])
    points = 1000 * ours["refiner.points"][0, :, :3] / torch.tensor(half)  # about the centre
    assert points.norm(dim=1).numpy() == pytest.approx(1.0, rel=0.05)


def test_tensorboard_shows_windows_with_the_corrected_pose(models: Path) -> None:
    trainer = make_trainer(models)
    frame = make_crop(margin=MARGIN)
    picture = overlay(trainer, [frame, frame])[:, : frame.image.shape[1]]
    red = (picture != frame.image).any(-1) & (picture == ESTIMATE).all(-1)
    assert red.sum() > 20


def test_networks_without_a_refiner_are_refused(models: Path) -> None:
    with pytest.raises(CopeError, match="task refiner: the preset 'lite_crop_head' has none"):
        Trainer(make_config(models, preset="lite_crop_head"), CATALOGUE, CPU)


def test_the_recipe_of_lmo_is_read() -> None:
    config = load_config(Path(__file__).parents[2] / "config/training/lmo_refiner.yaml")
    assert config.task == "refiner"
    assert PRESETS[config.preset].refiner is not None
