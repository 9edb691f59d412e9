"""The instance head: regions, and the fit of poses to object coordinates."""

import pytest
import torch
from core_factory import make_catalogue, make_K
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.refinement.coordinate_fit import CoordinateFit, FittedPoses, InstancePrediction
from cope_ros.core.refinement.instance_regions import Regions, RegionSampler

CATALOGUE = make_catalogue()
CORNERS, DIAMETERS = catalogue_corners(CATALOGUE), catalogue_diameters(CATALOGUE)
SIZE = torch.tensor([640.0, 480.0])
NUMBER = 12  # instances of a test


def make_poses(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Classes, R, t and K of instances all over the image, some of them across its border."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.arange(NUMBER) % 3
    R = geometry.exp_so3(torch.randn(NUMBER, 3, generator=generator))
    z = 0.4 + 0.6 * torch.rand(NUMBER, generator=generator)
    xy = 0.7 * torch.rand(NUMBER, 2, generator=generator) - 0.35
    K = make_K(NUMBER, 640, 480).clone()
    K[:, :2, :2] *= 2.5
    return classes, R, torch.cat((xy * z[:, None], z[:, None]), 1), K


def displaced(R: Tensor, t: Tensor, angle: float, depth: float) -> tuple[Tensor, Tensor]:
    """Poses turned by ``angle`` rad about random axes and farther by a share ``depth``."""
    axis = geometry.normalize(torch.randn(len(R), 3, generator=torch.Generator().manual_seed(5)))
    return geometry.exp_so3(angle * axis) @ R, t * (1.0 + depth) + torch.tensor([0.004, -0.003, 0])


def perfect_prediction(
    sampler: RegionSampler, classes: Tensor, R: Tensor, t: Tensor, regions: Regions
) -> InstancePrediction:
    """What a perfect tower says of objects that fill their boxes at R, t."""
    to_ray = regions.R_cam_ray.transpose(1, 2)
    center = (to_ray @ t.unsqueeze(-1)).squeeze(-1)
    truth = regions._replace(
        R=to_ray @ R, center=center, scale=sampler.diameters[classes] / center[:, 2]
    )
    # The true centre need not lie on the region's ray: shift the cells' rays, not the box.
    coordinates, hit = box_surface(sampler, classes, truth)
    n, p = hit.shape
    return InstancePrediction(
        coordinates @ regions.R.transpose(1, 2),
        torch.full((n, p, 2), -4.0),
        torch.where(hit, 10.0, -10.0),
        torch.zeros(n, 3),
        torch.full((n, 3), 2.0),
        torch.zeros(n),
        torch.zeros(n),
        torch.zeros(n, 3),
    )


def box_surface(sampler: RegionSampler, classes: Tensor, truth: Regions) -> tuple[Tensor, Tensor]:
    """(N, P, 3) first points of boxes on cells' rays over the diameter, and whether any is met."""
    way = torch.cat((truth.points, torch.ones_like(truth.points[..., :1])), -1) @ truth.R
    camera = -(truth.R.transpose(1, 2) @ truth.center.unsqueeze(-1)).transpose(1, 2)
    camera = camera / sampler.diameters[classes][:, None, None]
    half = sampler.halves[classes].unsqueeze(1)
    first, second = (-half - camera) / way, (half - camera) / way
    enter = torch.minimum(first, second).amax(-1)
    hit = enter <= torch.maximum(first, second).amin(-1)
    return camera + way * enter.unsqueeze(-1), hit


def test_cells_project_to_their_own_pixels() -> None:
    classes, R, t, K = make_poses()
    sampler = RegionSampler(14, CORNERS, DIAMETERS)
    regions = sampler(classes, R, t, K, SIZE)
    points, _, hit = sampler.box_points(regions, classes)
    assert hit.mean() > 0.2
    moved = points * DIAMETERS[classes][:, None, None] @ R.transpose(1, 2) + t.unsqueeze(1)
    torch.testing.assert_close(geometry.project(moved, K), regions.pixels, atol=0.02, rtol=0)
    outside = points.abs() > sampler.halves[classes].unsqueeze(1) + 1e-4
    assert not (outside.any(-1) & (hit[..., 0] > 0)).any()


def test_cells_beyond_the_image_are_marked_and_see_nothing() -> None:
    classes, R, t, K = make_poses()
    sampler = RegionSampler(6, CORNERS, DIAMETERS)
    regions = sampler(classes, R, t * torch.tensor([3.0, 1.0, 1.0]), K, SIZE)
    beyond = (regions.pixels[..., 0] < -0.5) | (regions.pixels[..., 0] > 639.5)
    assert beyond.any()
    assert not regions.inside[beyond].any()
    seen = sampler.pool(torch.ones(1, 4, 120, 160), regions.pixels)
    far = (regions.pixels[..., 0] < -4) | (regions.pixels[..., 0] > 644)
    assert far.any()
    assert not seen[far].any()


def test_pooled_features_are_those_of_their_pixels() -> None:
    classes, R, t, K = make_poses()
    sampler = RegionSampler(8, CORNERS, DIAMETERS)
    regions = sampler(classes, R, t, K, SIZE)
    x, y = torch.arange(160.0) * 4 + 1.5, torch.arange(120.0) * 4 + 1.5
    ramp = torch.stack((x.expand(120, 160), y[:, None].expand(120, 160)))[None]
    seen = sampler.pool(ramp, regions.pixels)
    inner = ((regions.pixels > 2) & (regions.pixels < SIZE - 3)).all(-1)
    torch.testing.assert_close(seen[inner], regions.pixels[inner], atol=0.01, rtol=0)


@pytest.mark.parametrize(("angle", "depth"), [(0.0, 0.0), (0.2, 0.05), (0.4, -0.1)])
def test_exact_coordinates_give_the_exact_pose(angle: float, depth: float) -> None:
    classes, R, t, K = make_poses()
    sampler, fit = RegionSampler(14, CORNERS, DIAMETERS), CoordinateFit(CORNERS, DIAMETERS)
    R_start, t_start = displaced(R, t, angle, depth)
    fitted = FittedPoses(R_start, t_start, torch.zeros(NUMBER, 6, 6))
    for _ in range(2):
        regions = sampler(classes, fitted.R, fitted.t, K, SIZE)
        fitted = fit(perfect_prediction(sampler, classes, R, t, regions), classes, regions)
    assert geometry.rotation_angle(fitted.R, R).max() < 0.01
    assert (geometry.length(fitted.t - t) / t[:, 2]).max() < 0.003


def test_an_instance_that_nothing_shows_takes_the_prior() -> None:
    classes, R, t, K = make_poses()
    sampler, fit = RegionSampler(14, CORNERS, DIAMETERS), CoordinateFit(CORNERS, DIAMETERS)
    regions = sampler(classes, R, t, K, SIZE)
    blind = perfect_prediction(sampler, classes, R, t, regions)._replace(
        visible=torch.full((NUMBER, 196), -30.0),
        prior=torch.tensor([[0.0, 0.0, 0.1]]).expand(NUMBER, 3),
        prior_log_sigma=torch.zeros(NUMBER, 3),
    )
    fitted = fit(blind, classes, regions)
    center = t  # the boxes' centres are the origins
    torch.testing.assert_close(fitted.t, center * torch.tensor(0.1).exp(), atol=1e-4, rtol=0)
    assert geometry.rotation_angle(fitted.R, R).max() < 1e-3


def test_the_covariance_knows_what_one_view_tells_least() -> None:
    classes, R, t, K = make_poses()
    sampler, fit = RegionSampler(14, CORNERS, DIAMETERS), CoordinateFit(CORNERS, DIAMETERS)
    regions = sampler(classes, R, t, K, SIZE)
    fitted = fit(perfect_prediction(sampler, classes, R, t, regions), classes, regions)
    covariance = fit.covariance(fitted, torch.zeros(NUMBER, 3), classes, regions)
    assert torch.linalg.eigvalsh(covariance.double()).min() > 0
    along, across = along_and_across(covariance[:, :3, :3], t)
    assert (along > 2 * across).all()


def test_doubts_widen_their_own_part_of_the_covariance() -> None:
    classes, R, t, K = make_poses()  # the boxes' centres are the origins
    sampler, fit = RegionSampler(14, CORNERS, DIAMETERS), CoordinateFit(CORNERS, DIAMETERS)
    regions = sampler(classes, R, t, K, SIZE)
    fitted = fit(perfect_prediction(sampler, classes, R, t, regions), classes, regions)
    plain = fit.covariance(fitted, torch.zeros(NUMBER, 3), classes, regions)
    doubt = torch.tensor([2.0, 3.0, 5.0]).log().expand(NUMBER, 3)  # of x y, of z, of the rotation
    wide = fit.covariance(fitted, doubt, classes, regions)
    for before, after, factor in zip(
        along_and_across(plain[:, :3, :3], t), along_and_across(wide[:, :3, :3], t), (3.0, 2.0),
        strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(after, factor**2 * before, rtol=1e-3, atol=0)
    torch.testing.assert_close(wide[:, 3:, 3:], 25.0 * plain[:, 3:, 3:], rtol=1e-3, atol=0)


def along_and_across(covariance: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) variances along the ray and, in the mean, across it."""
    ray = geometry.normalize(t).unsqueeze(-1)
    along = (ray.transpose(1, 2) @ covariance @ ray).squeeze()
    return along, (covariance.diagonal(dim1=1, dim2=2).sum(1) - along) / 2
