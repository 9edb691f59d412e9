"""The instance head: regions, the fit of poses to object coordinates, and the refinement stage."""

from dataclasses import replace

import pytest
import torch
from core_factory import make_catalogue, make_estimator, make_K
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.network.build import build_network
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.network.presets import PRESETS, InstanceHeadConfig
from cope_ros.core.refinement.coordinate_fit import CoordinateFit, FittedPoses, InstancePrediction
from cope_ros.core.refinement.instance_refinement import InstanceRefinement
from cope_ros.core.refinement.instance_regions import PICTURE_CHANNELS, Regions, RegionSampler
from cope_ros.core.types import Instances, RefinementInputs

CATALOGUE = make_catalogue()
CORNERS, DIAMETERS = catalogue_corners(CATALOGUE), catalogue_diameters(CATALOGUE)
SIZE = torch.tensor([640.0, 480.0])
NUMBER = 12  # instances of a test
SHARED = 64 + PICTURE_CHANNELS  # channels of the map that a head of preset lite sees


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


def make_found(instances: int = 60) -> tuple[Instances, Tensor]:
    """So many instances of one image in 100 rows, scores falling, and the image's K."""
    rows, generator = 100, torch.Generator().manual_seed(1)
    t = torch.rand(1, rows, 3, generator=generator) * torch.tensor([4.0, 3.0, 0.4])
    t = t - torch.tensor([2.0, 1.5, -4.0])
    found = Instances(
        torch.arange(rows)[None] < instances,
        torch.arange(rows)[None] % 3,
        torch.linspace(0.99, 0.5, rows)[None],
        geometry.exp_so3(torch.randn(1, rows, 3, generator=generator)),
        t,
        torch.eye(6).expand(1, rows, 6, 6) * 1e-4,
        torch.zeros(1, rows, 4),
        torch.zeros(1, rows, 8, 2),
        torch.full((1, rows), 5),
        torch.zeros(1, rows),
    )
    return found, torch.tensor([[[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]])


@pytest.mark.parametrize("most", [8, 48, 200])
def test_the_stage_refines_as_many_as_it_takes(most: int) -> None:
    torch.manual_seed(0)
    preset = replace(PRESETS["lite"], instance_head=InstanceHeadConfig(max_refined=most))
    head = build_network(preset, CATALOGUE).eval().instance_head
    assert head is not None
    stage = torch.jit.script(InstanceRefinement(head, CATALOGUE))
    found, K = make_found()
    inputs = RefinementInputs(torch.zeros(1, 480, 640, 3), K, torch.randn(1, 64, 120, 160))
    with torch.inference_mode():
        refined = stage(inputs, found)
    assert all(torch.isfinite(field.float()).all() for field in refined)
    assert refined.valid.sum() <= 60
    kept = (refined.t[0, refined.valid[0]].unsqueeze(1) - found.t[0]).norm(dim=-1).amin(1) < 1e-6
    assert int(kept.sum()) == max(0, 60 - most)
    valid = refined.score[0][refined.valid[0]]
    assert (valid.diff() <= 0).all()


def test_scores_weigh_being_there_more_than_being_right() -> None:
    torch.manual_seed(0)
    head = build_network(PRESETS["lite"], CATALOGUE).eval().instance_head
    assert head is not None
    found, K = make_found(4)
    inputs = RefinementInputs(torch.zeros(1, 480, 640, 3), K, torch.randn(1, SHARED, 120, 160))
    with torch.inference_mode():
        expected = {}
        for logit in (-3.0, 2.0):
            head.pose_output.weight[-1].zero_()
            head.pose_output.bias[-1] = logit
            refined = InstanceRefinement(head, CATALOGUE)(inputs, found)
            expected[logit] = refined.score[0, refined.valid[0]].sort().values
    ratio = (torch.sigmoid(torch.tensor(-3.0)) / torch.sigmoid(torch.tensor(2.0))) ** 0.5
    torch.testing.assert_close(expected[-3.0], expected[2.0] * ratio)
    assert (expected[2.0] < found.score[0, :4].sort().values).all()


def test_one_object_found_twice_is_given_once() -> None:
    torch.manual_seed(0)
    head = build_network(PRESETS["lite"], CATALOGUE).eval().instance_head
    assert head is not None
    found, K = make_found(4)
    found = found._replace(
        t=found.t[:, :1].expand(-1, 100, -1), class_index=torch.zeros_like(found.class_index)
    )
    inputs = RefinementInputs(torch.zeros(1, 480, 640, 3), K, torch.randn(1, SHARED, 120, 160))
    with torch.inference_mode():
        refined = InstanceRefinement(head, CATALOGUE)(inputs, found)
    assert refined.valid.sum() == 1


def test_an_estimator_with_an_instance_head_is_scripted_as_it_runs() -> None:
    estimator = make_estimator("lite")
    image = torch.randint(0, 256, (2, 128, 160, 3), dtype=torch.uint8)
    with torch.inference_mode():
        eager = estimator(image, make_K(2))
        scripted = torch.jit.script(estimator)(image, make_K(2))
    assert eager.valid.any()
    for name, a, b in zip(Instances._fields, eager, scripted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3, msg=name)
