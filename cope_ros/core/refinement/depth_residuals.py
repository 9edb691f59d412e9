"""Point-to-plane residuals between sampled surfaces and a depth image (Chen and Medioni 1992).

Correspondences are projective (Blais and Levine 1995): a surface point is compared with what
the depth image holds at its pixel. Arrays of points are (N, 3, P): coordinates first, so that
each coordinate is contiguous.

Axes: B images, N instances (N = B * M, grouped by image), P points of a surface.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core import geometry

NOISE = (0.0015, 0.003)  # m and 1/m: a depth camera's deviation is the first + second * z^2
MIN_COSINE = 0.25  # between normal and ray; depth cameras err where a surface is seen obliquely
BINS = 65  # of the histogram of depth differences
SMOOTHING = 7  # bins that count as one


class SurfaceDepth(NamedTuple):
    """Posed surface points beside what a depth image measures at their pixels."""

    point: Tensor  # (N, 3, P) m, camera's frame
    normal: Tensor  # (N, 3, P)
    ray: Tensor  # (N, 2, P) x and y of the pixel's ray of depth one
    gap: Tensor  # (N, P) m, measured less predicted depth along the optical axis
    weight: Tensor  # (N, P) one where the point faces the camera and depth is known, else zero


def pad_depth(depth: Tensor) -> Tensor:
    """(B, H, W) m -> (B, H + 2, W + 2) with a border of zeros: unknown outside of the image."""
    return F.pad(depth, (1, 1, 1, 1))


def compare_depth(
    padded: Tensor,
    K: Tensor,
    surface: Tensor,
    R: Tensor,
    center: Tensor,
    min_cosine: float = MIN_COSINE,
    min_depth: float = geometry.MIN_DEPTH,
) -> SurfaceDepth:
    """Looks up the measured depth at every point of posed surfaces.

    Args:
        padded: (B, H + 2, W + 2) m, see ``pad_depth``; zero is unknown.
        K: (N, 3, 3) px of the image without its border.
        surface: (N, 6, P) m about the objects' centres, and unit normals.
        R, center: (N, 3, 3) and (N, 3) m.
    """
    batch, height, width = padded.shape
    point = R @ surface[:, :3] + center.unsqueeze(-1)
    normal = R @ surface[:, 3:]
    z = point[:, 2]
    focal = torch.stack((K[:, 0, 0], K[:, 1, 1]), -1).unsqueeze(-1)
    middle = K[:, :2, 2].unsqueeze(-1)
    pixel = torch.round(point[:, :2] / z.clamp_min(min_depth).unsqueeze(1) * focal + middle)
    # Clamped before it becomes an integer, whose range is smaller than that of floats.
    pixel = torch.nan_to_num(pixel)
    x = pixel[:, 0].clamp(-1.0, width - 2.0) + 1.0
    y = pixel[:, 1].clamp(-1.0, height - 2.0) + 1.0
    index = (y.long() * width + x.long()).view(batch, -1)
    measured = padded.flatten(1).gather(1, index).view_as(z)
    faces = -_dot(normal, point) > min_cosine * _dot(point, point).sqrt()
    known = faces & (measured > min_depth) & (z > min_depth)
    return SurfaceDepth(point, normal, (pixel - middle) / focal, measured - z, known.to(z.dtype))


def depth_mode(
    seen: SurfaceDepth, reach: Tensor, sigmas: float, bins: int = BINS, smoothing: int = SMOOTHING
) -> Tensor:
    """(N, 1) m, mode of the depth differences: histogram, then two steps of mean shift.

    Args:
        seen: surface points and what is measured there.
        reach: (N, 1) m, differences beyond do not count.
        sigmas: standard deviations of the prior that ``reach`` stands for. The prior counts with
            half its weight: it decides between surfaces that explain alike.
    """
    step = 2.0 * reach / bins
    index = torch.floor((seen.gap + reach) / step)
    within = (index >= 0) & (index < bins)
    index = torch.where(within, index, torch.zeros_like(index)).long()
    none = torch.full_like(seen.gap[:, :1], 1e-3)  # without any point the prior's mode is left
    counts = none.expand(-1, bins).contiguous()
    counts = counts.scatter_add(1, index, seen.weight * within.to(seen.gap.dtype))
    counts = F.avg_pool1d(counts.unsqueeze(1), smoothing, 1, smoothing // 2).squeeze(1)
    middle = (torch.arange(bins, device=reach.device) + 0.5) * (2.0 / bins) - 1.0
    likely = torch.exp(-0.5 * (0.5 * sigmas * middle).square())
    shift = middle[(counts * likely).argmax(1)].unsqueeze(1) * reach
    width = 0.5 * smoothing * step
    for _ in range(2):
        off = seen.gap - shift
        w = seen.weight * (1.0 - (off / width).square()).clamp_min(0.0)
        shift = shift + (w * off).sum(1, keepdim=True) / (w.sum(1, keepdim=True) + 0.1)
    return shift


def sensor_sigma(depth: Tensor, constant: float = NOISE[0], square: float = NOISE[1]) -> Tensor:
    """Standard deviation (m) of a depth camera at a depth (m), both of one shape."""
    return constant + square * depth.square()


def normal_equations(
    seen: SurfaceDepth, center: Tensor, cutoff: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Gauss-Newton's (N, 6, 6) J^T W J and (N, 6, 1) J^T W r of point-to-plane residuals.

    Increments as in ``gauss_newton``: rotation about the centre, then its displacement.

    Args:
        seen: of the present poses.
        center: (N, 3) m.
        cutoff: (N, 1) m, Tukey's biweight is zero beyond; twice as far along the optical axis.
        weight: (N, 1) inverse variance of a residual.
    """
    point, normal = seen.point, seen.normal
    along = normal[:, 0] * seen.ray[:, 0] + normal[:, 1] * seen.ray[:, 1] + normal[:, 2]
    residual = (seen.gap + point[:, 2]) * along - _dot(normal, point)
    plane = (1.0 - (residual / cutoff).square()).clamp_min(0.0)
    axial = (1.0 - (seen.gap / (2.0 * cutoff)).square()).clamp_min(0.0)
    w = weight * seen.weight * (plane * axial).square()
    about = point - center.unsqueeze(-1)
    J = torch.cat((torch.linalg.cross(about, normal, dim=1), normal), 1)
    weighted = J * w.unsqueeze(1)
    return weighted @ J.mT, weighted @ residual.unsqueeze(-1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """(N, 3, P) twice -> (N, P); a sum over three slices, which is faster than over an axis."""
    return a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2]
