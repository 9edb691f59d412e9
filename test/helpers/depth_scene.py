"""Depth images of boxes and planes in closed form, and boxes as sampled surfaces."""

import numpy as np
import torch
from torch import Tensor

from cope_ros.core.refinement.depth_fit import DepthFit

WIDTH, HEIGHT = 160, 120
K = np.array([[180.0, 0.0, 79.5], [0.0, 180.0, 59.5], [0.0, 0.0, 1.0]])
BOX = (0.12, 0.08, 0.05)  # m
NEAR_TILT = np.array([0.5, 0.4, 0.3])  # rad, shows three faces


def rays() -> np.ndarray:
    """(H, W, 3) rays of depth one."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack(((u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(u.shape)), -1)


def box_depth(R: np.ndarray, t: np.ndarray, size: tuple[float, ...] = BOX) -> np.ndarray:
    """(H, W) m, inf beside the box: slab method in the box's frame (origin in its middle)."""
    direction, eye = rays() @ R, -R.T @ t
    with np.errstate(divide="ignore", invalid="ignore"):
        low = (-np.array(size) / 2 - eye) / direction
        high = (np.array(size) / 2 - eye) / direction
    enter = np.minimum(low, high).max(-1)
    leave = np.maximum(low, high).min(-1)
    return np.where((enter < leave) & (enter > 0), enter, np.inf)


def scene_depth(R: np.ndarray, t: np.ndarray, wall: float = 1.2) -> np.ndarray:
    """(H, W) m of a box before a wall across the optical axis."""
    return np.minimum(box_depth(R, t), wall)


def box_surface(size: tuple[float, ...] = BOX, side: int = 9) -> Tensor:
    """(6 side^2, 6) m: points on a grid of every face, and normals."""
    steps = (np.arange(side) + 0.5) / side - 0.5
    a, b = (grid.reshape(-1) for grid in np.meshgrid(steps, steps))
    rows = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            point, normal = np.zeros((len(a), 3)), np.zeros((len(a), 3))
            point[:, axis], normal[:, axis] = 0.5 * sign, sign
            point[:, (axis + 1) % 3], point[:, (axis + 2) % 3] = a, b
            rows.append(np.concatenate((point * size, normal), 1))
    return torch.from_numpy(np.concatenate(rows)).float()


def box_fit(size: tuple[float, ...] = BOX) -> DepthFit:
    """The fit of one class, a box about its origin."""
    signs = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners = 0.5 * signs * torch.tensor(size)
    return DepthFit(box_surface(size)[None], corners[None], (2 * corners[-1:].norm(dim=1)))


def rgb_covariance(depth: float) -> Tensor:
    """(6, 6) of a typical RGB estimate: 1 mm across, 3 % of the depth along, 5 degrees."""
    return torch.tensor([0.001, 0.001, 0.03 * depth, 0.09, 0.09, 0.09]).square().diag()
