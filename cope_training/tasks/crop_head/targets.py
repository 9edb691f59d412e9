"""What the crop head should say of each crop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.refinement.crop_network import STRIDE
from cope_training.data.frames import Frame
from cope_training.tasks.symmetric_poses import SymmetricPoses


@dataclass(frozen=True)
class SingleInstances:
    """What is known of N images that show one instance each."""

    class_index: Tensor  # (N,) int64
    K: Tensor  # (N, 3, 3) float px

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        moved = {k: v.to(device, non_blocking=True) for k, v in vars(self).items()}
        return type(self)(**moved)


@dataclass(frozen=True)
class CropTargets(SingleInstances):
    """What is true of N crops, whatever part looks at them."""

    visible: Tensor  # (N, S/8, S/8) float: 1 where the instance is seen
    points: Tensor  # (N, S/8, S/8, 3) float m, what is seen there; zero where unknown

    @property
    def given(self) -> tuple[Tensor, ...]:
        """What the part is told beside the crops."""
        return (self.class_index,)


@dataclass(frozen=True)
class CropHeadTargets(CropTargets):
    """S symmetric hypotheses of each crop's pose, in its frame."""

    R: Tensor  # (N, S, 3, 3) float
    t: Tensor  # (N, S, 3) float m


class CropHeadTargetBuilder:
    """Builds targets of crops with one instance each."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.symmetric = SymmetricPoses(catalogue)

    def __call__(self, frames: Sequence[Frame]) -> CropHeadTargets:
        """Targets of a batch.

        Raises:
            CopeError: a crop without instance map, depth, or exactly one instance.
        """
        check_crops(frames)
        class_index = torch.from_numpy(np.concatenate([f.class_index for f in frames])).long()
        poses = torch.from_numpy(np.concatenate([f.T_cam_obj for f in frames]))
        R, t = self.symmetric(poses[:, :3, :3], poses[:, :3, 3], class_index)
        K = torch.from_numpy(np.stack([f.K for f in frames])).float()
        labels = torch.from_numpy(np.stack([_thinned(f.instance_map) for f in frames]))
        depth = torch.from_numpy(np.stack([_thinned(f.depth) for f in frames])).float()
        side = labels.shape[1]
        steps = STRIDE * torch.arange(side, dtype=torch.float32) + STRIDE // 2
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        pixels = torch.stack((x, y), -1).expand(len(K), -1, -1, -1)
        return CropHeadTargets(
            class_index=class_index,
            K=K,
            R=R.float(),
            t=t.float(),
            visible=((labels == 0) & (depth > 0)).float(),
            points=points_seen(pixels, depth, K),
        )


def check_crops(frames: Sequence[Frame]) -> None:
    """Raises CopeError: a crop without instance map, depth, or exactly one instance."""
    for frame in frames:
        if len(frame.class_index) != 1 or frame.instance_map is None or frame.depth is None:
            raise CopeError("crop: expected one instance, its map and depth")


def points_seen(pixels: Tensor, depth: Tensor, K: Tensor) -> Tensor:
    """(N, h, w, 2) px and (N, h, w) m with (N, 3, 3) intrinsics -> (N, h, w, 3) m."""
    ray = geometry.unproject(pixels.flatten(1, 2), K)
    ray = torch.cat((ray, torch.ones_like(ray[..., :1])), -1).view(*depth.shape, 3)
    return ray * depth.unsqueeze(-1)


def _thinned(values: np.ndarray | None) -> np.ndarray:
    assert values is not None
    return values[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
