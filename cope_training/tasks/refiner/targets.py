"""Crops with wrong poses for the refiner to correct, and what is true in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_training.data.frames import Frame
from cope_training.tasks.crop_head.targets import CropTargets, SingleInstances, check_crops
from cope_training.tasks.refiner.config import RefinerTraining

FINE = 2  # px of the crop between the places whose depth is kept


@dataclass(frozen=True)
class RefinerTargets(CropTargets):
    """Poses in the crops' frames, positions of the boxes' centres."""

    R_start: Tensor  # (N, 3, 3) float, what is to be corrected
    center_start: Tensor  # (N, 3) float m
    R: Tensor  # (N, 3, 3) float, of what looks the same that nearest to the start
    center: Tensor  # (N, 3) float m
    depth: Tensor  # (N, S/FINE, S/FINE) float m, of the instance, zero elsewhere
    near: Tensor  # (N,) float: 1 where a correction leads from the start to the truth

    @property
    def given(self) -> tuple[Tensor, ...]:
        """Classes, wrong poses and intrinsics, see ``refiner.Refiner``."""
        return self.class_index, self.R_start, self.center_start, self.K


@dataclass(frozen=True)
class RefinerSamples(SingleInstances):
    """What is true of N crops with a margin, of W px, and random wrong poses in them.

    Their middle is the crop head's crop; the refiner's is laid about the wrong pose.
    """

    own: Tensor  # (N, W, W) bool: the instance is seen
    depth: Tensor  # (N, W, W) float m, zero where unknown
    R: Tensor  # (N, 3, 3) float
    t: Tensor  # (N, 3) float m
    R_start: Tensor  # (N, 3, 3) float
    center_start: Tensor  # (N, 3) float m, of the object's box
    found: Tensor  # (N,) bool: the crop head's pose is to be corrected instead
    zoom: Tensor  # (N,) float, of the refiner's crop
    jitter_rotation: Tensor  # (N, 3, 3) and
    jitter_displacement: Tensor  # (N, 3): how far off flows start, see ``displaced``


class RefinerSampleBuilder:
    """Collates crops with a margin and draws wrong poses.

    Args:
        catalogue: the objects.
        config: how wrong poses are.
        generator: of what is random.
    """

    def __init__(
        self, catalogue: Catalogue, config: RefinerTraining, generator: torch.Generator
    ) -> None:
        self.config, self.generator = config, generator
        self.centers = catalogue_corners(catalogue).mean(1)
        self.diameters = catalogue_diameters(catalogue)

    def __call__(self, frames: Sequence[Frame]) -> RefinerSamples:
        """Targets of a batch.

        Raises:
            CopeError: a crop without instance map, depth, or exactly one instance.
        """
        check_crops(frames)
        c = torch.from_numpy(np.concatenate([f.class_index for f in frames])).long()
        K = torch.from_numpy(np.stack([f.K for f in frames])).float()
        T = torch.from_numpy(np.concatenate([f.T_cam_obj for f in frames])).float()
        depth = torch.from_numpy(np.stack([f.depth for f in frames])).float()  # type: ignore
        labels = torch.from_numpy(np.stack([f.instance_map for f in frames]))  # type: ignore
        R, t = T[:, :3, :3], T[:, :3, 3]
        center = (R @ self.centers[c].unsqueeze(-1)).squeeze(-1) + t
        jitter = self.config.flow_error * torch.rand(len(c), 1, generator=self.generator)
        return RefinerSamples(
            class_index=c,
            K=K,
            own=(labels == 0) & (depth > 0),
            depth=depth,
            R=R,
            t=t,
            R_start=self._rotation_increments(len(c)) @ R,
            center_start=displaced(center, self._displacements(len(c)), self.diameters[c]),
            found=torch.rand(len(c), generator=self.generator) < self.config.found_share,
            zoom=torch.exp(self.config.zoom_sigma * self._normal(len(c), 1).squeeze(1)),
            jitter_rotation=self._rotation_increments(len(c), jitter),
            jitter_displacement=jitter * self._displacements(len(c)),
        )

    def _rotation_increments(self, count: int, scale: Tensor | float = 1.0) -> Tensor:
        """(count, 3, 3), normal about each axis: a peak at no turn would be worth waiting at."""
        sigma = math.radians(self.config.rotation_error)
        return geometry.exp_so3(scale * sigma * self._normal(count, 3))

    def _displacements(self, count: int) -> Tensor:
        """(count, 3), see ``displaced``."""
        side, farther = self.config.center_error, self.config.size_error
        return torch.tensor([side, side, farther]) * self._normal(count, 3)

    def _normal(self, rows: int, columns: int) -> Tensor:
        return torch.randn(rows, columns, generator=self.generator)


def displaced(center: Tensor, displacement: Tensor, diameter: Tensor) -> Tensor:
    """(N, 3) m, centres moved aside and along their rays.

    Args:
        center: (N, 3) m.
        displacement: (N, 3), aside in x and y in diameters, then the logarithm of how much farther.
        diameter: (N,) m.
    """
    aside = torch.cat((displacement[:, :2], torch.zeros_like(displacement[:, :1])), 1)
    return (center + aside * diameter.unsqueeze(1)) * torch.exp(displacement[:, 2:])
