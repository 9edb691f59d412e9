"""Poses that an instance head starts from in training: true ones made wrong, or the dense part's.

Axes: B images, N padded instances of each.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.network.pose_head import GeometricPoseHead
from cope_training.data.frame_batch import FrameBatch
from cope_training.tasks.dense.targets import Targets

# Widths of the errors, each instance draws one of each row.
ROTATION_SIGMAS = tuple(math.radians(a) / math.sqrt(3.0) for a in (3.0, 8.0, 20.0, 45.0))
DEPTH_SIGMAS = (0.01, 0.03, 0.06, 0.12)  # of the logarithm
PLACE_SIGMAS = (0.01, 0.03, 0.06, 0.1)  # of the centre across the ray, diameters
MAX_PLACE_ERROR = 0.5  # diameters; dense poses farther off are of something else
MAX_DEPTH_ERROR = 0.35  # of the logarithm


class Starts(NamedTuple):
    """Where regions are laid."""

    R: Tensor  # (B, N, 3, 3)
    t: Tensor  # (B, N, 3) m


def displaced(
    batch: FrameBatch, centers: Tensor, diameters: Tensor, generator: torch.Generator | None
) -> Starts:
    """True poses with errors of several sizes.

    Args:
        batch: with the true poses.
        centers, diameters: (C, 3) and (C,) m.
        generator: of the device; None for torch's own.
    """
    R, t, device = batch.R, batch.t, batch.t.device
    shape = batch.valid.shape

    def sigmas(values: tuple[float, ...]) -> Tensor:
        pick = torch.randint(len(values), shape, generator=generator, device=device)
        return torch.tensor(values, device=device)[pick].unsqueeze(-1)

    def normal(count: int) -> Tensor:
        return torch.randn(*shape, count, generator=generator, device=device)

    middle = centers[batch.class_index].unsqueeze(-1)
    center = t + (R @ middle).squeeze(-1)
    center = center * torch.exp(normal(1) * sigmas(DEPTH_SIGMAS))
    across = normal(2) * sigmas(PLACE_SIGMAS) * diameters[batch.class_index].unsqueeze(-1)
    center = torch.cat((center[..., :2] + across, center[..., 2:]), -1)
    R = geometry.exp_so3(normal(3) * sigmas(ROTATION_SIGMAS)) @ R
    return Starts(R, center - (R @ middle).squeeze(-1))


def from_dense(
    starts: Starts,
    share: float,
    keypoints: Tensor,
    targets: Targets,
    batch: FrameBatch,
    pose_head: GeometricPoseHead,
    diameters: Tensor,
) -> Starts:
    """A share of the starts replaced by the pose that a random location of each instance votes for.

    Args:
        starts: of all instances.
        share: of the instances that have such locations.
        keypoints: (P, 8, 2) px, of the regression locations.
        targets: of the batch.
        batch: with the true poses.
        pose_head: from corners to poses.
        diameters: (C,) m.
    """
    count, device = len(targets.class_index), keypoints.device
    if not len(keypoints):
        return starts
    order = torch.randperm(len(keypoints), device=device)
    pick = torch.zeros(count, dtype=torch.int64, device=device)
    pick[targets.instance[order]] = order
    has = torch.zeros(count, dtype=torch.bool, device=device)
    has[targets.instance] = True
    c, K = targets.class_index, targets.K
    with torch.no_grad():
        R, t = pose_head(keypoints[pick].float(), c, K)
    truth = batch.t[batch.valid]
    depth_error = torch.log(t[:, 2].clamp_min(geometry.MIN_DEPTH) / truth[:, 2]).abs()
    aside = geometry.length((t / t[:, 2:] - truth / truth[:, 2:])[:, :2]) * truth[:, 2]
    near = (depth_error < MAX_DEPTH_ERROR) & (aside < MAX_PLACE_ERROR * diameters[c])
    use = has & near & (torch.rand(count, device=device) < share)
    R_all, t_all = starts.R.clone(), starts.t.clone()
    R_all[batch.valid] = torch.where(use[:, None, None], R, R_all[batch.valid])
    t_all[batch.valid] = torch.where(use[:, None], t, t_all[batch.valid])
    return Starts(R_all, t_all)
