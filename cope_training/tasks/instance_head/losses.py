"""The instance head's losses, on N instances with P cells each; all are without unit."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core import geometry
from cope_ros.core.gauss_newton import inverse_positive, solve_positive
from cope_ros.core.refinement.coordinate_fit import (
    PLACE_UNIT,
    ROTATION_SIGMA,
    FittedPoses,
    InstancePrediction,
)
from cope_ros.core.refinement.instance_head import InstanceHead
from cope_ros.core.refinement.instance_regions import Regions
from cope_training.data.frame_batch import DEPTH_UNIT, FrameBatch
from cope_training.tasks.instance_head.config import InstanceHeadLossConfig

RIGHT = 0.1  # of the diameter: mean corner distance of a right pose
POINT_SCALE = 0.05  # of the diameter, at which the pose's loss turns from linear to logarithmic
FEWEST_CELLS = 3  # that an instance has to be seen in to be learned from
# Unknowns of the fit that share a doubt, in the order of ``InstancePrediction.doubt``.
DOUBT_BLOCKS = (slice(3, 5), slice(5, 6), slice(0, 3))
FREEDOM = 4.0  # of the Student-t distribution that errors follow


class CellTruth(NamedTuple):
    """What cells of N instances show."""

    visible: Tensor  # (N, P) bool: the instance is seen there
    known: Tensor  # (N, P) bool: and its depth is known
    z: Tensor  # (N, P) m


class Truth(NamedTuple):
    """True poses of N instances, symmetric ones nearest to where regions were laid."""

    image: Tensor  # (N,) int64
    row: Tensor  # (N,) int64, of the instance in its image
    class_index: Tensor  # (N,)
    counts: Tensor  # (N,) bool: instances to be learned from
    absent: Tensor  # (N,) bool: there is no such object, visible nowhere and never right
    R: Tensor  # (N, 3, 3)
    t: Tensor  # (N, 3) m
    K: Tensor  # (N, 3, 3) px


class PosesInRay(NamedTuple):
    """Poses of N instances in the frames of their regions' rays."""

    R: Tensor  # (N, 3, 3)
    center: Tensor  # (N, 3) m, of the boxes


def cells_of(batch: FrameBatch, truth: Truth, regions: Regions) -> CellTruth:
    """Looks up what the cells of regions show."""
    height, width = batch.image.shape[1:3]
    x = regions.pixels[..., 0].round().long().clamp(0, width - 1)
    y = regions.pixels[..., 1].round().long().clamp(0, height - 1)
    image = truth.image.unsqueeze(1)
    own = batch.instance[image, y, x].long() == truth.row.unsqueeze(1) + 1
    visible = own & (regions.inside > 0)
    stored = batch.depth[image, y, x]
    return CellTruth(visible, visible & (stored > 0), stored.float() * DEPTH_UNIT)


class InstanceHeadLoss:
    """Losses of one round.

    Args:
        head: whose constants it shares.
        corners: (C, 8, 3) m.
        config: weights.
    """

    def __init__(self, head: InstanceHead, corners: Tensor, config: InstanceHeadLossConfig) -> None:
        self.head, self.corners, self.config = head, corners, config

    def to(self, device: torch.device) -> "InstanceHeadLoss":
        """Moves the constants."""
        self.corners = self.corners.to(device)
        return self

    def __call__(
        self,
        prediction: InstancePrediction,
        fitted: FittedPoses,
        regions: Regions,
        truth: Truth,
        cells: CellTruth,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Weighted losses by name, and (N,) mean corner distance over the diameter."""
        config, diameter = self.config, self.head.regions.diameters[truth.class_index]
        counts = (truth.counts & (cells.visible.sum(1) >= FEWEST_CELLS)).float()
        judged = torch.maximum(counts, truth.absent.float())
        total, judgements = counts.sum().clamp_min(1.0), judged.sum().clamp_min(1.0)
        known = cells.known.float() * counts.unsqueeze(1)
        own = self._own_coordinates(regions, truth, cells, diameter)
        difference = prediction.coordinates - own
        error = F.smooth_l1_loss(
            difference, torch.zeros_like(difference), beta=0.01, reduction="none"
        )
        seen = known.sum(1).clamp_min(1.0)
        coordinates = ((error.sum(-1) * known).sum(1) / seen).sum() / total
        losses = {"coordinates": config.coordinates * 10.0 * coordinates}
        true = self._in_ray(regions, truth.class_index, truth.R, truth.t)
        likelihood = self._likelihood(prediction, regions, true, diameter)
        likelihood = (likelihood * known).sum(1) / seen
        losses["likelihood"] = config.likelihood * likelihood.sum() / total
        visible = F.binary_cross_entropy_with_logits(
            prediction.visible, cells.visible.float(), reduction="none"
        ).mean(1)
        losses["visible"] = config.visible * (visible * judged).sum() / judgements
        losses["prior"] = (
            config.prior * (self._prior(prediction, regions, true) * counts).sum() / total
        )
        distance = self._distance(fitted, truth, diameter)
        pose = POINT_SCALE * torch.log1p(distance / POINT_SCALE)
        losses["pose"] = config.pose * 10.0 * (pose * counts).sum() / total
        if self.head.doubt is not None:
            doubt = self._doubt(prediction, fitted, regions, truth.class_index, true)
            losses["doubt"] = config.doubt * (doubt * counts).sum() / total
        right = ((distance.detach() < RIGHT) & ~truth.absent).float()
        quality = F.binary_cross_entropy_with_logits(prediction.quality, right, reduction="none")
        losses["quality"] = config.quality * (quality * judged).sum() / judgements
        return losses, torch.where(counts > 0, distance.detach(), -1.0)

    def _own_coordinates(
        self, regions: Regions, truth: Truth, cells: CellTruth, diameter: Tensor
    ) -> Tensor:
        """(N, P, 3) true object coordinates over the diameter, turned as the prediction's."""
        rays = geometry.unproject(regions.pixels, truth.K)
        rays = torch.cat((rays, torch.ones_like(rays[..., :1])), -1)
        p_obj = (rays * cells.z.unsqueeze(-1) - truth.t.unsqueeze(1)) @ truth.R
        p_obj = p_obj - self.head.regions.centers[truth.class_index].unsqueeze(1)
        p_obj = (p_obj / diameter[:, None, None]).clamp(-1.0, 1.0)
        return p_obj @ regions.R.transpose(1, 2)

    def _likelihood(
        self, prediction: InstancePrediction, regions: Regions, true: PosesInRay, diameter: Tensor
    ) -> Tensor:
        """(N, P) Laplace's negative log-likelihood of reprojections under the true poses."""
        model = prediction.coordinates @ regions.R * diameter[:, None, None]
        p = model @ true.R.transpose(1, 2) + true.center.unsqueeze(1)
        z = torch.maximum(p[..., 2:], 0.3 * true.center[:, None, 2:])
        residual = (p[..., :2] / z - regions.points) / regions.scale[:, None, None]
        return (residual.abs() * torch.exp(-prediction.log_sigma) + prediction.log_sigma).sum(-1)

    def _in_ray(self, regions: Regions, class_index: Tensor, R: Tensor, t: Tensor) -> PosesInRay:
        """Poses R (N, 3, 3) and t (N, 3) m of the camera's frame, in the regions' frames."""
        center = t + (R @ self.head.regions.centers[class_index].unsqueeze(-1)).squeeze(-1)
        to_ray = regions.R_cam_ray.transpose(1, 2)
        return PosesInRay(to_ray @ R, (to_ray @ center.unsqueeze(-1)).squeeze(-1))

    def _prior(self, prediction: InstancePrediction, regions: Regions, true: PosesInRay) -> Tensor:
        """(N,) negative log-likelihood of place, depth and rotation under the priors."""
        R, center = true
        xy = center[:, :2] / (center[:, 2:] * regions.scale.unsqueeze(1))
        depth = torch.log(center[:, 2:].clamp_min(geometry.MIN_DEPTH) / regions.center[:, 2:])
        error = (torch.cat((xy, depth), 1) - prediction.prior).clamp(-0.5, 0.5) / PLACE_UNIT
        s = prediction.prior_log_sigma
        sigma = torch.stack((s[:, 0], s[:, 0], s[:, 1]), 1)
        place = (error.abs() * torch.exp(-sigma) + sigma).sum(1)
        angle = geometry.rotation_angle(R, regions.R) / ROTATION_SIGMA
        return place + angle * torch.exp(-s[:, 2]) + s[:, 2]

    def _doubt(
        self,
        prediction: InstancePrediction,
        fitted: FittedPoses,
        regions: Regions,
        class_index: Tensor,
        true: PosesInRay,
    ) -> Tensor:
        """(N,) negative log-likelihood of the fit's errors; the fit is taken as it is."""
        with torch.no_grad():
            error = self._error(fitted, regions, class_index, true)
            covariance = inverse_positive(fitted.information)
        cost = torch.zeros_like(error[:, 0])
        for log_factor, block in zip(prediction.doubt.T, DOUBT_BLOCKS, strict=True):
            own, k = error[:, block].unsqueeze(-1), error[:, block].shape[1]
            square = (own * solve_positive(covariance[:, block, block], own)).sum((1, 2))
            beyond = torch.log1p(square * torch.exp(-2.0 * log_factor) / FREEDOM)
            cost = cost + k * log_factor + 0.5 * (FREEDOM + k) * beyond
        return cost

    def _error(
        self, fitted: FittedPoses, regions: Regions, class_index: Tensor, true: PosesInRay
    ) -> Tensor:
        """(N, 6) what is missing to the true poses, in the fit's unknowns."""
        found = self._in_ray(regions, class_index, fitted.R, fitted.t)
        side = self.head.regions.diameters[class_index].unsqueeze(1)
        across = (true.center - found.center)[:, :2] / side
        depth = true.center[:, 2:].clamp_min(geometry.MIN_DEPTH)
        along = torch.log(depth / found.center[:, 2:])
        return torch.cat((geometry.log_so3(true.R @ found.R.mT), across, along), 1)

    def _distance(self, fitted: FittedPoses, truth: Truth, diameter: Tensor) -> Tensor:
        """(N,) mean distance of the boxes' corners over the diameter."""
        corners = self.corners[truth.class_index]
        points = geometry.transform(fitted.R, fitted.t, corners)
        points_gt = geometry.transform(truth.R, truth.t, corners)
        return geometry.length(points - points_gt).mean(-1) / diameter
