"""Windows around single objects, as a virtual camera that looks straight at them sees them.

The view shares the camera's centre: it is turned onto the ray through the window's middle and
zoomed, so that poses pass between both frames by a rotation alone and stay exact.

Axes: B images, M windows of each, S px side of a window.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core import geometry

LEVELS = 3  # of the image halved again and again, so that far zooming out does not alias
MIN_SIDE = 4.0  # px of the image: no window is smaller


class View(NamedTuple):
    """Virtual cameras."""

    K: Tensor  # (B, M, 3, 3) px of the window, pixel centres at integers
    R_cam_view: Tensor  # (B, M, 3, 3), p_cam = R_cam_view @ p_view


def look_at(
    center: Tensor, side: Tensor, turn: Tensor, K: Tensor, size: int, min_side: float = MIN_SIDE
) -> View:
    """Cameras that look at points of an image.

    Args:
        center: (B, M, 2) px of the image, in the windows' middle.
        side: (B, M) px of the image that a window spans there.
        turn: (B, M) radians about the view's axis.
        K: (B, 3, 3) of the image.
        size: S.
    """
    ray = geometry.unproject(center, K)
    ray = torch.cat((ray, torch.ones_like(ray[..., :1])), -1)
    R = geometry.rotation_to_ray(geometry.normalize(ray))
    spin = torch.stack((torch.zeros_like(turn), torch.zeros_like(turn), turn), -1)
    focal = size * K[:, None, 0, 0] / side.clamp_min(min_side)
    zero, one = torch.zeros_like(focal), torch.ones_like(focal)
    middle = torch.full_like(focal, 0.5 * (size - 1))
    K_view = torch.stack((focal, zero, middle, zero, focal, middle, zero, zero, one), -1)
    return View(K_view.unflatten(-1, (3, 3)), R @ geometry.exp_so3(spin))


def source_pixels(view: View, K: Tensor, size: int, min_depth: float = 0.05) -> Tensor:
    """Where the image shows what each pixel of the windows sees.

    Args:
        view: (B, M).
        K: (B, 3, 3) of the image.
        size: S.

    Returns:
        (B, M, S * S, 2) px, rows first.
    """
    steps = torch.arange(size, device=K.device, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack((x, y), -1).reshape(1, 1, -1, 2)
    ray = geometry.unproject(grid, view.K)
    ray = torch.cat((ray, torch.ones_like(ray[..., :1])), -1)
    return geometry.project(
        ray @ view.R_cam_view.transpose(-1, -2), K.unsqueeze(1), min_depth=min_depth
    )


def sample_windows(image: Tensor, K: Tensor, view: View, size: int, levels: int = LEVELS) -> Tensor:
    """What the virtual cameras see; beyond the image its border repeats.

    Args:
        image: (B, H, W, 3) uint8, H and W multiples of 4.
        K: (B, 3, 3) of the image.
        view: (B, M).
        size: S.

    Returns:
        (B, M, S, S, 3) uint8
    """
    batch, height, width = image.shape[0], image.shape[1], image.shape[2]
    count = view.K.shape[1]
    planes = image.permute(0, 3, 1, 2).float()
    zoom_out = K[:, None, 0, 0] / view.K[..., 0, 0]  # image px per window px
    level = torch.log2(zoom_out).floor().clamp(0, levels - 1).long().unsqueeze(-1)
    shrink = torch.pow(2.0, level.float())
    flat, first = [planes.flatten(2)], torch.zeros_like(level)  # where a window's level starts
    for higher in range(1, levels):
        first = first + torch.where(level >= higher, planes.shape[2] * planes.shape[3], 0)
        planes = F.avg_pool2d(planes, 2)
        flat.append(planes.flatten(2))
    columns, rows = width / shrink, height / shrink
    pixels = (source_pixels(view, K, size) + 0.5) / shrink.unsqueeze(-1) - 0.5
    x = torch.minimum(pixels[..., 0].clamp_min(0.0), columns - 1.0)
    y = torch.minimum(pixels[..., 1].clamp_min(0.0), rows - 1.0)
    x0, y0 = x.floor(), y.floor()
    x1, y1 = torch.minimum(x0 + 1.0, columns - 1.0), torch.minimum(y0 + 1.0, rows - 1.0)
    seen = torch.cat(flat, 2)
    u, v = (x - x0).flatten(1).unsqueeze(1), (y - y0).flatten(1).unsqueeze(1)
    stride = columns.long()
    top = _pick(seen, first, stride, y0, x0).lerp(_pick(seen, first, stride, y0, x1), u)
    bottom = _pick(seen, first, stride, y1, x0).lerp(_pick(seen, first, stride, y1, x1), u)
    window = top.lerp(bottom, v).round().to(torch.uint8)
    return window.view(batch, 3, count, size, size).permute(0, 2, 3, 4, 1)


def _pick(seen: Tensor, first: Tensor, stride: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """(B, 3, N) flattened levels at (B, M, P) rows and columns -> (B, 3, M * P)."""
    index = (first + row.long() * stride + column.long()).flatten(1).unsqueeze(1)
    return seen.gather(2, index.expand(-1, seen.shape[1], -1))
