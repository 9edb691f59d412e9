"""Visible surface discrepancy: do the visible parts of two posed surfaces agree?

Depth maps are (H, W) in metres, zero where there is nothing; distance is that to the camera's
centre, not along its axis. Source: Hodan et al., "BOP Challenge 2020", section 2.2.
"""

from typing import Protocol

import numpy as np

from cope_training.evaluation.metrics.errors import project
from cope_training.evaluation.metrics.objects import EvalObject

DELTA = 0.015  # m, tolerance of the visibility test (BOP)
TAUS = np.arange(1, 11) * 0.05  # misalignment tolerances, shares of the diameter (BOP)
WORST = 1.0


class DepthRenderer(Protocol):
    """Whatever draws the depth of one object."""

    def depth(
        self, obj_id: int, R: np.ndarray, t: np.ndarray, K: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray:
        """(H, W) m of the object alone in an image of ``size`` (width, height)."""


def vsd(
    depth_est: np.ndarray,
    depth_gt: np.ndarray,
    depth_scene: np.ndarray,
    K: np.ndarray,
    diameter: float,
    taus: np.ndarray = TAUS,
    delta: float = DELTA,
) -> np.ndarray:
    """Discrepancy of one estimate and one ground truth for several tolerances.

    Args:
        depth_est: (H, W) m, the object rendered in the estimated pose.
        depth_gt: (H, W) m, the object rendered in the true pose.
        depth_scene: (H, W) m, the measured image; zero counts as not hiding anything.
        K: (3, 3) of these maps (crops have their principal point shifted).
        diameter: m.
        taus: (T,) shares of the diameter; a pixel is wrong from tau on.
        delta: m.

    Returns:
        (T,) in [0, 1]; one if neither surface is visible.
    """
    rays = ray_lengths(K, depth_scene.shape)
    est, gt, scene = depth_est * rays, depth_gt * rays, depth_scene * rays
    unhidden = scene == 0
    visible_gt = (gt > 0) & ((gt - scene <= delta) | unhidden)
    visible_est = (est > 0) & ((est - scene <= delta) | unhidden | visible_gt)
    both = visible_gt & visible_est
    union = int((visible_gt | visible_est).sum())
    if union == 0:
        return np.full(len(taus), WORST)
    apart = np.abs(gt[both] - est[both]) / diameter
    wrong = len(apart) - np.searchsorted(np.sort(apart), taus, side="left")
    return (wrong + union - len(apart)) / union


def ray_lengths(K: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W): length of each pixel's viewing ray per unit of depth."""
    x = (np.arange(shape[1]) - K[0, 2]) / K[0, 0]
    y = (np.arange(shape[0]) - K[1, 2]) / K[1, 1]
    return np.sqrt(x[None] ** 2 + y[:, None] ** 2 + 1)


def vsd_of_pairs(
    obj: EvalObject,
    poses_est: tuple[np.ndarray, np.ndarray],
    poses_gt: tuple[np.ndarray, np.ndarray],
    depth_scene: np.ndarray,
    K: np.ndarray,
    renderer: DepthRenderer,
) -> np.ndarray:
    """Discrepancies of pairs of one object in one image.

    Only the window around both poses is drawn; pairs whose windows are apart have no common
    surface and are not drawn at all.

    Args:
        poses_est: R (P, 3, 3) and t (P, 3) m.
        poses_gt: likewise.
        depth_scene: (H, W) m.

    Returns:
        (P, T) in [0, 1].
    """
    errors = np.full((len(poses_est[0]), len(TAUS)), WORST)
    windows = [_windows(obj, *poses, K, depth_scene.shape) for poses in (poses_est, poses_gt)]
    for row in range(len(errors)):
        est, gt = windows[0][row], windows[1][row]
        if (np.maximum(est[:2], gt[:2]) >= np.minimum(est[2:], gt[2:])).any():
            continue
        x1, y1 = np.minimum(est[:2], gt[:2])
        x2, y2 = np.maximum(est[2:], gt[2:])
        shifted = K - np.array([[0, 0, x1], [0, 0, y1], [0, 0, 0]], dtype=float)
        size = (int(x2 - x1), int(y2 - y1))
        drawn_est, drawn_gt = (
            renderer.depth(obj.model.obj_id, R[row], t[row], shifted, size)
            for R, t in (poses_est, poses_gt)
        )
        window = depth_scene[y1:y2, x1:x2]
        errors[row] = vsd(drawn_est, drawn_gt, window, shifted, obj.diameter)
    return errors


def _windows(
    obj: EvalObject, R: np.ndarray, t: np.ndarray, K: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """(P, 4) int: x1 y1 x2 y2 of the pixels each pose can touch, inside the image."""
    points = obj.hull @ np.swapaxes(R, 1, 2) + t[:, None]
    pixels = project(np.broadcast_to(K, (len(R), 3, 3)), points)
    edge = np.array([shape[1], shape[0]])
    # A mesh that reaches behind the camera may touch any pixel.
    low = np.nan_to_num(np.floor(pixels.min(axis=1)), nan=0).clip(0, edge)
    high = np.where(np.isnan(pixels.max(axis=1)), edge, np.ceil(pixels.max(axis=1)) + 1)
    return np.concatenate([low, high.clip(0, edge)], axis=1).astype(np.int64)
