"""Rotations, projection and symmetric alignment on batches; everything scripts.

Conventions: rotation matrices act on column vectors, ``p_cam = R @ p_obj + t``; rotation
vectors are axis times angle in radians; leading axes (...) broadcast. Lengths in metres,
image coordinates in pixels, focal lengths in pixels. Depths are kept above ``MIN_DEPTH``.

TorchScript cannot read a module's constants, so they enter functions as default arguments.
"""

import torch
from torch import Tensor

MIN_DEPTH = 1e-3  # m; nothing in front of a camera is nearer, and 1/z stays finite
EPS = 1e-8


def length(v: Tensor, eps: float = EPS) -> Tensor:
    """(..., D) -> (...) Euclidean length, with a finite gradient at zero."""
    return (v.square().sum(-1) + eps * eps).sqrt()


def normalize(v: Tensor, eps: float = EPS) -> Tensor:
    """(..., D) -> (..., D) of length one; a zero vector stays (nearly) zero."""
    return v / length(v, eps).unsqueeze(-1)


def rotation_from_columns(six: Tensor, orthogonalize: bool = True) -> Tensor:
    """Rotation from its first two columns (paper, section 3.2.4; Zhou et al. 2019).

    Args:
        six: (..., 6) first column, second column, any length.
        orthogonalize: Gram-Schmidt, so that the result is a rotation. Without it the two
            columns are only normalised, as the published code does.

    Returns:
        (..., 3, 3)
    """
    x = normalize(six[..., 0:3])
    y = six[..., 3:6]
    if orthogonalize:
        y = y - (x * y).sum(-1, keepdim=True) * x
    y = normalize(y)
    z = torch.linalg.cross(x, y)
    return torch.stack((x, y, z), -1)


def inverse3(A: Tensor) -> Tensor:
    """(..., 3, 3) inverse by cross products: no library call, no synchronisation."""
    return _inverse_transposed(A).transpose(-1, -2)


def _inverse_transposed(A: Tensor) -> Tensor:
    """(..., 3, 3) cross products of the other two rows, over the determinant."""
    second = torch.cat((A[..., 1:, :], A[..., :1, :]), -2)
    third = torch.cat((A[..., 2:, :], A[..., :2, :]), -2)
    cofactors = torch.linalg.cross(second, third)
    det = (A[..., :1, :] * cofactors[..., :1, :]).sum(-1, keepdim=True)
    return cofactors / torch.where(det.abs() < 1e-20, torch.full_like(det, 1e-20), det)


def determinant3(A: Tensor) -> Tensor:
    """(..., 3, 3) -> (...)"""
    return (A[..., 0, :] * torch.linalg.cross(A[..., 1, :], A[..., 2, :])).sum(-1)


def nearest_rotation(A: Tensor, iterations: int = 8) -> Tensor:
    """Rotation nearest to A (..., 3, 3) in the Frobenius norm, for det A > 0.

    Newton's iteration for the polar decomposition (Higham 1986), which converges
    quadratically; the matrix is scaled to determinant one first. Its result is the chordal
    mean of rotations when A is their weighted sum.
    """
    det = determinant3(A).clamp_min(1e-12)
    X = A / det.pow(1.0 / 3.0)[..., None, None]
    for _ in range(iterations):
        X = 0.5 * (X + _inverse_transposed(X))
    return X


def exp_so3(w: Tensor) -> Tensor:
    """Rodrigues: rotation vector (..., 3) -> rotation matrix (..., 3, 3)."""
    # What is added is nothing beside any angle, and no division by zero, nor its gradient, is left.
    angle = (w.square().sum(-1, keepdim=True) + 1e-30).sqrt()
    half = 0.5 * angle
    eye = torch.eye(3, dtype=w.dtype, device=w.device)
    U = _crossed(eye, w * (torch.sin(half) / angle))  # of the axis, times the sine of the half
    return torch.add(eye, torch.cos(half).unsqueeze(-1) * U + U @ U, alpha=2.0)


def log_so3(R: Tensor) -> Tensor:
    """Rotation matrix (..., 3, 3) -> rotation vector (..., 3), exact below pi."""
    antisymmetric = antisymmetric_part(R)
    sine = 0.5 * antisymmetric.square().sum(-1).clamp_min(1e-14).sqrt()
    cosine = 0.5 * (trace3(R) - 1.0)
    angle = torch.atan2(sine, cosine)
    return antisymmetric * (0.5 * angle / sine)[..., None]


def skew(w: Tensor) -> Tensor:
    """(..., 3) -> (..., 3, 3) with ``skew(w) @ v == cross(w, v)``."""
    return _crossed(torch.eye(3, dtype=w.dtype, device=w.device), w)


def _crossed(eye: Tensor, w: Tensor) -> Tensor:
    """(3, 3) unit vectors and (..., 3) -> their cross products, (..., 3, 3)."""
    return torch.linalg.cross(eye.view([1] * (w.dim() - 1) + [3, 3]), w.unsqueeze(-2))


def antisymmetric_part(R: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 3) vector of R - R^T: axis times twice the sine of the angle."""
    return torch.stack(
        (
            R[..., 2, 1] - R[..., 1, 2],
            R[..., 0, 2] - R[..., 2, 0],
            R[..., 1, 0] - R[..., 0, 1],
        ),
        -1,
    )


def trace3(R: Tensor) -> Tensor:
    """(..., 3, 3) -> (...)"""
    return R[..., 0, 0] + R[..., 1, 1] + R[..., 2, 2]


def rotation_angle(R1: Tensor, R2: Tensor) -> Tensor:
    """Angle (...) in radians between rotations (..., 3, 3), in [0, pi]."""
    return torch.acos((0.5 * ((R1 * R2).sum((-1, -2)) - 1.0)).clamp(-1.0, 1.0))


def transform(R: Tensor, t: Tensor, points: Tensor) -> Tensor:
    """Points (..., P, 3) of the object frame -> camera frame (..., P, 3)."""
    return points @ R.transpose(-1, -2) + t.unsqueeze(-2)


def project(points: Tensor, K: Tensor, min_depth: float = MIN_DEPTH) -> Tensor:
    """Camera-frame points (..., P, 3) m by K (..., 3, 3) -> (..., P, 2) px (pinhole)."""
    z = points[..., 2:3].clamp_min(min_depth)
    focal = torch.stack((K[..., 0, 0], K[..., 1, 1]), -1).unsqueeze(-2)
    return points[..., 0:2] / z * focal + K[..., 0:2, 2].unsqueeze(-2)


def unproject(pixels: Tensor, K: Tensor) -> Tensor:
    """Pixels (..., P, 2) -> normalised camera coordinates ((u-cx)/fx, (v-cy)/fy), same shape."""
    focal = torch.stack((K[..., 0, 0], K[..., 1, 1]), -1).unsqueeze(-2)
    return (pixels - K[..., 0:2, 2].unsqueeze(-2)) / focal


def rotation_to_ray(ray: Tensor, eps: float = EPS) -> Tensor:
    """Smallest rotation that turns the optical axis (0, 0, 1) onto ``ray``.

    Args:
        ray: (..., 3) unit vectors with z > -1 (in front of the camera).

    Returns:
        (..., 3, 3)
    """
    x, y, z = ray[..., 0], ray[..., 1], ray[..., 2]
    k = 1.0 / (1.0 + z).clamp_min(eps)
    kx, ky = k * x, k * y
    off = -kx * y
    rows = (1.0 - kx * x, off, x, off, 1.0 - ky * y, y, -x, -y, z)
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def turn_about_axis(R_relative: Tensor, axis: Tensor) -> Tensor:
    """The rotation about ``axis`` nearest to ``R_relative``.

    Maximises trace(R_relative^T @ rot(axis, angle)) in closed form.

    Args:
        R_relative: (..., 3, 3)
        axis: (..., 3) unit vectors.

    Returns:
        (..., 3, 3)
    """
    along = (axis.unsqueeze(-2) @ R_relative @ axis.unsqueeze(-1))[..., 0, 0]
    antisymmetric = antisymmetric_part(R_relative)
    sine = (axis * antisymmetric).sum(-1)
    cosine = trace3(R_relative) - along
    angle = torch.atan2(sine, cosine)
    return exp_so3(axis * angle[..., None])


def pose_precision(center: Tensor, rotation: Tensor, side: Tensor, depth: Tensor) -> Tensor:
    """Inverse covariance of poses: turn (rad) about the centre and move (m) of it.

    Args:
        center: (N, 3) m.
        rotation: () rad, standard deviation about each axis.
        side, depth: (N,) m, standard deviations across the ray to the centre and along it.

    Returns:
        (N, 6, 6)
    """
    across, along = side.pow(-2).view(-1, 1, 1), depth.pow(-2).view(-1, 1, 1)
    ray = normalize(center)
    eye = torch.eye(3, dtype=center.dtype, device=center.device).unsqueeze(0)
    none = torch.zeros_like(eye).expand(len(center), 3, 3)
    turn = (eye * rotation.pow(-2)).expand(len(center), 3, 3)
    move = eye * across + ray[:, :, None] * ray[:, None] * (along - across)
    return torch.cat((torch.cat((turn, none), 2), torch.cat((none, move), 2)), 1)


def pixel_motion(
    point: Tensor, about: Tensor, K: Tensor, min_depth: float = MIN_DEPTH
) -> tuple[Tensor, Tensor]:
    """How pixels move in x and y per turn (rad) about a centre and per move (m): (N, P, 6) each.

    Args:
        point: (N, P, 3) m in the camera's frame.
        about: (N, P, 3) m, the same from the centre.
        K: (N, 3, 3) px.
        min_depth: m.
    """
    x, y, z = point.unbind(-1)
    z = z.clamp_min(min_depth)
    across, down = K[:, 0, 0].unsqueeze(1) / z, K[:, 1, 1].unsqueeze(1) / z
    none = torch.zeros_like(z)
    u = torch.stack((across, none, -across * x / z), -1)
    v = torch.stack((none, down, -down * y / z), -1)
    u = torch.cat((torch.linalg.cross(about, u, dim=-1), u), -1)
    return u, torch.cat((torch.linalg.cross(about, v, dim=-1), v), -1)
