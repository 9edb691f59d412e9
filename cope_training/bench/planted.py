"""Scenes planted into a network's head outputs, so that 1 to 100 instances come out of it.

Whether a small or untrained network finds a given number of objects is chance; what the stages
after it do with that number is what constant time is about. So the whole network runs, and its
outputs are then replaced by those that a perfect network would give for a known scene.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.decoding import output_scales
from cope_ros.core.detection.locations import make_locations
from cope_ros.core.network.cope_network import CopeNetwork, catalogue_corners, catalogue_diameters
from cope_ros.core.network.presets import NetworkConfig
from cope_ros.core.types import DenseOutputs

COLUMNS = 10  # of the grid that instances stand on; as many rows
SHARE = 0.75  # of a grid cell's width that an instance spans
REACH = 1.7  # strides from an instance's centre within which locations vote for it: 9 to 12
NOISE = 0.3  # px, standard deviation of each location's corners
BACKGROUND, OBJECT = -9.0, 4.0  # class logits


class HeadOutputs(NamedTuple):
    """Standardised outputs of all locations, as of ``CopeNetwork.forward``."""

    logits: Tensor  # (1, L, C)
    boxes: Tensor  # (1, L, 4)
    keys: Tensor  # (1, L, 16)


class PlantedNetwork(CopeNetwork):
    """A network that does all its work and then gives planted outputs.

    Args:
        config, catalogue: as of ``CopeNetwork``.
        outputs: what to give; ``plant_into`` changes it later.
    """

    def __init__(self, config: NetworkConfig, catalogue: Catalogue, outputs: HeadOutputs) -> None:
        super().__init__(config, catalogue)
        self.register_buffer("logits", outputs.logits.clone(), persistent=False)
        self.register_buffer("boxes", outputs.boxes.clone(), persistent=False)
        self.register_buffer("keys", outputs.keys.clone(), persistent=False)
        # The real outputs stay in the sum, or a compiler could leave the network out.
        self.register_buffer("share", torch.zeros(()), persistent=False)

    logits: Tensor
    boxes: Tensor
    keys: Tensor
    share: Tensor

    def forward(self, image: Tensor) -> DenseOutputs:
        """As of ``CopeNetwork``."""
        outputs = self.dense(image)
        return DenseOutputs(
            outputs.class_logits * self.share + self.logits,
            outputs.boxes * self.share + self.boxes,
            outputs.keypoints * self.share + self.keys,
            outputs.coordinates,
            outputs.shared,
        )


def plant_into(network: Any, outputs: HeadOutputs) -> None:
    """Replaces the planted outputs of a (scripted, loaded, captured) ``PlantedNetwork``."""
    network.logits.copy_(outputs.logits)
    network.boxes.copy_(outputs.boxes)
    network.keys.copy_(outputs.keys)


def plant(
    count: int,
    catalogue: Catalogue,
    by_diameter: bool,
    size: tuple[int, int],
    K: Tensor,
    seed: int = 0,
) -> HeadOutputs:
    """Outputs of a network that sees ``count`` instances, in turn of every class, on a grid.

    Args:
        count: at most COLUMNS squared.
        by_diameter: how targets are standardised, as of the estimator.
        size: (width, height) px of the network's input.
        K: (3, 3) intrinsics, px.
    """
    if not 0 <= count <= COLUMNS**2:
        raise ValueError(f"count: expected 0 to {COLUMNS**2}, got {count}")
    generator = torch.Generator().manual_seed(seed)
    centers, strides = make_locations(size[1], size[0], torch.device("cpu"))
    corners, diameters = catalogue_corners(catalogue), catalogue_diameters(catalogue)
    logits = torch.full((len(centers), len(catalogue)), BACKGROUND)
    boxes, keys = torch.zeros(len(centers), 4), torch.zeros(len(centers), 16)
    places = torch.randperm(COLUMNS**2, generator=generator)[:count].tolist()
    for number, place in enumerate(places):
        index = number % len(catalogue)
        middle = _middle(place, size)
        near = (centers - middle).abs().amax(-1) < REACH * strides[0]
        rows = (near & (strides == strides[0])).nonzero().squeeze(1)
        pixels = _project(corners[index], middle, size[0] * SHARE / COLUMNS, K, generator)
        keypoints = pixels + NOISE * torch.randn(len(rows), 8, 2, generator=generator)
        box = torch.cat((pixels.amin(0), pixels.amax(0)))
        scales = output_scales(by_diameter, diameters[index], strides[rows])
        logits[rows] = BACKGROUND  # a location that two instances reach votes for the second
        logits[rows, index] = OBJECT + torch.rand(len(rows), generator=generator)
        boxes[rows] = (centers[rows].repeat(1, 2) - box) / scales.box.unsqueeze(-1)
        offsets = centers[rows].unsqueeze(1) - keypoints
        keys[rows] = offsets.flatten(1) / scales.key.unsqueeze(-1)
    return HeadOutputs(logits.unsqueeze(0), boxes.unsqueeze(0), keys.unsqueeze(0))


def _middle(place: int, size: tuple[int, int]) -> Tensor:
    """(2,) px: centre of a grid cell."""
    cell = torch.tensor([size[0] / COLUMNS, size[1] / COLUMNS])
    return (torch.tensor([place % COLUMNS, place // COLUMNS]) + 0.5) * cell


def _project(
    corners: Tensor, middle: Tensor, extent: float, K: Tensor, generator: torch.Generator
) -> Tensor:
    """(8, 2) px of an object's corners, turned at random, ``extent`` px large at ``middle``."""
    turn = torch.randn(3, generator=generator)
    R = geometry.exp_so3(turn / turn.norm() * math.pi * torch.rand(1, generator=generator))
    diameter = (corners.amax(0) - corners.amin(0)).norm()
    z = K[0, 0] * diameter / extent
    x = (middle[0] - K[0, 2]) / K[0, 0] * z
    y = (middle[1] - K[1, 2]) / K[1, 1] * z
    return geometry.project(geometry.transform(R, torch.stack((x, y, z)), corners), K)
