"""Refinement by the instance head: better poses, covariances and scores of the best instances.

Axes: B images, M instances of each, n of these that are refined.
"""

from typing import Final

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.clustering import nms_3d
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.refinement.instance_head import InstanceHead
from cope_ros.core.types import (
    Instances,
    PoseBatch,
    RefinementInputs,
    best_first,
    first_poses,
    mask_out,
    rank_within_class,
    with_boxes,
    with_covariance,
    with_poses,
)

UNREFINED_QUALITY = 0.13  # of instances beyond ``max_refined``
QUALITY_POWER = 0.5  # a depth that is hardly known says little against an object being there


class InstanceRefinement(nn.Module):
    """A refinement stage (see ``stages``): the instance head at as many instances as it takes.

    Scores are class probabilities times the root of the chance that the refined pose is right:
    they rank poses and tell objects from what only looks like one.

    Args:
        head: a network's.
        catalogue: its objects.
    """

    unrefined_quality: Final[float] = UNREFINED_QUALITY
    quality_power: Final[float] = QUALITY_POWER
    corners: Tensor
    diameters: Tensor

    def __init__(self, head: InstanceHead, catalogue: Catalogue) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("corners", catalogue_corners(catalogue), persistent=False)
        self.register_buffer("diameters", catalogue_diameters(catalogue), persistent=False)

    def forward(self, inputs: RefinementInputs, found: Instances) -> Instances:
        """Refined instances, best first, each object once."""
        found = rank_within_class(found)
        start = first_poses(found, self.head.max_refined, inputs.K)
        size = image_size(inputs.image)
        refined = self.head.refine(
            inputs.shared, start.class_index, start.R, start.t, start.K, size
        )
        n = refined.t.shape[1]
        rest = torch.full_like(found.score[:, n:], self.unrefined_quality)
        score = found.score * torch.cat((refined.quality, rest), 1).pow(self.quality_power)
        poses = PoseBatch(start.class_index, refined.R, refined.t, start.K)
        boxes, keypoints = found.boxes[:, :n], self.project_corners(poses)
        covariance = torch.cat((refined.covariance, found.covariance[:, n:]), 1)
        found = with_covariance(with_boxes(found, boxes, keypoints), covariance)
        return self.suppress_duplicates(best_first(with_poses(found, score, poses)))

    def project_corners(self, poses: PoseBatch) -> Tensor:
        """(B, n, 8, 2) px, the corners of posed objects' boxes."""
        points = geometry.transform(poses.R, poses.t, self.corners[poses.class_index])
        return geometry.project(points, poses.K.unsqueeze(1))

    def suppress_duplicates(self, found: Instances) -> Instances:
        """Non-maximum suppression in 3D; instances are sorted, best first."""
        middle = self.corners[found.class_index].mean(-2).unsqueeze(-1)
        center = (found.R @ middle).squeeze(-1) + found.t
        size = self.diameters[found.class_index]
        return mask_out(found, nms_3d(found.class_index, found.valid, center, size))


def image_size(image: Tensor) -> Tensor:
    """(2,) float px, width and height of (B, H, W, 3) images, made without a host tensor."""
    width = torch.full((1,), float(image.shape[2]), device=image.device)
    height = torch.full((1,), float(image.shape[1]), device=image.device)
    return torch.cat((width, height))
