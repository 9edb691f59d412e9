"""Teaches the geometric pose head on random poses alone, before it sees an image.

Corners of random poses are projected by random cameras and made noisy; the head learns the
pose from them. The images then only have to teach the corners.
"""

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.network.pose_head import GeometricPoseHead

APPARENT_SIZE = (40.0, 400.0)  # px, focal length times diameter over depth, log-uniform
FOCAL = (350.0, 1200.0)  # px, log-uniform
FIELD = 0.7  # largest |x / z| of the object's centre
NOISE = 0.08  # of the apparent size, largest standard deviation of a corner
BATCH = 512
LEARNING_RATE = 2e-3


def random_poses(
    catalogue: Catalogue, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Class indices (N,), intrinsics (N, 3, 3) px, rotations (N, 3, 3), translations (N, 3) m."""

    def log_uniform(low: float, high: float) -> Tensor:
        u = torch.rand(count, generator=generator)
        return low * (high / low) ** u

    class_index = torch.randint(len(catalogue), (count,), generator=generator)
    focal = log_uniform(*FOCAL)
    depth = focal * catalogue_diameters(catalogue)[class_index] / log_uniform(*APPARENT_SIZE)
    quaternion = geometry.normalize(torch.randn(count, 4, generator=generator))
    R = rotation_from_quaternion(quaternion)
    ray = (2 * torch.rand(count, 2, generator=generator) - 1) * FIELD
    t = torch.cat((ray, torch.ones(count, 1)), 1) * depth[:, None]
    K = torch.zeros(count, 3, 3)
    K[:, 0, 0] = K[:, 1, 1] = focal
    K[:, 2, 2] = 1.0
    return class_index, K, R, t


def rotation_from_quaternion(q: Tensor) -> Tensor:
    """(N, 4) unit xyzw -> (N, 3, 3)"""
    v, w = q[:, :3], q[:, 3]
    W = geometry.skew(v)
    eye = torch.eye(3, dtype=q.dtype)
    return eye + 2.0 * w[:, None, None] * W + 2.0 * (W @ W)


def noisy_corners(
    points: Tensor, K: Tensor, apparent_size: Tensor, generator: torch.Generator
) -> Tensor:
    """Projections (N, 8, 2) px with independent noise per corner and of one size each row."""
    clean = geometry.project(points, K)
    count = len(points)
    sigma = NOISE * apparent_size * torch.rand(count, generator=generator) ** 2
    own = torch.randn(count, 8, 2, generator=generator)
    return clean + own * sigma[:, None, None]


def pretrain(
    head: GeometricPoseHead, catalogue: Catalogue, steps: int, seed: int
) -> dict[str, float]:
    """Trains the head's MLP in place.

    Returns:
        Mean corner error over the diameter at the end: of the MLP (``initial``) and after
        the Gauss-Newton steps (``refined``), on fresh noisy corners.
    """
    generator = torch.Generator().manual_seed(seed)
    corners, diameters = catalogue_corners(catalogue), catalogue_diameters(catalogue)
    optimizer = torch.optim.AdamW(head.layers.parameters(), LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for _ in range(steps):
        loss = _batch_error(head, catalogue, corners, diameters, generator, refined=False)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.layers.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        arguments = (head, catalogue, corners, diameters, generator)
        return {
            "initial": _batch_error(*arguments, refined=False).item(),
            "refined": _batch_error(*arguments, refined=True).item(),
        }


def _batch_error(
    head: GeometricPoseHead,
    catalogue: Catalogue,
    corners: Tensor,
    diameters: Tensor,
    generator: torch.Generator,
    refined: bool,
) -> Tensor:
    class_index, K, R, t = random_poses(catalogue, BATCH, generator)
    model = corners[class_index]
    points = geometry.transform(R, t, model)
    size = K[:, 0, 0] * diameters[class_index] / t[:, 2]
    keypoints = noisy_corners(points, K, size, generator)
    estimate = head if refined else head.initial_pose
    R_est, t_est = estimate(keypoints, class_index, K)
    error = geometry.length(geometry.transform(R_est, t_est, model) - points).mean(1)
    relative = error / diameters[class_index]
    return (relative / (1.0 + relative)).mean()  # saturates: hopeless corners teach nothing
