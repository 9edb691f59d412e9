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
    doubt: Tensor  # (N, 3) log of errors of x y, of z, of the rotation over what the fit says


class FittedPoses(NamedTuple):
    """Poses of N instances after the fit."""

    R: Tensor  # (N, 3, 3)
    t: Tensor  # (N, 3) m
    information: Tensor  # (N, 6, 6) of rotation (rad), x y (diameters) and log depth, ray's frame


class ObservedCells(NamedTuple):
    """Cells of N instances as the fit takes them, in normalised coordinates of the ray's frame."""

    model: Tensor  # (N, 3, P) points of the object about its box's centre, over the diameter
    points: Tensor  # (N, 2, P) where they are seen
    weight: Tensor  # (N, 2, P) inverse variances, such that all together count EVIDENCE
    robust_precision: Tensor  # (N, 2, P) one over the squared distance at which weights halve
    scale: Tensor  # (N, 1, 1) apparent diameter
    none: Tensor  # (N, 1, P) zeros


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
        cells = self._observed_cells(prediction, regions)
        prior = self._prior_information(prediction)
        priors = torch.diag_embed(prior)
        R, information = regions.R, priors
        place = turned = torch.zeros_like(regions.center)
        for k in range(self.steps):
            pull = torch.cat((-turned, prediction.prior - place), 1)  # from the pose to the priors
            gradient, information = self._normal_equations(cells, R, place, priors)
            gradient = gradient + prior * pull
            delta = solve_positive(information, gradient.unsqueeze(-1)).squeeze(-1)
            turn = delta[:, :3]
            turn = turn / (1.0 + geometry.length(turn).unsqueeze(-1))  # less than a radian a step
            R = geometry.exp_so3(turn) @ R
            if k + 1 < self.steps:
                turned = compose_turns(turn, turned)
            place = (place + delta[:, 3:].clamp(-0.5, 0.5)).clamp(-1.0, 1.0)
        ratio = torch.exp(place[:, 2:])
        xy = place[:, :2] * self.diameters[class_index].unsqueeze(1) * ratio
        center = torch.cat((xy, regions.center[:, 2:] * ratio), 1)
        R = regions.R_cam_ray @ R
        t = (regions.R_cam_ray @ center.unsqueeze(-1)).squeeze(-1)
        return FittedPoses(R, t - self._arm(R, class_index), information)

    @torch.jit.export
    def covariance(
        self, fitted: FittedPoses, doubt: Tensor, class_index: Tensor, regions: Regions
    ) -> Tensor:
        """(N, 6, 6) of the object's origin (m) and rotation (rad) about the camera's axes."""
        arm, side = self._arm(fitted.R, class_index), self.diameters[class_index]
        depth = geometry.length(fitted.t + arm)
        unit = torch.stack((side, side, depth), -1)  # m per unit of place
        move, turn = regions.R_cam_ray * unit.unsqueeze(1), regions.R_cam_ray
        # The origin lies an arm before the centre and swings about it.
        top = torch.cat((geometry.skew(arm) @ turn, move), 2)
        bottom = torch.cat((turn, torch.zeros_like(turn)), 2)
        J = torch.cat((top, bottom), 1) * of_unknowns(torch.exp(doubt)).unsqueeze(1)
        return J @ inverse_positive(fitted.information) @ J.transpose(1, 2)

    def _arm(self, R: Tensor, class_index: Tensor) -> Tensor:
        """(N, 3) m from objects' origins to their boxes' centres."""
        return (R @ self.centers[class_index].unsqueeze(-1)).squeeze(-1)

    def _observed_cells(self, prediction: InstancePrediction, regions: Regions) -> ObservedCells:
        """What the steps compare projections with, all that stays the same from step to step."""
        scale = regions.scale[:, None, None]
        visible = torch.sigmoid(prediction.visible) * regions.inside
        gain = self.evidence * torch.exp(prediction.evidence) / float(visible.shape[1])
        precision = torch.exp(-2.0 * prediction.log_sigma.transpose(1, 2)) / scale.square()
        return ObservedCells(
            (prediction.coordinates @ regions.R).transpose(1, 2),
            regions.points.transpose(1, 2),
            precision * (visible * gain[:, None]).unsqueeze(1),
            precision / self.robust**2,
            scale,
            torch.zeros_like(precision[:, :1]),
        )

    def _prior_information(self, prediction: InstancePrediction) -> Tensor:
        """(N, 6) of rotation x y z, place x y z."""
        inverse = torch.exp(-2.0 * prediction.prior_log_sigma)
        place = inverse[:, :2] / self.place_variance
        return of_unknowns(torch.cat((place, inverse[:, 2:] / self.rotation_variance), 1))

    def _normal_equations(
        self, cells: ObservedCells, R: Tensor, place: Tensor, priors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(N, 6) of the cells, and (N, 6, 6) of cells and ``priors``, of a Gauss-Newton step.

        A cell is projected by p = (place_xy * scale + x y, 1 + z) of its arm over the depth.
        """
        arm = R @ cells.model  # (N, 3, P) from the centre, in diameters
        reach = arm * (cells.scale / torch.exp(place[:, 2:]).unsqueeze(-1))  # over the depth
        z = (1.0 + reach[:, 2:]).clamp_min(self.min_relative_depth)
        projected = (place[:, :2].unsqueeze(-1) * cells.scale + reach[:, :2]) / z
        residual = cells.points - projected
        doubt = 1.0 + residual.detach().square() * cells.robust_precision
        rows = torch.cat((_jacobian(reach, projected, z, cells), residual.unsqueeze(2)), 2)
        weighted = rows[:, :, :6] * (cells.weight / doubt).unsqueeze(2)
        normal = (weighted @ rows.transpose(2, 3)).sum(1)  # (N, 6, 7) of both coordinates
        return normal[..., 6], normal[..., :6] + priors


def of_unknowns(values: Tensor) -> Tensor:
    """(N, 3) of x y, of z, of the rotation -> (N, 6) of rotation x y z, place x y z."""
    return torch.cat((values[:, 2:].expand(-1, 3), values[:, :1].expand(-1, 2), values[:, 1:2]), 1)


def compose_turns(second: Tensor, first: Tensor) -> Tensor:
    """(..., 3) rotation vector of ``exp(second) @ exp(first)`` to second order (BCH formula)."""
    return first + second + 0.5 * torch.linalg.cross(second, first)


def _jacobian(reach: Tensor, projected: Tensor, z: Tensor, cells: ObservedCells) -> Tensor:
    """(N, 2, 6, P): how cells' projections x and y move per rotation and per unit of place.

    Per motion over the depth they are (1, 0, -x) / z and (0, 1, -y) / z. A rotation moves a cell
    by its cross product with the arm; the centre over its depth moves by scale per unit of
    place; the arms shrink with the logarithm of the depth.
    """
    over = reach / z
    a, b, c = over[:, :1], over[:, 1:2], over[:, 2:]
    by_x, by_y = projected[:, :1] * over, projected[:, 1:] * over
    shift, none = cells.scale / z, cells.none
    # fmt: off
    rows = torch.cat((
        -by_x[:, 1:2], c + by_x[:, :1], -b, shift, none, by_x[:, 2:] - a,
        -(c + by_y[:, 1:2]), by_y[:, :1], a, none, shift, by_y[:, 2:] - b,
    ), 1)
    # fmt: on
    return rows.unflatten(1, (2, 6))
