"""The crop head inside the estimator: its anchors, its poses, its slots."""

from dataclasses import replace

import pytest
import torch
from core_factory import make_catalogue, make_estimator, make_K, make_network
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.errors import CopeError
from cope_ros.core.estimator import CopeEstimator
from cope_ros.core.network.build import build_estimator, build_network
from cope_ros.core.network.presets import PRESETS, CropHeadConfig, NetworkConfig
from cope_ros.core.refinement.crop_head import (
    CENTER_UNIT,
    MIN_CANDIDATE_ANGLE,
    SIZE_UNIT,
    CropHead,
    InstancePrediction,
    anchor_rotations,
)
from cope_ros.core.refinement.crop_network import CROP_SCALE, RefinedPoses
from cope_ros.core.types import Instances, PoseBatch, rank_within_class
from cope_training.export import script

CROP_HEAD = replace(  # alone
    PRESETS["lite_crop_head"],
    instance_head=None,
    crop_head=CropHeadConfig(size=96, channels=128, hidden=256),
)
CATALOGUE = make_catalogue()


def random_rotations(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    q = geometry.normalize(torch.randn(count, 4, generator=generator))
    angle = 2 * torch.acos(q[:, 0].clamp(-1, 1))
    return geometry.exp_so3(geometry.normalize(q[:, 1:]) * angle[:, None])


def noise(batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 128, 160, 3), generator=generator, dtype=torch.uint8)


def estimate(estimator: CopeEstimator, image: Tensor) -> Instances:
    with torch.inference_mode():
        return Instances(*estimator(image, make_K(len(image))))


def test_anchors_are_rotations_near_every_other() -> None:
    anchors = anchor_rotations()
    assert torch.allclose(anchors @ anchors.transpose(1, 2), torch.eye(3).expand(24, 3, 3))
    assert torch.linalg.det(anchors) == pytest.approx(torch.ones(24))
    angles = geometry.rotation_angle(anchors[:, None], anchors)
    assert (angles + 10 * torch.eye(24)).min() > 1.5
    nearest = geometry.rotation_angle(random_rotations(3000)[:, None], anchors).min(1).values
    assert nearest.max() < 1.1


class Knowing(CropHead):
    """Sees nothing, but is told the truth, and says it as a trained one would."""

    truth: tuple[Tensor, Tensor]  # R and t of each instance in the camera's frame
    tta: list

    def cameras_at(self, class_index: Tensor, center: Tensor, K: Tensor,
                        zoom: Tensor, roll: Tensor):  # fmt: skip
        self.tta.append(super().cameras_at(class_index, center, K, zoom, roll))
        return self.tta[-1]

    def forward(self, crops: Tensor, class_index: Tensor) -> InstancePrediction:
        camera = self.tta[-1]
        each = camera.K.shape[1] // self.truth[0].shape[1]
        R, t = (v.repeat_interleave(each, 1) for v in self.truth)
        center = (R @ self.centers[class_index].view_as(t).unsqueeze(-1)).squeeze(-1) + t
        p = (camera.R_cam_crop.transpose(-1, -2) @ center.unsqueeze(-1)).squeeze(-1)
        K = camera.K
        pixel = geometry.project(p.unsqueeze(-2), K).squeeze(-2).flatten(0, 1)
        apparent = K[..., 0, 0] * self.diameters[class_index].view(t.shape[:2]) / p[..., 2]
        ray = geometry.rotation_to_ray(geometry.normalize(p))
        R_ray = ray.transpose(-1, -2) @ camera.R_cam_crop.transpose(-1, -2) @ R
        n = len(crops)
        choice = torch.zeros(n, 24)
        choice[:, 5] = 1.0
        turned = torch.zeros(n, 24, 3, 3) + torch.eye(3)
        turned[:, 5] = R_ray.flatten(0, 1)
        return InstancePrediction(
            crops.new_zeros(n, 12, 12, 3).float(),
            crops.new_zeros(n, 12, 12).float(),
            (pixel - 0.5 * (self.size - 1)) / (CENTER_UNIT * self.size),
            torch.log(apparent.flatten() * CROP_SCALE / self.size) / SIZE_UNIT,
            choice,
            turned,
        )


def test_what_is_seen_in_the_window_becomes_a_pose_of_the_camera() -> None:
    assert CROP_HEAD.crop_head is not None
    network = build_network(CROP_HEAD, CATALOGUE)
    assert network.crop_head is not None
    corners = torch.stack([torch.tensor(o.corners) for o in CATALOGUE]).float()
    corners = corners + torch.tensor([0.01, -0.02, 0.03])  # a box whose centre is not the origin
    twice = replace(CROP_HEAD.crop_head, rounds=2)
    crop_head = Knowing(twice, "mobilenet_v2", corners, network.crop_head.diameters)
    crop_head.tta = []
    R = random_rotations(6).view(2, 3, 3, 3)
    t = torch.tensor([[[0.1, 0, 0.6], [-0.1, 0.1, 0.9], [0, 0, 0.5]]]).expand(2, 3, 3)
    crop_head.truth = (R, t)
    classes = torch.tensor([[0, 1, 2], [2, 1, 0]])
    R_start, t_start = R @ random_rotations(1), t * 1.2 + 0.02
    R_est, t_est, *_ = crop_head.refine(noise(2), PoseBatch(classes, R_start, t_start, make_K(2)))
    assert R_est.shape == (2, 3, 5, 3, 3)
    assert torch.allclose(R_est, R[:, :, None].expand_as(R_est), atol=1e-4)
    assert torch.allclose(t_est, t[:, :, None].expand_as(t_est), atol=1e-4)
    first, last = crop_head.tta
    assert first.K.shape[:2] == (2, 3)
    sides = last.K[..., 0, 0].unflatten(1, (3, 5))
    assert sides[:, :, :1] / sides == pytest.approx(
        torch.tensor([[1, 1.15, 0.88, 1.07, 0.95]]).expand(2, 3, 5), rel=1e-3
    )


def test_guesses_are_of_different_sides_and_at_one_place() -> None:
    estimator = make_estimator("lite_flow")
    crop_head = estimator.network.crop_head
    assert crop_head is not None
    torch.nn.init.normal_(crop_head.output.weight, std=0.2)
    classes = torch.tensor([[0, 1, 2]])
    R = random_rotations(3)[None]
    t = torch.tensor([[[0.1, 0, 0.6], [-0.1, 0.1, 0.9], [0, 0, 0.5]]])
    with torch.inference_mode():
        crop_head.candidates = 4
        poses = PoseBatch(classes, R, t, make_K())
        candidates = crop_head.propose(noise(), poses)
        first, t_first, *_ = crop_head.refine(noise(), poses)
    assert torch.allclose(candidates.R[:, :, 0], first[:, :, 0], atol=1e-5)
    assert torch.allclose(candidates.t[:, :, 0], t_first[:, :, 0], atol=1e-5)
    middle = candidates.R @ crop_head.centers[classes][:, :, None, :, None]
    centers = candidates.t + middle.squeeze(-1)
    assert torch.allclose(centers, centers[:, :, :1].expand_as(centers), atol=1e-5)
    assert (candidates.log_probability.diff(dim=2) < 0).all()
    assert (candidates.log_probability.exp().sum(2) < 1).all()
    angles = geometry.rotation_angle(candidates.R[:, :, :, None], candidates.R[:, :, None])
    assert (angles + 9 * torch.eye(4)).min() > MIN_CANDIDATE_ANGLE


def test_guesses_need_a_flow_that_chooses() -> None:
    assert CROP_HEAD.crop_head is not None
    with pytest.raises(CopeError, match=r"crop_head.candidates: expected a refiner with flow"):
        replace(CROP_HEAD, crop_head=replace(CROP_HEAD.crop_head, candidates=2))


def test_views_that_disagree_are_averaged_without_the_flipped_one() -> None:
    estimator = make_estimator("lite_crop_head")
    crop_head = estimator.network.crop_head
    assert crop_head is not None
    truth = random_rotations(1)[0]
    half_turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    R = torch.stack([truth, truth, truth @ half_turn, truth, truth]).view(1, 1, 5, 3, 3)
    t = torch.tensor([0.0, 0.0, 0.5]) + torch.tensor([0.0, 0.01, 0.3, -0.01, 0.0])[:, None]
    refined = RefinedPoses(
        R, t.view(1, 1, 5, 3), t[None, :1], torch.zeros(1, 1, 12, 12), torch.zeros(1, 1)
    )
    crop_head.refine = lambda *_: refined
    for index, expected in ((0, 0.5), (1, 0.56)):  # object1 looks the same after a half-turn
        c = torch.tensor([[index]])
        poses, _ = estimator.refinement["crops"].by_crop_head(
            noise(), PoseBatch(c, R[:, :, 0], t[None, :1], make_K())
        )
        assert torch.allclose(poses.R[0, 0], truth, atol=1e-4)
        assert poses.t[0, 0, 2] == pytest.approx(expected, abs=1e-5)


def test_more_views_than_there_are_are_refused() -> None:
    assert CROP_HEAD.crop_head is not None
    with pytest.raises(ValueError, match=r"crop_head.tta: expected 1 to 5, got 6"):
        build_network(replace(CROP_HEAD, crop_head=replace(CROP_HEAD.crop_head, tta=6)), CATALOGUE)


def with_max_crops(max_crops: int, closer: bool = True) -> CopeEstimator:
    """The same weights with a crop head at so many instances, or without one."""
    assert CROP_HEAD.crop_head is not None
    few = replace(CROP_HEAD, crop_head=replace(CROP_HEAD.crop_head, max_crops=max_crops))
    source = make_network("lite_crop_head")
    network = build_network(few if closer else replace(few, crop_head=None), CATALOGUE).eval()
    names = network.state_dict().keys()
    network.load_state_dict({k: v for k, v in source.state_dict().items() if k in names})
    estimator = build_estimator(network, few, CATALOGUE)
    estimator.score_threshold.fill_(0.0)
    return estimator


def test_only_the_slots_get_new_poses_and_all_else_stays() -> None:
    before, after = (
        estimate(with_max_crops(5, closer=False), noise(2)),
        estimate(with_max_crops(5), noise(2)),
    )
    assert int(before.valid.sum(1).min()) > 5
    first = rank_within_class(before).score[:, :5, None] == before.score[:, None]
    looked_at = first.any(1)
    assert looked_at.sum(1).tolist() == [5, 5]
    for name in Instances._fields:
        old, new = getattr(before, name), getattr(after, name)
        if name in ("R", "t"):
            assert torch.equal(old[~looked_at], new[~looked_at])
            assert not torch.isclose(old[looked_at], new[looked_at]).flatten(1).all(-1).any()
        else:
            assert torch.equal(old, new)
    assert geometry.determinant3(after.R[after.valid]) == pytest.approx(1.0, abs=1e-4)
    assert bool((after.t[after.valid][:, 2] > 0).all())


def test_slots_without_an_instance_stay_padding() -> None:
    estimator = make_estimator("lite_crop_head")
    estimator.score_threshold.fill_(1.1)
    found = estimate(estimator, noise(3))
    assert not found.valid.any()
    assert torch.isfinite(found.t).all()


def test_images_of_a_batch_do_not_mix_and_scripting_changes_nothing() -> None:
    estimator, image = make_estimator("lite_crop_head"), noise(2)
    together = estimate(estimator, image)
    for i in range(2):
        alone = estimate(estimator, image[i : i + 1])
        assert torch.allclose(together.t[i], alone.t[0], atol=1e-4)
        assert torch.allclose(together.R[i], alone.R[0], atol=1e-3)
    scripted = script(estimator)
    for a, b in zip(together, Instances(*scripted(image, make_K(2))), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-4)


def test_configurations_with_and_without_are_read() -> None:
    assert NetworkConfig.from_dict(CROP_HEAD.to_dict()) == CROP_HEAD
    old = PRESETS["lite"].to_dict()
    del old["crop_head"]
    assert NetworkConfig.from_dict(old) == PRESETS["lite"]
    with pytest.raises(CopeError, match="unknown keys"):
        NetworkConfig.from_dict(old | {"closer": 1})
