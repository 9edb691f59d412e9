"""The geometric pose head: exact on exact corners, any camera, differentiable."""

import pytest
import torch
from core_factory import make_catalogue

from cope_ros.core import geometry
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.network.pose_head import GeometricPoseHead, PublishedPoseHead, gauss_newton_step
from cope_training.tasks.pose_pretraining import pretrain, random_poses


def test_gauss_newton_finds_the_pose_from_20_degrees_away() -> None:
    catalogue = make_catalogue()
    generator = torch.Generator().manual_seed(0)
    classes, K, R, t = random_poses(catalogue, 200, generator)
    model = catalogue_corners(catalogue)[classes]
    points = geometry.unproject(geometry.project(geometry.transform(R, t, model), K), K)
    turn = geometry.exp_so3(0.35 * geometry.normalize(torch.randn(200, 3, generator=generator)))
    R_est, t_est = turn @ R, t * 1.2
    for _ in range(8):
        R_est, t_est = gauss_newton_step(points, model, R_est, t_est)
    angle = geometry.rotation_angle(R_est, R)
    distance = (t_est - t).norm(dim=1) / catalogue_diameters(catalogue)[classes]
    assert angle.median() < 0.003
    assert (angle < 0.02).float().mean() > 0.97
    assert distance.median() < 0.01


def test_pretrained_head_recovers_poses_of_clean_corners() -> None:
    catalogue = make_catalogue(2)
    torch.manual_seed(0)
    head = GeometricPoseHead(catalogue_corners(catalogue), (64, 64))
    report = pretrain(head, catalogue, steps=250, seed=0)
    assert report["refined"] < report["initial"]
    generator = torch.Generator().manual_seed(1)
    classes, K, R, t = random_poses(catalogue, 300, generator)
    model = catalogue_corners(catalogue)[classes]
    keypoints = geometry.project(geometry.transform(R, t, model), K)
    with torch.no_grad():
        R_est, t_est = head(keypoints, classes, K)
    error = (geometry.transform(R_est, t_est, model) - geometry.transform(R, t, model)).norm(dim=-1)
    recall = (error.mean(1) < 0.1 * catalogue_diameters(catalogue)[classes]).float().mean()
    assert recall > 0.75


def test_the_same_view_by_another_camera_gives_the_same_pose() -> None:
    catalogue = make_catalogue()
    torch.manual_seed(0)
    head = GeometricPoseHead(catalogue_corners(catalogue), (32, 32)).eval()
    classes, K, R, t = random_poses(catalogue, 20, torch.Generator().manual_seed(2))
    points = geometry.transform(R, t, catalogue_corners(catalogue)[classes])
    other = K.clone()
    other[:, 0, 0] *= 1.7
    other[:, 1, 1] *= 1.6
    other[:, 0, 2] += 35.0
    with torch.no_grad():
        first = head(geometry.project(points, K), classes, K)
        second = head(geometry.project(points, other), classes, other)
    assert torch.allclose(first[0], second[0], atol=2e-3)
    assert torch.allclose(first[1], second[1], rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["published", "geometric"])
def test_gradients_reach_the_corners_and_stay_finite(kind: str) -> None:
    catalogue = make_catalogue()
    torch.manual_seed(0)
    head: torch.nn.Module = PublishedPoseHead(3, (16, 16))
    if kind == "geometric":
        head = GeometricPoseHead(catalogue_corners(catalogue), (16, 16))
    keypoints = (300 * torch.rand(30, 8, 2)).requires_grad_()
    K = torch.tensor([[500.0, 0, 160], [0, 500.0, 120], [0, 0, 1]]).expand(30, 3, 3)
    R, t = head(keypoints, torch.arange(30) % 3, K)
    (R.sum() + t.sum()).backward()
    assert torch.isfinite(R).all()
    assert torch.isfinite(keypoints.grad).all()
    assert (keypoints.grad.abs().sum((1, 2)) > 0).all()


def test_degenerate_corners_stay_finite() -> None:
    head = GeometricPoseHead(catalogue_corners(make_catalogue()), (16, 16))
    K = torch.tensor([[500.0, 0, 160], [0, 500.0, 120], [0, 0, 1]]).expand(3, 3, 3)
    keypoints = torch.stack((torch.zeros(8, 2), torch.full((8, 2), 1e6), -torch.ones(8, 2) * 1e5))
    with torch.no_grad():
        R, t = head(keypoints, torch.tensor([0, 1, 2]), K)
    assert torch.isfinite(R).all()
    assert torch.isfinite(t).all()
