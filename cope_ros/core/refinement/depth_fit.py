"""Depth refinement: poses moved to where a depth image measures the objects' surfaces.

First the mode of the depth differences over the visible surface moves the centre along its ray;
then a few steps of projective point-to-plane ICP (see ``depth_residuals``) adjust rotation and
translation, with the RGB estimate as a Gaussian prior, so that what depth does not determine
stays: a cup's rotation about its axis, a flat object in its plane. Where depth is missing or
contradicts the object, the pose stays the image's.

Nothing here is learned; a model file stores sampled points of each surface.

Axes: B images, M instances of each, N = B * M, C classes, P points of a surface.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.gauss_newton import (
    apply_increment,
    center_jacobian,
    increment_covariance,
    inverse_positive,
    origin_jacobian,
    solve_positive,
)
from cope_ros.core.refinement.depth_residuals import (
    SurfaceDepth,
    compare_depth,
    depth_mode,
    normal_equations,
    pad_depth,
    sensor_sigma,
)

POINTS = 512  # of each object's surface, about 200 of which face the camera
FITTED = 256  # points that the steps use, those that seem to be visible first
SEARCH = 3.0  # standard deviations of the RGB estimate's depth that are searched
CUTOFFS = (0.12, 0.08, 0.05, 0.035)  # of the diameter: of the robust weights, step by step
CORRELATED = 8.0  # pixels whose errors are one
VISIBLE = 0.2  # of the squared diameter: the area a surface shows
SIGMA_ROTATION = math.radians(4.0)  # the RGB estimate is never taken to be surer than this
SIGMA_LATERAL = 0.01  # of the diameter
SIGMA_DEPTH = 0.02  # of the depth
MIN_POINTS = 12.0  # confirmed ones; fewer tell nothing
MIN_SHARE = 0.7  # of the surface points that nothing hides
MAX_LATERAL = 5.0  # standard deviations a fit may move across the ray
FIT_ROTATION = math.radians(0.7)  # errors of meshes and calibration, beside the noise of the fit
FIT_LATERAL = 0.004  # of the diameter
FIT_DEPTH = 0.002  # of the depth


class DepthFit(nn.Module):
    """Projective point-to-plane ICP from the RGB estimate, batched, with robust weights.

    Args:
        points: (C, P, 6) m, of each object's surface about its box's centre, and normals.
        corners: (C, 8, 3) m, of each object's box.
        diameters: (C,) m.
    """

    fitted: Final[int] = FITTED
    search: Final[float] = SEARCH
    correlated: Final[float] = CORRELATED
    visible: Final[float] = VISIBLE
    sigma_rotation: Final[float] = SIGMA_ROTATION
    sigma_lateral: Final[float] = SIGMA_LATERAL
    sigma_depth: Final[float] = SIGMA_DEPTH
    min_points: Final[float] = MIN_POINTS
    min_share: Final[float] = MIN_SHARE
    max_lateral: Final[float] = MAX_LATERAL
    fit_rotation: Final[float] = FIT_ROTATION
    fit_lateral: Final[float] = FIT_LATERAL
    fit_depth: Final[float] = FIT_DEPTH
    min_depth: Final[float] = geometry.MIN_DEPTH
    surface: Tensor
    centers: Tensor
    diameters: Tensor

    def __init__(self, points: Tensor, corners: Tensor, diameters: Tensor) -> None:
        super().__init__()
        self.cutoffs = list(CUTOFFS)
        self.register_buffer("surface", points.mT.half().contiguous())
        self.register_buffer("centers", corners.mean(1), persistent=False)
        self.register_buffer("diameters", diameters.clone(), persistent=False)

    def forward(
        self,
        depth: Tensor,
        K: Tensor,
        class_index: Tensor,
        R: Tensor,
        t: Tensor,
        covariance: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Refines M poses of each image.

        Args:
            depth: (B, H, W) float m along the optical axis, 0 where unknown.
            K: (B, 3, 3) px.
            class_index: (B, M).
            R, t: (B, M, 3, 3) and (B, M, 3) m.
            covariance: (B, M, 6, 6), position (m) and rotation (rad) about the camera's axes.

        Returns:
            R, t and covariance alike, and (B, M) the share of the surface that depth confirms,
            zero where depth is unknown or contradicts and the pose is the one given.
        """
        padded = pad_depth(depth)
        K_row = K.unsqueeze(1).expand(-1, t.shape[1], -1, -1).flatten(0, 1)
        classes, R_given = class_index.flatten(), R.flatten(0, 1)
        diameter = self.diameters[classes].unsqueeze(1)
        offset = (R_given @ self.centers[classes].unsqueeze(-1)).squeeze(-1)
        given = offset + t.flatten(0, 1)
        prior = self._prior(covariance.flatten(0, 1), offset, given, diameter)
        surface = self.surface[classes].to(t.dtype)
        center, visible = self._align_depth(padded, K_row, surface, R_given, given, prior, diameter)
        R_fit, center, H = self._align_planes(
            padded, K_row, visible, R_given, given, center, prior, diameter
        )
        share = self._confirmed(
            compare_depth(padded, K_row, surface, R_fit, center), center, diameter
        )
        share = share * self._near(center - given, given, prior)
        offset = (R_fit @ self.centers[classes].unsqueeze(-1)).squeeze(-1)
        J = origin_jacobian(offset)
        fitted = J @ (inverse_positive(H) + self._systematic(center, diameter)) @ J.mT
        t_fit = center - offset
        finite = torch.isfinite(fitted).flatten(1).all(1) & torch.isfinite(t_fit).all(1)
        share = torch.where(finite, share, torch.zeros_like(share)).view_as(t[..., 0])
        used = share > 0
        R = torch.where(used[..., None, None], R_fit.view_as(R), R)
        t = torch.where(used.unsqueeze(-1), t_fit.view_as(t), t)
        covariance = torch.where(used[..., None, None], fitted.view_as(covariance), covariance)
        return R, t, covariance, share

    def _prior(
        self, covariance: Tensor, offset: Tensor, center: Tensor, diameter: Tensor
    ) -> Tensor:
        """(N, 6, 6) covariance of rotation (rad) and the centre (m), never below the floors."""
        J = center_jacobian(offset)
        lateral, deep = self.sigma_lateral * diameter, self.sigma_depth * center[:, 2:]
        return J @ covariance @ J.mT + increment_covariance(
            center, self.sigma_rotation, lateral, deep
        )

    def _align_depth(
        self,
        padded: Tensor,
        K: Tensor,
        surface: Tensor,
        R: Tensor,
        center: Tensor,
        prior: Tensor,
        diameter: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Mode of the depth differences: centres (N, 3) moved along their rays.

        Returns:
            Centres, and (N, 6, FITTED) the points of the surface that seem to be visible there.
        """
        seen = compare_depth(padded, K, surface, R, center)
        ray = center / center[:, 2:].clamp_min(self.min_depth)
        sigma = (ray.unsqueeze(1) @ prior[:, 3:, 3:] @ ray.unsqueeze(2)).squeeze(-1).sqrt()
        reach = self.search * sigma / ray.square().sum(1, keepdim=True)
        shift = depth_mode(seen, reach, self.search)
        off = (seen.gap - shift).abs() / diameter
        value = seen.weight * torch.exp(-off / self.cutoffs[0])
        index = value.topk(min(self.fitted, value.shape[1]), dim=1, sorted=False)[1]
        visible = surface.gather(2, index.unsqueeze(1).expand(-1, 6, -1))
        return center + ray * shift, visible

    def _align_planes(
        self,
        padded: Tensor,
        K: Tensor,
        surface: Tensor,
        R: Tensor,
        given: Tensor,
        center: Tensor,
        prior: Tensor,
        diameter: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Point-to-plane steps from centres (N, 3), with the poses given as prior's mean.

        Returns:
            (N, 3, 3), (N, 3) m and the posterior's information (N, 6, 6).
        """
        information = inverse_positive(prior)
        H = information
        moved = torch.cat((torch.zeros_like(given), center - given), 1).unsqueeze(-1)
        for cutoff in self.cutoffs:
            seen = compare_depth(padded, K, surface, R, center)
            sigma = sensor_sigma(center[:, 2:])
            weight = self._independent(K, center, diameter, surface.shape[2]) / sigma.square()
            limit = torch.maximum(cutoff * diameter, 3.0 * sigma)
            H, gradient = normal_equations(seen, center, limit, weight)
            H = H + information
            gradient = gradient - information @ moved
            x = solve_positive(H, gradient)
            R, center = apply_increment(R, center, x.squeeze(-1))
            moved = moved + x  # rotation vectors add up to first order: enough for a prior
        return R, center, H

    def _independent(self, K: Tensor, center: Tensor, diameter: Tensor, count: int) -> Tensor:
        """(N, 1) independent measurements per point: small objects have more points than pixels."""
        side = K[:, :1, 0] * diameter / center[:, 2:].clamp_min(self.min_depth)
        return (self.visible * side.square() / count).clamp_max(1.0) / self.correlated

    def _confirmed(self, seen: SurfaceDepth, center: Tensor, diameter: Tensor) -> Tensor:
        """(N,) share of the surface that is where it was measured, zero where that is too little.

        What something nearer hides is no evidence; what is seen through is evidence against.
        """
        tolerance = self.cutoffs[-1] * diameter + 3.0 * sensor_sigma(center[:, 2:])
        here = (seen.weight * (seen.gap.abs() <= tolerance).to(seen.gap.dtype)).sum(1)
        behind = (seen.weight * (seen.gap > tolerance).to(seen.gap.dtype)).sum(1)
        share = here / (here + behind).clamp_min(1.0)
        enough = (here >= self.min_points) & (share >= self.min_share)
        return share * enough.to(share.dtype)

    def _near(self, moved: Tensor, given: Tensor, prior: Tensor) -> Tensor:
        """(N,) one where a fit moved (N, 3) m no farther across the ray than is likely."""
        ray = geometry.normalize(given)
        across = moved - ray * (moved * ray).sum(1, keepdim=True)
        length = across.square().sum(1, keepdim=True)
        variance = (across.unsqueeze(1) @ prior[:, 3:, 3:] @ across.unsqueeze(2)).view_as(length)
        near = length.square() <= self.max_lateral**2 * variance
        return near.squeeze(1).to(moved.dtype)

    def _systematic(self, center: Tensor, diameter: Tensor) -> Tensor:
        """(N, 6, 6) covariance that no number of points averages out."""
        lateral, deep = self.fit_lateral * diameter, self.fit_depth * center[:, 2:]
        return increment_covariance(center, self.fit_rotation, lateral, deep)
