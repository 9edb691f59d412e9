"""The crop head's losses.

N crops, S symmetric hypotheses, A anchors, C classes. The hypothesis that rotation and choice
together find cheapest holds for all losses of a crop.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.refinement.crop_head import (
    CENTER_UNIT,
    SIZE_UNIT,
    InstancePrediction,
    anchor_rotations,
)
from cope_ros.core.refinement.crop_network import CROP_SCALE, STRIDE, SURFACE_UNIT
from cope_training.tasks.crop_head.config import CropHeadTraining
from cope_training.tasks.crop_head.targets import CropHeadTargets
from cope_training.tasks.loss_terms import huber

BETA = 0.1  # huber's turn
NEAR = 1.25  # rad: anchors that near to the truth learn the way to it; a cube's lie 1.1 apart
SOFTNESS = 0.15  # rad: the choice is shared where two anchors are about equally near


class _Truth(NamedTuple):
    """Where the pose head of a crop should point to, for each hypothesis."""

    R: Tensor  # (N, S, 3, 3) relative to the ray to the box's centre
    center: Tensor  # (N, S, 2) as in ``InstancePrediction``
    size: Tensor  # (N, S)


class CropHeadLoss:
    """All losses of one batch of crops."""

    def __init__(self, catalogue: Catalogue, config: CropHeadTraining) -> None:
        self.config = config
        self.corners = catalogue_corners(catalogue)
        self.diameters = catalogue_diameters(catalogue)
        self.anchors = anchor_rotations()

    def to(self, *target: Any) -> "CropHeadLoss":
        """Moves the objects' constants to a device or to a type, as ``Tensor.to``."""
        self.corners, self.diameters = self.corners.to(*target), self.diameters.to(*target)
        self.anchors = self.anchors.to(*target)
        return self

    def __call__(
        self, prediction: InstancePrediction, targets: CropHeadTargets
    ) -> dict[str, Tensor]:
        """Weighted losses by name and their sum as ``total``."""
        config, size = self.config, STRIDE * prediction.visible.shape[1]
        truth = self._truth(targets, size)
        rotation, choice = self._rotations(prediction, truth.R, targets.class_index)
        cost = config.rotation * rotation + config.choice * choice
        pick = cost.detach().argmin(1)
        rows = torch.arange(len(pick), device=pick.device)
        center = prediction.center - truth.center[rows, pick]
        c, R = targets.class_index, targets.R[rows, pick]
        middle = (R @ self.corners[c].mean(1).unsqueeze(-1)).squeeze(-1) + targets.t[rows, pick]
        diameter = self.diameters[c]
        errors = {
            "rotation": rotation[rows, pick].mean(),
            "choice": choice[rows, pick].mean(),
            "surface": surface_error(
                prediction.surface, targets.points, targets.visible, R, middle, diameter
            ),
            "visible": F.binary_cross_entropy_with_logits(prediction.visible, targets.visible),
            "center": huber(center, BETA).mean(),
            "size": huber(prediction.size - truth.size[rows, pick], BETA).mean(),
        }
        losses = {name: getattr(config, name) * error for name, error in errors.items()}
        losses["total"] = torch.stack(list(losses.values())).sum()
        return losses

    def _truth(self, targets: CropHeadTargets, size: int) -> _Truth:
        c, focal = targets.class_index, targets.K[:, 0, 0].unsqueeze(1)
        middle = self.corners[c].mean(1)[:, None, :, None]
        p = (targets.R @ middle).squeeze(-1) + targets.t
        depth = p[..., 2].clamp_min(geometry.MIN_DEPTH)
        pixel = geometry.project(p, targets.K)
        center = (pixel - targets.K[:, None, :2, 2]) / (CENTER_UNIT * size)
        apparent = focal * self.diameters[c].unsqueeze(1) / depth
        log_size = torch.log(apparent * (CROP_SCALE / size)) / SIZE_UNIT
        R_ray = geometry.rotation_to_ray(geometry.normalize(p))
        return _Truth(R_ray.transpose(-1, -2) @ targets.R, center, log_size)

    def _rotations(
        self, prediction: InstancePrediction, R_gt: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(N, S) distance of the box's corners over the diameter, and cross-entropy."""
        corners = self.corners[class_index]
        corners = corners - corners.mean(1, keepdim=True)
        corners = (corners / self.diameters[class_index][:, None, None]).unsqueeze(1)
        expected = (corners @ R_gt.transpose(-1, -2)).unsqueeze(2)
        got = (corners @ prediction.R.transpose(-1, -2)).unsqueeze(1)
        distance = geometry.length(expected - got).mean(-1)  # (N, S, A)
        angle = geometry.rotation_angle(R_gt.unsqueeze(2), self.anchors)
        near = (angle < NEAR).to(distance.dtype)
        rotation = (distance * near).sum(-1) / near.sum(-1)
        wanted = torch.softmax(-angle / SOFTNESS, -1)
        choice = -(wanted * torch.log_softmax(prediction.choice, -1).unsqueeze(1)).sum(-1)
        return rotation, choice


def surface_error(
    surface: Tensor, points: Tensor, visible: Tensor, R: Tensor, center: Tensor, diameter: Tensor
) -> Tensor:
    """Mean error of object coordinates where the object is seen.

    Args:
        surface: (N, h, w, 3) as in ``InstancePrediction``.
        points: (N, h, w, 3) m in the crop's frame, what is seen.
        visible: (N, h, w), 1 where it is the object.
        R, center: (N, 3, 3) and (N, 3) m, pose of the box's centre.
        diameter: (N,) m.
    """
    p_obj = (points - center[:, None, None]).flatten(1, 2) @ R  # rows times R: R^T p
    wanted = p_obj.view_as(points) / (SURFACE_UNIT * diameter)[:, None, None, None]
    error = huber(surface - wanted, BETA).mean(-1) * visible
    return error.sum() / visible.sum().clamp_min(1.0)
