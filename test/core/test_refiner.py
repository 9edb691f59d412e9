"""The refiner: what it draws, that truth corrects, its place in the estimator."""

from dataclasses import replace

import pytest
import torch
from core_factory import make_catalogue, make_estimator, make_K
from test_crop_head import estimate, noise, random_rotations
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.errors import CopeError
from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import PRESETS, NetworkConfig
from cope_ros.core.refinement.point_rendering import CHANNELS, render_points
from cope_ros.core.refinement.refiner import (
    CENTER_UNIT,
    SIZE_UNIT,
    CropFeatures,
    PoseDelta,
    Refiner,
)
from cope_ros.core.types import Instances, PoseBatch

CONFIG = PRESETS["lite_refiner"]
CATALOGUE = make_catalogue()
SIZE = 96
K = torch.tensor([[[300.0, 0, 47.5], [0, 300.0, 47.5], [0, 0, 1]]])
RADIUS = 0.05


def ball(count: int = 6000) -> Tensor:
    """(1, P, 6) points of a sphere and its normals."""
    generator = torch.Generator().manual_seed(0)
    normal = geometry.normalize(torch.randn(1, count, 3, generator=generator))
    return torch.cat((RADIUS * normal, normal), -1)


def draw(surface: Tensor, center: tuple[float, float, float], R: Tensor | None = None) -> Tensor:
    R = torch.eye(3)[None] if R is None else R
    return render_points(surface, R, torch.tensor([center]), K, torch.tensor([2 * RADIUS]), SIZE)


def test_a_ball_is_drawn_where_the_camera_sees_it() -> None:
    rendering = draw(ball(), (0.01, -0.01, 0.4))[0]
    assert rendering.shape == (CHANNELS, 48, 48)
    covered = rendering[6] > 0
    rows, columns = torch.nonzero(covered).float().unbind(1)
    middle = torch.tensor([300 * 0.01 / 0.4 + 47.5, 300 * -0.01 / 0.4 + 47.5])
    assert torch.stack((columns, rows), 1).mean(0) * 2 + 0.5 == pytest.approx(middle, abs=0.5)
    area = torch.pi * (0.5 * 300 * RADIUS / 0.4) ** 2
    assert covered.sum() == pytest.approx(area, rel=0.12)
    y, x = 20, 31  # of a cell on the ball: the point there, by hand
    ray = torch.tensor([(2 * x + 0.5 - 47.5) / 300, (2 * y + 0.5 - 47.5) / 300, 1.0])
    b = ray @ torch.tensor([0.01, -0.01, 0.4]) / ray.square().sum()
    c = (0.01**2 + 0.01**2 + 0.4**2 - RADIUS**2) / ray.square().sum()
    point = ray * (b - (b * b - c).sqrt()) - torch.tensor([0.01, -0.01, 0.4])
    assert rendering[:3, y, x] == pytest.approx(point / (2 * RADIUS), abs=0.05)
    assert rendering[3:6, y, x] == pytest.approx(point / RADIUS, abs=0.1)
    assert rendering[:, ~covered].abs().max() == 0.0
    assert (rendering[5, covered] < 0.2).all()  # nothing that faces away shows through


def test_the_nearer_of_two_walls_is_drawn() -> None:
    x, y = torch.meshgrid(*[torch.linspace(-0.04, 0.04, 60)] * 2, indexing="ij")
    wall = torch.stack((x, y, torch.zeros_like(x)), -1).view(-1, 3)
    facing = torch.tensor([0.0, 0.0, -1.0]).expand_as(wall)
    near, far = (torch.cat((wall + torch.tensor([0, 0, z]), facing), -1) for z in (-0.03, 0.02))
    both = draw(torch.cat((far, near))[None], (0.0, 0.0, 0.4))[0]
    assert both[2, 24, 24] == pytest.approx(-0.3, abs=1e-4)
    turned = torch.cat((wall, -facing), -1)[None]
    assert draw(turned, (0.0, 0.0, 0.4)).abs().max() == 0.0
    beside = draw(torch.cat((far, near))[None], (3.0, 0.0, 0.4))
    assert beside.abs().max() == 0.0


def make_refiner() -> Refiner:
    torch.manual_seed(0)
    refiner = build_network(CONFIG, CATALOGUE).refiner
    assert refiner is not None
    refiner.points.copy_(ball(refiner.points.shape[1]).expand_as(refiner.points))
    return refiner.eval()


def test_an_untrained_refiner_changes_little_and_starts_with_the_images_features() -> None:
    refiner = make_refiner()
    crops = torch.randint(0, 256, (2, SIZE, SIZE, 3), dtype=torch.uint8)
    R, center = random_rotations(2), torch.tensor([[0.0, 0, 0.4], [0.01, 0.02, 0.5]])
    c, K_crop = torch.tensor([0, 2]), K.expand(2, 3, 3)
    with torch.inference_mode():
        R_new, center_new, visible, _ = refiner.estimate(crops, c, R, center, K_crop)
    assert geometry.rotation_angle(R_new, R).max() < 0.2
    assert (center_new - center).abs().max() < 0.01
    assert visible.shape == (2, SIZE // 8, SIZE // 8)
    assert refiner.to_stem.weight.abs().max() == 0.0
    assert refiner.to_features.weight.abs().max() == 0.0


def test_corrections_move_turn_and_scale_as_they_say() -> None:
    refiner = make_refiner()
    R, center = random_rotations(1), torch.tensor([[0.0, 0.0, 0.4]])
    turn = geometry.exp_so3(torch.tensor([[0.3, -0.2, 0.1]]))
    displacement, size = torch.tensor([[2.0, -1.0]]), torch.tensor([1.5])
    nothing = torch.zeros(1, 12, 12)
    delta = PoseDelta(torch.zeros(1, 12, 12, 3), nothing, displacement, size, turn)
    R_new, center_new = refiner.apply_delta(delta, R, center, K)
    assert center_new[0, 2] == pytest.approx(0.4 * float(torch.exp(-SIZE_UNIT * size)))
    pixel = geometry.project(center_new[:, None], K)[0, 0]
    assert pixel == pytest.approx(47.5 + CENTER_UNIT * SIZE * displacement[0], abs=1e-3)
    ray = geometry.rotation_to_ray(geometry.normalize(center_new))
    assert torch.allclose(R_new, ray @ turn @ R, atol=1e-5)


class Knowing(Refiner):
    """Says what is wrong with a pose, of which it is told the truth."""

    truth: tuple[Tensor, Tensor]
    tta: list

    def cameras_at(self, class_index: Tensor, center: Tensor, K: Tensor,
                        zoom: Tensor, turn: Tensor):  # fmt: skip
        self.tta.append(super().cameras_at(class_index, center, K, zoom, turn))
        return self.tta[-1]

    def predict_delta(
        self, crops: Tensor, class_index: Tensor, R: Tensor, center: Tensor, K: Tensor
    ) -> tuple[PoseDelta, CropFeatures]:
        camera = self.tta[-1]
        each = camera.K.shape[1] // self.truth[0].shape[1]
        R_true, t_true = (v.repeat_interleave(each, 1) for v in self.truth)
        middle = self.centers[class_index].view_as(t_true).unsqueeze(-1)
        R_crop_cam = camera.R_cam_crop.transpose(-1, -2)
        p = (R_crop_cam @ ((R_true @ middle) + t_true.unsqueeze(-1))).squeeze(-1).flatten(0, 1)
        R_true = (R_crop_cam @ R_true).flatten(0, 1)
        pixels = geometry.project(torch.stack((center, p), 1), K)
        old, new = (geometry.rotation_to_ray(geometry.normalize(v)) for v in (center, p))
        nothing = center[:, :0]
        delta = PoseDelta(
            crops.new_zeros(len(p), 12, 12, 3).float(),
            crops.new_zeros(len(p), 12, 12).float(),
            (pixels[:, 1] - pixels[:, 0]) / (CENTER_UNIT * self.size),
            torch.log(center[:, 2] / p[:, 2]) / SIZE_UNIT,
            new.transpose(1, 2) @ R_true @ R.transpose(1, 2) @ old,
        )
        return delta, CropFeatures(nothing, nothing, nothing, nothing)


def test_what_is_said_in_a_window_corrects_the_pose_of_the_camera() -> None:
    corners = torch.stack([torch.tensor(o.corners) for o in CATALOGUE]).float()
    corners = corners + torch.tensor([0.01, -0.02, 0.03])  # a box whose centre is not the origin
    assert CONFIG.refiner is not None
    refiner = Knowing(CONFIG.refiner, "mobilenet_v2", corners, make_refiner().diameters)
    refiner.tta = []
    R = random_rotations(6).view(2, 3, 3, 3)
    t = torch.tensor([[[0.1, 0, 0.6], [-0.1, 0.1, 0.9], [0, 0, 0.5]]]).expand(2, 3, 3)
    refiner.truth = (R, t)
    classes = torch.tensor([[0, 1, 2], [2, 1, 0]])
    turned = R @ geometry.exp_so3(torch.tensor([0.3, 0.2, -0.4]))
    R_new, t_new, center, visible, _ = refiner.refine(
        noise(2), PoseBatch(classes, turned, t * 1.1, make_K(2))
    )
    tta = CONFIG.refiner.tta
    assert R_new.shape == (2, 3, tta, 3, 3)
    assert torch.allclose(R_new, R[:, :, None].expand_as(R_new), atol=1e-4)
    assert torch.allclose(t_new, t[:, :, None].expand_as(t_new), atol=1e-4)
    assert len(refiner.tta) == CONFIG.refiner.rounds
    middle = refiner.centers[classes].unsqueeze(-1)
    assert torch.allclose(center, (turned @ middle).squeeze(-1) + t * 1.1, atol=1e-5)
    assert torch.allclose(visible, torch.full((2, 3, 12, 12), 0.5))  # of logits zero


def make_refining_estimator():
    estimator = make_estimator("lite_refiner")
    refiner = estimator.network.refiner
    assert refiner is not None
    refiner.points.copy_(ball(refiner.points.shape[1]).expand_as(refiner.points))
    torch.nn.init.normal_(refiner.output.weight, std=0.1)
    return estimator


def test_the_instances_of_the_close_up_are_corrected_and_no_others() -> None:
    estimator = make_refining_estimator()
    after = estimate(estimator, noise(2))
    estimator.refinement["crops"].refiner = None
    before = estimate(estimator, noise(2))
    slots = estimator.network.crop_head.max_crops
    assert int(before.valid.sum(1).min()) > slots
    for name in Instances._fields:
        old, new = getattr(before, name), getattr(after, name)
        if name in ("R", "t"):
            assert torch.equal(old[:, slots:], new[:, slots:])
            assert not torch.isclose(old[:, :slots], new[:, :slots]).flatten(2).all(-1).any()
        else:
            assert torch.equal(old, new)
    assert geometry.determinant3(after.R[after.valid]) == pytest.approx(1.0, abs=1e-4)


def test_configurations_are_read_and_wrong_ones_refused() -> None:
    assert NetworkConfig.from_dict(CONFIG.to_dict()) == CONFIG
    with pytest.raises(CopeError, match=r"network.refiner: expected a crop_head"):
        replace(CONFIG, crop_head=None)
