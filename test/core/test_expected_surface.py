"""Rays traced through signed distances: where they meet objects, and how far they pass them by."""

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.refinement.expected_surface import SIDE, ExpectedSurface, SurfacePoints

VOXELS = 40
RADII = (0.3, 0.45)  # of two spheres, in diameters of some object


def spheres() -> ExpectedSurface:
    place = ((torch.arange(VOXELS) + 0.5) / VOXELS - 0.5) * SIDE
    z, y, x = torch.meshgrid(place, place, place, indexing="ij")
    length = torch.stack((x, y, z)).square().sum(0).sqrt()
    surface = ExpectedSurface(2, VOXELS)
    surface.distance.copy_(torch.cat([length - radius for radius in RADII]))
    return surface


def parallel_rays(count: int = 30) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays along z enter a box, their directions, and that they meet it."""
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(2, count, 3, generator=generator) - 0.5
    start[..., 2] = -0.5
    return start, torch.tensor([0.0, 0.0, 3.0]).expand(2, count, 3), torch.ones(2, count, 1)


def traced(surface: ExpectedSurface, rays: tuple[Tensor, ...], *classes: int) -> SurfacePoints:
    return surface(surface.volume(), *rays, torch.tensor(classes))


def test_rays_end_on_the_surface_of_their_object() -> None:
    enter, way, hit = parallel_rays()
    met = traced(spheres(), (enter, way, hit), 0, 1)
    for number, radius in enumerate(RADII):
        across = enter[number, :, :2].square().sum(1).sqrt()
        meets = across < radius - 0.05
        assert meets.sum() > 3
        z = -(radius**2 - across[meets] ** 2).sqrt()
        torch.testing.assert_close(met.points[number, meets, 2], z, atol=0.01, rtol=0)
        torch.testing.assert_close(met.points[number, :, :2], enter[number, :, :2])
        assert met.clearance[number, meets].max() < 0.0
        outward = geometry.normalize(met.points[number, meets])
        torch.testing.assert_close(met.normals[number, meets], outward, atol=0.05, rtol=0)


def test_rays_that_miss_say_by_how_much() -> None:
    enter, way, hit = parallel_rays()
    met = traced(spheres(), (enter, way, hit), 0, 1)
    across = enter[0, :, :2].square().sum(1).sqrt()
    misses = across > RADII[0] + 0.02
    assert misses.sum() > 3
    by = across[misses] - RADII[0]
    torch.testing.assert_close(met.clearance[0, misses, 0], by, atol=0.03, rtol=0)


def test_rays_that_miss_the_box_stay_and_so_do_all_before_there_are_distances() -> None:
    enter, way, hit = parallel_rays()
    torch.testing.assert_close(traced(spheres(), (enter, way, 0.0 * hit), 0, 1).points, enter)
    empty = traced(ExpectedSurface(2, VOXELS), (enter, way, hit), 0, 1)
    torch.testing.assert_close(empty.points, enter)
    assert not empty.clearance.any()


def test_objects_do_not_reach_into_each_other() -> None:
    enter, way, hit = parallel_rays()
    surface = spheres()
    alone = ExpectedSurface(1, VOXELS)
    alone.distance.copy_(surface.distance[VOXELS:])
    rays = (enter[1:], way[1:], hit[1:])
    both, single = traced(surface, rays, 1), traced(alone, rays, 0)
    torch.testing.assert_close(both.points, single.points, atol=1e-5, rtol=0)
