"""The corners' second look: what it is taught, and that networks with and without it work."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from core_factory import make_catalogue
from test_losses import make_targets
from test_targets import CROP_SCALE, NEAR, SIDE, K, make_frame

from cope_ros.core import geometry
from cope_ros.core.network.build import build_network
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.network.heads import SURFACE_OUTPUTS
from cope_ros.core.network.presets import PRESETS, NetworkConfig
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import LossConfig, TrainConfig
from cope_training.engine.trainer import Trainer
from cope_training.tasks.dense.losses import CopeLoss, Predictions
from cope_training.tasks.dense.object_coordinates import UNIT, surface_errors
from cope_training.tasks.dense.targets import PIXEL_OFFSET, TargetBuilder, Targets

DEVICE = torch.device("cpu")
CATALOGUE = make_catalogue()
CORNERS, DIAMETERS = catalogue_corners(CATALOGUE), catalogue_diameters(CATALOGUE)
PLAIN = replace(PRESETS["lite"], coordinate_branch=None)


def wall_frame(distance: float = 0.48):
    """object0, unturned at 0.5 m, of which a wall at ``distance`` is seen."""
    frame = make_frame([NEAR], [CROP_SCALE])
    return replace(frame, depth=np.full((SIDE, SIDE), distance, np.float32))


def answer(targets: Targets, distance: float) -> torch.Tensor:
    """(P, 4) by hand: the wall's points in the frame of object0, and its apparent size."""
    focal, center = K[0, 0], K[0, 2]
    x = (targets.centers + PIXEL_OFFSET - center) / focal * distance
    z = torch.full_like(x[:, :1], distance - 0.5)
    size = torch.log(focal * DIAMETERS[0] / 0.5 / (8.0 * targets.strides)) / UNIT
    return torch.cat((torch.cat((x, z), 1) / (UNIT * DIAMETERS[0]), size[:, None]), 1).float()


def first(targets: Targets) -> torch.Tensor:
    return torch.zeros(len(targets.class_index), dtype=torch.int64)


def test_the_true_coordinates_and_size_cost_nothing() -> None:
    targets = TargetBuilder(CATALOGUE)([wall_frame()])
    seen = answer(targets, 0.48)
    errors = surface_errors(seen, targets, first(targets), CORNERS, DIAMETERS, 0.1)
    assert errors["surface"].max() < 1e-6
    assert errors["size"].max() < 1e-6
    wrong = surface_errors(seen + 1.0, targets, first(targets), CORNERS, DIAMETERS, 0.1)
    for name in ("surface", "size"):
        assert wrong[name] == pytest.approx(np.full(len(seen), 0.95), rel=1e-4)


def test_the_other_symmetric_hypothesis_turns_the_coordinates() -> None:
    frame = replace(wall_frame(), class_index=np.array([1]))  # object1 has a half-turn about z
    targets = TargetBuilder(CATALOGUE)([frame])
    seen = answer(targets, 0.48) * DIAMETERS[0] / DIAMETERS[1]
    middle = CORNERS[1].mean(0)
    assert middle.abs().max() < 1e-6
    straight = surface_errors(seen, targets, first(targets), CORNERS, DIAMETERS, 0.1)
    seen[:, :2] *= -1
    turned = surface_errors(seen, targets, first(targets) + 1, CORNERS, DIAMETERS, 0.1)
    assert straight["surface"].max() < 1e-6
    assert turned["surface"].max() < 1e-6
    assert surface_errors(seen, targets, first(targets), CORNERS, DIAMETERS, 0.1)[
        "surface"
    ].max() > 0.1  # fmt: skip


def test_unknown_depth_teaches_no_coordinates_but_the_size() -> None:
    targets = make_targets([NEAR], [CROP_SCALE])  # a frame without depth
    seen = torch.ones(len(targets.rows), 4, requires_grad=True)
    errors = surface_errors(seen, targets, first(targets), CORNERS, DIAMETERS, 0.1)
    (errors["surface"].sum() + errors["size"].sum()).backward()
    assert (errors["surface"] == 0).all()
    assert (errors["size"] > 0).all()
    assert (seen.grad[:, :3] == 0).all()


def test_gradients_in_float64() -> None:
    targets = TargetBuilder(CATALOGUE)([wall_frame()])
    floats = {k: v.double() for k, v in vars(targets).items() if v.is_floating_point()}
    targets = replace(targets, **floats)
    generator = torch.Generator().manual_seed(0)
    seen = answer(targets, 0.48).double()
    seen = (seen + torch.randn(seen.shape, generator=generator)).requires_grad_()

    def errors(values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = surface_errors(
            values, targets, first(targets), CORNERS.double(), DIAMETERS.double(), 0.1
        )
        return found["surface"], found["size"]

    assert torch.autograd.gradcheck(errors, (seen,))


def test_the_loss_names_both_and_leaves_them_out_without_a_weight() -> None:
    targets = TargetBuilder(CATALOGUE)([wall_frame()])
    n = targets.labels.shape[1]
    outputs = [torch.zeros(1, n, width) for width in (3, 4, 16, SURFACE_OUTPUTS)]
    network = build_network(PRESETS["lite"], CATALOGUE)
    names = {}
    for weight in (0.0, 1.0):
        config = LossConfig(surface=weight, size=weight)
        names[weight] = set(CopeLoss(network, CATALOGUE, False, config)(
            Predictions(*outputs), targets
        ))  # fmt: skip
    assert names[1.0] - names[0.0] == {"surface", "size"}


def test_a_second_look_starts_without_any_effect_and_then_has_one() -> None:
    torch.manual_seed(0)
    network = build_network(PRESETS["lite"], CATALOGUE).eval()
    plain = build_network(PLAIN, CATALOGUE).eval()
    names = plain.state_dict().keys()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if k in names})
    image = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = plain(image)
        got = network(image)
        assert torch.equal(expected[2], got[2])
        assert expected[3].shape == (1, 126, 0)
        assert got[3].shape == (1, 126, SURFACE_OUTPUTS)
        network.key_tower.correction.weight.normal_(std=0.1)
        assert not torch.allclose(expected[2], network(image)[2])


def test_networks_of_before_the_second_look_are_read() -> None:
    old = PLAIN.to_dict()
    del old["coordinate_branch"]
    assert NetworkConfig.from_dict(old) == PLAIN
    assert NetworkConfig.from_dict(PRESETS["lite"].to_dict()) == PRESETS["lite"]


def test_a_training_takes_over_a_network_without_a_second_look() -> None:
    config = TrainConfig(preset="lite", pretrained="", pose_pretraining=0)
    plain = build_network(PLAIN, CATALOGUE)
    weights = {k: v.clone() for k, v in plain.state_dict().items()}
    trainer = Trainer(config, CATALOGUE, DEVICE)
    surface = trainer.network.key_tower.surface.weight.clone()
    trainer.start(checkpoints.Initial(weights, CATALOGUE, "before"))
    state = trainer.network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in weights.items())
    assert torch.equal(trainer.network.key_tower.surface.weight, surface)
    again = Trainer(config, CATALOGUE, DEVICE)
    again.start(checkpoints.Initial(trainer.ema, CATALOGUE, "with one"))
    assert torch.equal(again.network.key_tower.surface.weight, surface)


def test_the_corners_follow_from_the_coordinates_around() -> None:
    """What the second look rests on: a pixel grid of object points fixes the projection."""
    generator = torch.Generator().manual_seed(0)
    R = geometry.exp_so3(torch.randn(1, 3, generator=generator))
    points = 0.2 * (torch.rand(60, 3, generator=generator) - 0.5)
    camera = geometry.transform(R, torch.tensor([[0.05, 0.02, 1.0]]), points[None])
    pixels = geometry.project(camera, torch.from_numpy(K)[None].float())[0]
    design = torch.cat((points, torch.ones(60, 1)), 1)
    affine = torch.linalg.lstsq(design, pixels).solution
    corners = CORNERS[0]
    truth = geometry.project(
        geometry.transform(R, torch.tensor([[0.05, 0.02, 1.0]]), corners[None]),
        torch.from_numpy(K)[None].float(),
    )[0]
    guess = torch.cat((corners, torch.ones(8, 1)), 1) @ affine
    size = K[0, 0] * DIAMETERS[0]
    assert (guess - truth).norm(dim=1).max() < 0.05 * size
