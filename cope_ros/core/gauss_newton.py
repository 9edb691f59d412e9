"""Weighted Gauss-Newton on poses: normal equations of six unknowns, batched, in closed form.

A library's solver asks the device whether the matrix was singular, or launches a dozen kernels
to factorize matrices of six rows. Here as many operations run for one pose as for a thousand,
nothing waits, and what the observations do not determine stays as it is.

Axes: N poses, P residuals of each, n unknowns (six for a pose), m right-hand sides. An increment
is a rotation vector (rad) about the object's centre, applied on the left, then the centre's
displacement (m), both in the camera's frame.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core import geometry

# Share of a diagonal entry that elimination has to leave of it; less is rounding error of float32.
MIN_PIVOT = 1e-6
TINY = 1e-30  # a diagonal entry that is none


def solve_positive(
    A: Tensor, B: Tensor, min_pivot: float = MIN_PIVOT, tiny: float = TINY
) -> Tensor:
    """Solves A X = B for symmetric positive matrices by Gauss-Jordan elimination.

    Needs no pivoting for such matrices. Unknowns that are linearly dependent on earlier ones, up
    to ``min_pivot``, are set to zero: singular matrices give finite results.

    Args:
        A: (N, n, n) symmetric, positive semi-definite.
        B: (N, n, m).

    Returns:
        (N, n, m)
    """
    n = A.shape[-1]
    scale = A.diagonal(dim1=-2, dim2=-1).clamp(tiny, 1.0 / tiny).rsqrt().unsqueeze(-1)
    eye = torch.eye(n, dtype=A.dtype, device=A.device)
    M = torch.cat((A * scale.transpose(1, 2), B), -1) * scale  # ones on the diagonal
    pivots = torch.jit.annotate(list[Tensor], [])
    for k in range(n):
        pivot = F.threshold(M[:, k : k + 1, k : k + 1], min_pivot, float("inf"))
        row = M[:, k : k + 1] / pivot
        # Takes the row off the others and, as its own entry is one less, puts it in its place.
        M = torch.baddbmm(M, M[:, :, k : k + 1] - eye[:, k : k + 1], row, alpha=-1.0)
        pivots.append(pivot)
    kept = torch.cat(pivots, 1) < float("inf")
    return torch.where(kept, M[:, :, n:] * scale, torch.zeros_like(scale))


def inverse_positive(A: Tensor) -> Tensor:
    """(N, n, n) symmetric positive matrices -> their inverses, see ``solve_positive``."""
    return solve_positive(A, torch.eye(A.shape[-1], dtype=A.dtype, device=A.device).expand_as(A))


def increment(
    J: Tensor, residual: Tensor, weight: Tensor, prior: Tensor, prior_residual: Tensor
) -> Tensor:
    """One step of weighted least squares: (J^T W J + P) x = J^T W r + P r0.

    Args:
        J: (N, P, n) derivatives of what is predicted.
        residual: (N, P) observed less predicted.
        weight: (N, P) >= 0, inverse variances.
        prior: (N, n, n) inverse covariance of the prior; zeros for none.
        prior_residual: (N, n) from the present estimate to the prior's mean.

    Returns:
        (N, n) x.
    """
    weighted = (J * weight.unsqueeze(-1)).transpose(1, 2)
    information = torch.baddbmm(prior, weighted, J)
    gradient = weighted @ residual.unsqueeze(-1) + prior @ prior_residual.unsqueeze(-1)
    return solve_positive(information, gradient).squeeze(-1)


def apply_increment(R: Tensor, center: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Poses (N, 3, 3) and (N, 3) m of the objects' centres, moved by increments (N, 6)."""
    return geometry.exp_so3(x[:, :3]) @ R, center + x[:, 3:]


def increment_covariance(center: Tensor, rotation: float, lateral: Tensor, depth: Tensor) -> Tensor:
    """(N, 6, 6) covariance of increments from standard deviations.

    Args:
        center: (N, 3) m.
        rotation: rad, about each axis.
        lateral, depth: (N, 1) m, across the ray to the centre and along it.
    """
    eye = torch.eye(3, dtype=center.dtype, device=center.device).expand(len(center), 3, 3)
    ray = geometry.normalize(center)
    along = ray.unsqueeze(-1) * ray.unsqueeze(-2)
    across, deep = lateral.square().unsqueeze(-1), depth.square().unsqueeze(-1)
    none = torch.zeros_like(eye)
    top = torch.cat((eye * rotation**2, none), 2)
    return torch.cat((top, torch.cat((none, across * (eye - along) + deep * along), 2)), 1)


def center_jacobian(offset: Tensor) -> Tensor:
    """(N, 6, 6) from a pose's (translation, rotation), as in messages, to an increment.

    Args:
        offset: (N, 3) m, from the mesh's origin to the object's centre, camera's frame.
    """
    eye = torch.eye(3, dtype=offset.dtype, device=offset.device).expand(len(offset), 3, 3)
    none = torch.zeros_like(eye)
    top = torch.cat((none, eye), 2)
    return torch.cat((top, torch.cat((eye, -geometry.skew(offset)), 2)), 1)


def origin_jacobian(offset: Tensor) -> Tensor:
    """(N, 6, 6) the inverse of ``center_jacobian``."""
    eye = torch.eye(3, dtype=offset.dtype, device=offset.device).expand(len(offset), 3, 3)
    none = torch.zeros_like(eye)
    top = torch.cat((geometry.skew(offset), eye), 2)
    return torch.cat((top, torch.cat((eye, none), 2)), 1)
