"""The pose that predicted object coordinates and a prior agree on: weighted Gauss-Newton.

EPro-PnP (Chen et al. 2022) has coordinates with weights that are learned through the fit; ours
are sigmas learned from the likelihood of reprojections and from the pose, so that the information
matrix gives a covariance. Six unknowns: the rotation (left increment in the frame of the ray) and
the place of the box's centre (across the ray in diameters, along it the logarithm of the depth).

Axes: N instances, P cells of each.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.gauss_newton import inverse_positive, solve_positive
from cope_ros.core.refinement.instance_regions import Regions

STEPS = 3
EVIDENCE = 30.0  # independent cells that all cells of a region count as
ROBUST = 3.0  # sigmas of a cell beyond which its weight falls (Cauchy)
PLACE_UNIT = 0.05  # diameters across the ray and logarithms of depth, per unit of the prior
ROTATION_SIGMA = 0.3  # rad, of the prior of rotation at log sigma zero
MIN_RELATIVE_DEPTH = 0.3  # of an object's depth: no point of it may come nearer


class InstancePrediction(NamedTuple):
    """What an instance head predicts of N instances."""

    coordinates: Tensor  # (N, P, 3) object coordinates over the diameter, in the ray's frame
    log_sigma: Tensor  # (N, P, 2) of a cell's reprojection, in apparent diameters
    visible: Tensor  # (N, P) logit: the object is what the cell shows
    prior: Tensor  # (N, 3) x y in apparent diameters, logarithm of depth: from the pose so far
    prior_log_sigma: Tensor  # (N, 3) of x y, of z, of the rotation, each in its unit
    evidence: Tensor  # (N,) logarithm of what the cells together count, over EVIDENCE
    quality: Tensor  # (N,) logit: the refined pose is right (ADD(-S) below a tenth)


class FittedPoses(NamedTuple):
    """Poses of N instances after the fit."""

    R: Tensor  # (N, 3, 3)
    t: Tensor  # (N, 3) m
    information: Tensor  # (N, 6, 6) of rotation (rad), x y (diameters) and log depth, ray's frame


class CoordinateFit(nn.Module):
    """The fit, for a fixed number of steps.

    Args:
        corners: (C, 8, 3) m, of each object's box.
        diameters: (C,) m.
    """

    steps: Final[int] = STEPS
    evidence: Final[float] = EVIDENCE
    robust: Final[float] = ROBUST
    place_variance: Final[float] = PLACE_UNIT**2
    rotation_variance: Final[float] = ROTATION_SIGMA**2
    min_relative_depth: Final[float] = MIN_RELATIVE_DEPTH
    centers: Tensor
    diameters: Tensor

    def __init__(self, corners: Tensor, diameters: Tensor) -> None:
        super().__init__()
        self.register_buffer("centers", corners.mean(1), persistent=False)
        self.register_buffer("diameters", diameters.clone(), persistent=False)

    def forward(
        self, prediction: InstancePrediction, class_index: Tensor, regions: Regions
    ) -> FittedPoses:
        """Poses of N instances, begun at the regions' poses."""
        model = prediction.coordinates @ regions.R  # (N, P, 3) object frame, diameters
        weight = self._cell_weights(prediction, regions)
        prior = self._prior_information(prediction)
        R, place = regions.R, torch.zeros_like(regions.center)
        information = torch.zeros_like(R)
        for _ in range(self.steps):
            R, place, information = self._step(prediction, regions, model, weight, prior, R, place)
        ratio = torch.exp(place[:, 2:])
        xy = place[:, :2] * self.diameters[class_index].unsqueeze(1) * ratio
        center = torch.cat((xy, regions.center[:, 2:] * ratio), 1)
        R = regions.R_cam_ray @ R
        t = (regions.R_cam_ray @ center.unsqueeze(-1)).squeeze(-1)
        return FittedPoses(R, t - self._arm(R, class_index), information)

    @torch.jit.export
    def covariance(self, fitted: FittedPoses, class_index: Tensor, regions: Regions) -> Tensor:
        """(N, 6, 6) of the object's origin (m) and rotation (rad) about the camera's axes."""
        arm, side = self._arm(fitted.R, class_index), self.diameters[class_index]
        depth = geometry.length(fitted.t + arm)
        unit = torch.stack((side, side, depth), -1)  # m per unit of place
        move, turn = regions.R_cam_ray * unit.unsqueeze(1), regions.R_cam_ray
        # The origin lies an arm before the centre and swings about it.
        top = torch.cat((geometry.skew(arm) @ turn, move), 2)
        bottom = torch.cat((turn, torch.zeros_like(turn)), 2)
        J = torch.cat((top, bottom), 1)
        return J @ inverse_positive(fitted.information) @ J.transpose(1, 2)

    def _arm(self, R: Tensor, class_index: Tensor) -> Tensor:
        """(N, 3) m from objects' origins to their boxes' centres."""
        return (R @ self.centers[class_index].unsqueeze(-1)).squeeze(-1)

    def _cell_weights(self, prediction: InstancePrediction, regions: Regions) -> Tensor:
        """(N, P, 2) inverse variances of cells, such that all together count EVIDENCE."""
        visible = torch.sigmoid(prediction.visible) * regions.inside
        share = visible / float(visible.shape[1])
        gain = self.evidence * torch.exp(prediction.evidence)
        return torch.exp(-2.0 * prediction.log_sigma) * (share * gain[:, None]).unsqueeze(-1)

    def _prior_information(self, prediction: InstancePrediction) -> Tensor:
        """(N, 6) of rotation x y z, place x y z."""
        inverse = torch.exp(-2.0 * prediction.prior_log_sigma)
        place = inverse[:, :2] / self.place_variance
        rotation = inverse[:, 2:] / self.rotation_variance
        return torch.cat((rotation.expand(-1, 3), place[:, :1].expand(-1, 2), place[:, 1:]), 1)

    def _step(
        self,
        prediction: InstancePrediction,
        regions: Regions,
        model: Tensor,
        weight: Tensor,
        prior: Tensor,
        R: Tensor,
        place: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotation, place and the information (N, 6, 6) they rest on, after one step.

        All lengths are in units of the object's diameter; in these the depth is 1 / scale.
        """
        arm = model @ R.transpose(1, 2)  # (N, P, 3) from the centre
        scale = regions.scale[:, None]
        # Over the depth: p = (x y + arm * scale / ratio, 1 + arm_z * scale / ratio).
        reach = arm * (scale / torch.exp(place[:, 2:])).unsqueeze(-1)
        z = (1.0 + reach[..., 2]).clamp_min(self.min_relative_depth)
        x = (place[:, :1] * scale + reach[..., 0]) / z
        y = (place[:, 1:2] * scale + reach[..., 1]) / z
        residual = torch.stack((regions.points[..., 0] - x, regions.points[..., 1] - y), -1)
        residual = residual / scale.unsqueeze(-1)
        sigma = torch.exp(prediction.log_sigma)
        robust = 1.0 / (1.0 + (residual.detach() / (self.robust * sigma)).square())
        J = _jacobian(reach, x, y, z, scale)
        back = geometry.log_so3(regions.R @ R.transpose(1, 2))
        pull = torch.cat((back, prediction.prior - place), 1)  # from the pose to the priors
        return _solve_step(J, residual, weight * robust, prior, pull, R, place)


def _jacobian(reach: Tensor, x: Tensor, y: Tensor, z: Tensor, scale: Tensor) -> Tensor:
    """(N, P, 2, 6): how cells' projections over ``scale`` move per rotation and place."""
    inverse = 1.0 / z
    zero = torch.zeros_like(z)
    unit = 1.0 / scale
    J_u = torch.stack((inverse, zero, -x * inverse), -1)  # per motion over the depth
    J_v = torch.stack((zero, inverse, -y * inverse), -1)
    rotation_u = torch.linalg.cross(reach, J_u)
    rotation_v = torch.linalg.cross(reach, J_v)
    # The centre over its depth moves by scale per unit of place; the arms shrink with log depth.
    depth_u = -(J_u * reach).sum(-1)
    depth_v = -(J_v * reach).sum(-1)
    one_u = torch.stack((inverse, zero, depth_u * unit), -1)
    one_v = torch.stack((zero, inverse, depth_v * unit), -1)
    J_u6 = torch.cat((rotation_u * unit.unsqueeze(-1), one_u), -1)
    J_v6 = torch.cat((rotation_v * unit.unsqueeze(-1), one_v), -1)
    return torch.stack((J_u6, J_v6), 2)


def _solve_step(
    J: Tensor,
    residual: Tensor,
    weight: Tensor,
    prior: Tensor,
    pull: Tensor,
    R: Tensor,
    place: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The pose after a Gauss-Newton step, and the information (N, 6, 6) it rests on."""
    rows = J.flatten(1, 2)
    weighted = rows * weight.flatten(1, 2).unsqueeze(-1)
    H = weighted.transpose(1, 2) @ rows + torch.diag_embed(prior)
    g = (weighted.transpose(1, 2) @ residual.flatten(1, 2).unsqueeze(-1)).squeeze(-1)
    delta = solve_positive(H, (g + prior * pull).unsqueeze(-1)).squeeze(-1)
    turn, move = delta[:, :3], delta[:, 3:]
    turn = turn / (1.0 + geometry.length(turn).unsqueeze(-1))  # no step turns by over a radian
    return geometry.exp_so3(turn) @ R, (place + move.clamp(-0.5, 0.5)).clamp(-1.0, 1.0), H
