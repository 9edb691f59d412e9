"""The refiner's losses, on N crops."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.refinement.crop_network import STRIDE
from cope_ros.core.refinement.flow import Flow
from cope_ros.core.refinement.refiner import CENTER_UNIT, SIZE_UNIT, PoseDelta
from cope_training.tasks.crop_head.loss import surface_error
from cope_training.tasks.loss_terms import huber
from cope_training.tasks.refiner.config import RefinerTraining
from cope_training.tasks.refiner.flow_loss import flow_errors
from cope_training.tasks.refiner.targets import RefinerTargets

BETA = 0.5  # huber's turn, of the centre's way and the size
CORNER_UNIT = 0.1  # of the diameter, huber's turn for corners: quadratic, as a mean is wanted


class RefinerLoss:
    """All losses of one batch of crops."""

    def __init__(self, catalogue: Catalogue, config: RefinerTraining) -> None:
        self.config = config
        corners, diameters = catalogue_corners(catalogue), catalogue_diameters(catalogue)
        corners = corners - corners.mean(1, keepdim=True)
        self.corners, self.diameters = corners / diameters[:, None, None], diameters

    def to(self, *target: Any) -> "RefinerLoss":
        """Moves the objects' constants to a device or to a type, as ``Tensor.to``."""
        self.corners, self.diameters = self.corners.to(*target), self.diameters.to(*target)
        return self

    def __call__(
        self,
        delta: PoseDelta,
        targets: RefinerTargets,
        flow: Flow | None = None,
        fitted: tuple[Tensor, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Weighted losses by name and their sum as ``total``.

        Args:
            delta: of N crops.
            targets: what is true in them.
            flow: of the poses so corrected, about; None without a flow head.
            fitted: (N, 3, 3) and (N, 3) m, the poses that the flow says.
        """
        size = STRIDE * targets.visible.shape[1]
        R_delta, displacement, log_size = true_delta(targets, size)
        R = geometry.rotation_to_ray(geometry.normalize(targets.center_start)).transpose(1, 2)
        corners = self.corners[targets.class_index] @ (R @ targets.R_start).transpose(1, 2)
        gap = corners @ (delta.R - R_delta).transpose(1, 2)
        errors = {
            "rotation": _mean_near(huber(geometry.length(gap) / CORNER_UNIT, 1.0), targets.near),
            "surface": surface_error(
                delta.surface,
                targets.points,
                targets.visible,
                targets.R,
                targets.center,
                self.diameters[targets.class_index],
            ),
            "visible": F.binary_cross_entropy_with_logits(delta.visible, targets.visible),
            "center": huber(delta.center - displacement, BETA).mean(),
            "size": huber(delta.size - log_size, BETA).mean(),
        }
        if flow is not None and fitted is not None:
            errors |= flow_errors(flow, targets, self.diameters[targets.class_index])
            errors["fit"] = self._corner_error(targets, *fitted)
        losses = {name: getattr(self.config, name) * error for name, error in errors.items()}
        losses["total"] = torch.stack(list(losses.values())).sum()
        return losses

    def _corner_error(self, targets: RefinerTargets, R: Tensor, center: Tensor) -> Tensor:
        """Of the box's corners in space."""
        c = targets.class_index
        gap = self.corners[c] @ (R - targets.R).transpose(1, 2)
        gap = gap + ((center - targets.center) / self.diameters[c].unsqueeze(1)).unsqueeze(1)
        return _mean_near(huber(geometry.length(gap) / CORNER_UNIT, 1.0), targets.near)


def _mean_near(error: Tensor, near: Tensor) -> Tensor:
    """Of (N, corners) errors, those of hopeless starts as nought."""
    return (error * near.unsqueeze(1)).mean()


def true_delta(targets: RefinerTargets, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Turn (N, 3, 3), way (N, 2) and log size (N,) as in ``refiner.PoseDelta``.

    Args:
        targets: of N crops.
        size: px, side of the crops.
    """
    start, end = targets.center_start, targets.center
    pixels = geometry.project(torch.stack((start, end), 1), targets.K)
    displacement = (pixels[:, 1] - pixels[:, 0]) / (CENTER_UNIT * size)
    log_size = torch.log(start[:, 2] / end[:, 2].clamp_min(geometry.MIN_DEPTH)) / SIZE_UNIT
    to_start = geometry.rotation_to_ray(geometry.normalize(start))
    to_end = geometry.rotation_to_ray(geometry.normalize(end))
    R_delta = to_end.transpose(1, 2) @ targets.R @ targets.R_start.transpose(1, 2) @ to_start
    return R_delta, displacement, log_size
