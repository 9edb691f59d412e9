"""The encoder of regions' pixels: where it looks, and what it learns from."""

from dataclasses import replace

import torch
from core_factory import make_catalogue

from cope_ros.core.network.build import build_network
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.network.presets import PRESETS, InstanceHeadConfig
from cope_ros.core.refinement.instance_regions import (
    SAMPLES,
    Regions,
    RegionSampler,
    pack_picture,
    unpack_picture,
)

CATALOGUE = make_catalogue()
CELLS = 6
K = torch.tensor([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]).expand(3, 3, 3)
SIZE = torch.tensor([640.0, 480.0])
CLASSES = torch.zeros(3, dtype=torch.long)
CENTERS = torch.tensor([[0.0, 0.0, 0.5], [0.1, -0.05, 0.7], [3.0, 0.0, 0.5]])  # the last is outside


def sampler_of(cells: int) -> RegionSampler:
    return RegionSampler(cells, catalogue_corners(CATALOGUE), catalogue_diameters(CATALOGUE))


def regions_of(cells: int) -> Regions:
    """Regions about three poses of class 0."""
    return sampler_of(cells)(CLASSES, torch.eye(3).expand(3, 3, 3), CENTERS, K, SIZE)


def test_windows_show_the_pixels_about_their_cells() -> None:
    pixels = regions_of(CELLS).pixels
    x, y = torch.arange(640.0), torch.arange(480.0)
    ramp = torch.stack((x.expand(480, 640), y[:, None].expand(480, 640), torch.ones(480, 640)))
    windows = sampler_of(CELLS).windows(unpack_picture(pack_picture(ramp[None])), pixels)
    side = CELLS * SAMPLES
    assert windows.shape == (3, 3, side, side)
    of_cells = windows.unflatten(2, (CELLS, SAMPLES)).unflatten(4, (CELLS, SAMPLES)).mean((3, 5))
    seen = of_cells[:2, :2].flatten(2).transpose(1, 2)
    torch.testing.assert_close(seen, pixels[:2], atol=0.01, rtol=0)
    step = (pixels[0, 1, 0] - pixels[0, 0, 0]) / SAMPLES  # evenly, within a cell and across
    along = windows[0, 0].diff(dim=1)
    torch.testing.assert_close(along, step.expand_as(along), atol=0.01, rtol=0)
    assert not windows[2].any()  # beyond the image


def test_a_head_learns_from_pixels_and_from_the_surface() -> None:
    torch.manual_seed(0)
    preset = replace(PRESETS["lite"], instance_head=InstanceHeadConfig(voxels=12))
    head = build_network(preset, CATALOGUE).eval().instance_head
    assert head is not None
    assert head.surface is not None
    assert head.detail is not None
    regions = regions_of(head.regions.cells)
    features, image = torch.randn(1, 64, 120, 160), torch.randn(1, 3, 480, 640)
    shared = torch.cat((features, pack_picture(image)), 1)
    head(head.maps(shared), CLASSES, regions).coordinates.sum().backward()
    weight = head.detail.output.weight
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0
    with torch.inference_mode():
        before = head(head.maps(shared), CLASSES, regions).coordinates
        weight += weight.grad
        after = head(head.maps(shared), CLASSES, regions).coordinates
        head.surface.color[:, :12] = 200
        coloured = head(head.maps(shared), CLASSES, regions).coordinates
        head.surface.distance[:12] = 0.05
        shaped = head(head.maps(shared), CLASSES, regions).coordinates
    for one, other in ((before, after), (after, coloured), (coloured, shaped)):
        assert (one - other)[:2].abs().amax() > 1e-3


def test_half_precision_packs_and_windows_alike() -> None:
    image = torch.rand(1, 3, 480, 640)
    sampler, pixels = sampler_of(CELLS), regions_of(CELLS).pixels
    exact, rounded = (
        sampler.windows(unpack_picture(pack_picture(image.to(kind))), pixels)
        for kind in (torch.float32, torch.bfloat16)
    )
    torch.testing.assert_close(exact, rounded, atol=0.01, rtol=0)
