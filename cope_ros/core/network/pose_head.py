"""From eight image corners to a 6D pose: the published head and the geometric one.

Both map rows independently, ``(N, 8, 2)`` corners in px, ``(N,)`` class indices and
``(N, 3, 3)`` intrinsics to ``(N, 3, 3)`` rotations and ``(N, 3)`` translations in metres.
"""

from typing import Final

import torch
from torch import Tensor, nn

from cope_ros.core import geometry

PIXEL_SCALE = 0.01  # published head: brings pixel offsets to the order of one
TRANSLATION_SCALE = 0.5  # m, published target: x / 500 mm, y / 500 mm, 3 (z / 1000 mm - 1)
STEPS = 4  # Gauss-Newton; a fifth changes less than float32 can show
STEPS_BEFORE_HEAD = 2  # where an instance head goes on: more change no pose it ends at
DAMPING = 1e-3  # relative to the diagonal; keeps wild corners from exploding
MIN_RADIUS = 1e-3  # of the corners in normalised coordinates, below which nothing is seen
MAX_LOG_DEPTH = 0.7  # the learned depth correction stays within a factor of two
MIN_RELATIVE_DEPTH = 0.2  # of the object's depth: no corner may come nearer to the camera


def _select(values: Tensor, class_index: Tensor) -> Tensor:
    """(N, C * 9) and (N,) -> (N, 9) of each row's class."""
    per_class = values.reshape(values.shape[0], values.shape[1] // 9, 9)  # also of no row
    index = class_index.view(-1, 1, 1).expand(-1, 1, 9)
    return per_class.gather(1, index).squeeze(1)


class PublishedPoseHead(nn.Module):
    """Corners minus principal point through an MLP (paper, section 3.2.4, appendix A).

    The focal length never enters, so a trained head is tied to one camera.
    """

    pixel_scale: Final[float] = PIXEL_SCALE
    translation_scale: Final[float] = TRANSLATION_SCALE

    def __init__(self, n_classes: int, channels: tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(16, channels[0]),
            nn.Mish(),
            nn.Linear(channels[0], channels[1]),
            nn.Mish(),
            nn.Linear(channels[1], n_classes * 9),
        )

    def forward(self, keypoints: Tensor, class_index: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        centered = (keypoints - K[:, None, 0:2, 2]) * self.pixel_scale
        out = _select(self.layers(centered.flatten(1)), class_index)
        xy = out[:, 0:2] * self.translation_scale
        z = out[:, 2:3] / 3.0 + 1.0
        R = geometry.rotation_from_columns(out[:, 3:9], orthogonalize=False)
        return R, torch.cat((xy, z), 1)


class GeometricPoseHead(nn.Module):
    """Normalised corners through an MLP, then fixed Gauss-Newton steps on the same corners.

    1. Corners become normalised camera coordinates, turned so that the ray through their
       centre is the optical axis, divided by their mean radius: any camera, any place in
       the image and any distance look alike.
    2. The MLP, told the class, predicts the rotation in that ray frame and a correction to
       the weak-perspective depth (radius of the turned model over radius of the corners).
    3. A fixed number of damped Gauss-Newton steps on the eight reprojections follow,
       batched and differentiable, so that the pose loss reaches the corners.

    Args:
        corners: (C, 8, 3) m, of each object's box.
        channels: of the two hidden layers.
        steps: of Gauss-Newton.
    """

    corners: Tensor
    steps: Final[int]
    min_radius: Final[float] = MIN_RADIUS
    max_log_depth: Final[float] = MAX_LOG_DEPTH

    def __init__(self, corners: Tensor, channels: tuple[int, int], steps: int = STEPS) -> None:
        super().__init__()
        self.steps = steps
        n_classes = corners.shape[0]
        self.n_classes = n_classes
        self.register_buffer("corners", corners.clone(), persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(16 + n_classes, channels[0]),
            nn.SiLU(),
            nn.Linear(channels[0], channels[1]),
            nn.SiLU(),
            nn.Linear(channels[1], n_classes * 9),
        )

    def forward(self, keypoints: Tensor, class_index: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        points, R_ray = self._to_ray_frame(keypoints, K)
        model = self.corners[class_index]
        R, t = self._initial_pose(points, model, class_index)
        for _ in range(self.steps):
            R, t = gauss_newton_step(points, model, R, t)
        return R_ray @ R, (R_ray @ t.unsqueeze(-1)).squeeze(-1)

    def initial_pose(
        self, keypoints: Tensor, class_index: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The MLP's pose before the Gauss-Newton steps; what pre-training supervises."""
        points, R_ray = self._to_ray_frame(keypoints, K)
        R, t = self._initial_pose(points, self.corners[class_index], class_index)
        return R_ray @ R, (R_ray @ t.unsqueeze(-1)).squeeze(-1)

    def _to_ray_frame(self, keypoints: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
        """px -> (N, 8, 2) normalised coordinates in the ray frame, and (N, 3, 3) R_cam_ray."""
        normalized = geometry.unproject(keypoints, K)
        rays = torch.cat((normalized, torch.ones_like(normalized[..., :1])), -1)
        R_ray = geometry.rotation_to_ray(geometry.normalize(rays.mean(1)))
        turned = rays @ R_ray  # rows times R is R^T times columns
        return turned[..., 0:2] / turned[..., 2:3].clamp_min(0.1), R_ray

    def _initial_pose(
        self, points: Tensor, model: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor]:
        center = points.mean(1)
        radius = geometry.length(points - center.unsqueeze(1)).mean(1).clamp_min(self.min_radius)
        shape = ((points - center.unsqueeze(1)) / radius[:, None, None]).flatten(1)
        one_hot = nn.functional.one_hot(class_index, self.n_classes).to(shape.dtype)
        out = _select(self.layers(torch.cat((shape, one_hot), 1)), class_index)
        R = geometry.rotation_from_columns(out[:, 3:9])
        model_center = model.mean(1)
        turned = (model - model_center.unsqueeze(1)) @ R.transpose(1, 2)
        model_radius = geometry.length(turned[..., 0:2]).mean(1)
        z = model_radius / radius * torch.exp(self.max_log_depth * torch.tanh(out[:, 2]))
        xy = (center + out[:, 0:2] * radius[:, None]) * z[:, None]
        t_center = torch.cat((xy, z[:, None]), 1)
        return R, t_center - (R @ model_center.unsqueeze(-1)).squeeze(-1)


def gauss_newton_step(
    points: Tensor,
    model: Tensor,
    R: Tensor,
    t: Tensor,
    min_depth: float = geometry.MIN_DEPTH,
    min_relative_depth: float = MIN_RELATIVE_DEPTH,
) -> tuple[Tensor, Tensor]:
    """One damped Gauss-Newton step on the reprojection error of the corners.

    The rotation is perturbed on the left about the box's centre, the centre's translation
    in units of its depth, so that all six unknowns have the order of one. The normal
    equations are solved by the Schur complement of their 3x3 blocks.

    Args:
        points: (N, 8, 2) observed, normalised coordinates.
        model: (N, 8, 3) m.
        R, t: (N, 3, 3) and (N, 3) m, current pose in the frame of ``points``.

    Returns:
        The pose after the step.
    """
    model_center = model.mean(1)
    arm = (model - model_center.unsqueeze(1)) @ R.transpose(1, 2)
    center = t + (R @ model_center.unsqueeze(-1)).squeeze(-1)
    depth = center[:, 2].clamp_min(min_depth)[:, None, None]
    arm = arm / depth  # everything below in units of the object's depth
    p = arm + center.unsqueeze(1) / depth
    z = p[..., 2].clamp_min(min_relative_depth)
    x, y = p[..., 0] / z, p[..., 1] / z
    zero, inverse = torch.zeros_like(z), 1.0 / z
    J_u = torch.stack((inverse, zero, -x * inverse), -1)
    J_v = torch.stack((zero, inverse, -y * inverse), -1)
    J_t = torch.cat((J_u, J_v), 1)
    J_w = torch.linalg.cross(torch.cat((arm, arm), 1), J_t)
    residual = torch.cat((points[..., 0] - x, points[..., 1] - y), 1)
    w, v = _solve_blocks(J_w, J_t, residual)
    R_new = geometry.exp_so3(w) @ R
    center = center + v * depth.squeeze(-1)
    return R_new, center - (R_new @ model_center.unsqueeze(-1)).squeeze(-1)


def _solve_blocks(
    J_w: Tensor, J_t: Tensor, residual: Tensor, damping: float = DAMPING
) -> tuple[Tensor, Tensor]:
    """Least squares in two 3-vectors: (N, P, 3), (N, P, 3), (N, P) -> (N, 3), (N, 3)."""
    eye = torch.eye(3, dtype=J_w.dtype, device=J_w.device)
    A = J_w.transpose(1, 2) @ J_w
    D = J_t.transpose(1, 2) @ J_t
    B = J_w.transpose(1, 2) @ J_t
    A = A + eye * (damping * geometry.trace3(A) + 1e-9)[:, None, None]
    D = D + eye * (damping * geometry.trace3(D) * 0.1 + 1e-9)[:, None, None]
    g_w = (J_w * residual.unsqueeze(-1)).sum(1)
    g_t = (J_t * residual.unsqueeze(-1)).sum(1)
    B_D = B @ geometry.inverse3(D)
    schur = A - B_D @ B.transpose(1, 2)
    schur = schur + eye * (1e-4 * geometry.trace3(A))[:, None, None]
    rhs = g_w - (B_D @ g_t.unsqueeze(-1)).squeeze(-1)
    w = (geometry.inverse3(schur) @ rhs.unsqueeze(-1)).squeeze(-1)
    w = w / (1.0 + geometry.length(w).unsqueeze(-1))  # no step turns by more than a radian
    back = g_t - (B.transpose(1, 2) @ w.unsqueeze(-1)).squeeze(-1)
    v = (geometry.inverse3(D) @ back.unsqueeze(-1)).squeeze(-1)
    return w, v.clamp(-0.5, 0.5)
