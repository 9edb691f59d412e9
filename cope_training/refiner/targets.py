"""Poses for the refiner to correct, and what is true in their windows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.averaging import SymmetryAligner
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.instance_windows import WINDOW
from cope_ros.core.network import catalogue_corners, catalogue_diameters
from cope_training.closeup.targets import CloseUpTargetBuilder, WindowTargets
from cope_training.frames import Frame
from cope_training.refiner.config import RefinerTraining


@dataclass(frozen=True)
class RefinerTargets(WindowTargets):
    """Poses in the windows' frames, positions of the boxes' centres."""

    R_start: Tensor  # (N, 3, 3) float, what is to be corrected
    center_start: Tensor  # (N, 3) float m
    R: Tensor  # (N, 3, 3) float, of what looks the same that nearest to the start
    center: Tensor  # (N, 3) float m

    @property
    def given(self) -> tuple[Tensor, ...]:
        """Classes, wrong poses and intrinsics, see ``refiner.Refiner``."""
        return self.class_index, self.R_start, self.center_start, self.K


class RefinerTargetBuilder:
    """Makes wrong poses of windows with one instance each.

    The window was laid where the object seems to be, so the wrong pose lies in its middle and
    about fills it; the turn is random.

    Args:
        catalogue: the objects.
        config: how wrong poses are.
        size: S, px.
        generator: of what is random.
    """

    def __init__(
        self, catalogue: Catalogue, config: RefinerTraining, size: int, generator: torch.Generator
    ) -> None:
        self.config, self.size, self.generator = config, size, generator
        self.windows = CloseUpTargetBuilder(catalogue)
        self.centers = catalogue_corners(catalogue).mean(1)
        self.diameters = catalogue_diameters(catalogue)
        self.align = SymmetryAligner(catalogue)

    def __call__(self, frames: Sequence[Frame]) -> RefinerTargets:
        """Targets of a batch.

        Raises:
            CopeError: a window without instance map, depth, or exactly one instance.
        """
        true = self.windows(frames)
        c, K = true.class_index, true.K
        R, t = true.R[:, 0], true.t[:, 0]
        middle = self.centers[c].unsqueeze(-1)
        center = (R @ middle).squeeze(-1) + t
        depth = K[:, 0, 0] * self.diameters[c] * (WINDOW / self.size)
        depth = depth * torch.exp(self.config.depth_spread * self._normal(len(c), 1).squeeze(1))
        center_start = torch.zeros_like(center)
        center_start[:, 2] = depth
        to_ray = geometry.rotation_to_ray(geometry.normalize(center)).transpose(1, 2)
        R_start = self._turns(len(c)) @ to_ray @ R
        R, t = self.align(R, t, R_start, c)
        return RefinerTargets(
            class_index=c,
            K=K,
            R_start=R_start,
            center_start=center_start,
            R=R,
            center=(R @ middle).squeeze(-1) + t,
            visible=true.visible,
            points=true.points,
        )

    def _turns(self, count: int) -> Tensor:
        """(count, 3, 3), normal about each axis: a peak at no turn would be worth waiting at."""
        return geometry.exp_so3(math.radians(self.config.rotation_spread) * self._normal(count, 3))

    def _normal(self, rows: int, columns: int) -> Tensor:
        return torch.randn(rows, columns, generator=self.generator)
