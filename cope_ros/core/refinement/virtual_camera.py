"""Crops around single objects, as a virtual camera that looks straight at them sees them.

The view shares the camera's centre: it is turned onto the ray through the crop's middle and
zoomed, so that poses pass between both frames by a rotation alone and stay exact.

Axes: B images, M crops of each, S px side of a crop.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core import geometry

LEVELS = 3  # of the image halved again and again, so that far zooming out does not alias
MIN_SIDE = 4.0  # px of the image: no crop is smaller


class VirtualCamera(NamedTuple):
    """Virtual cameras."""

    K: Tensor  # (B, M, 3, 3) px of the crop, pixel centres at integers
    R_cam_crop: Tensor  # (B, M, 3, 3), p_cam = R_cam_crop @ p_view


def look_at(
    center: Tensor, side: Tensor, roll: Tensor, K: Tensor, size: int, min_side: float = MIN_SIDE
) -> VirtualCamera:
    """Cameras that look at points of an image.

    Args:
        center: (B, M, 2) px of the image, in the crops' middle.
        side: (B, M) px of the image that a crop spans there.
        roll: (B, M) radians about the view's axis.
        K: (B, 3, 3) of the image.
        size: S.
    """
    ray = geometry.unproject(center, K)
    ray = torch.cat((ray, torch.ones_like(ray[..., :1])), -1)
    R = geometry.rotation_to_ray(geometry.normalize(ray))
    spin = torch.stack((torch.zeros_like(roll), torch.zeros_like(roll), roll), -1)
    focal = size * K[:, None, 0, 0] / side.clamp_min(min_side)
    zero, one = torch.zeros_like(focal), torch.ones_like(focal)
    middle = torch.full_like(focal, 0.5 * (size - 1))
    K_crop = torch.stack((focal, zero, middle, zero, focal, middle, zero, zero, one), -1)
    return VirtualCamera(K_crop.unflatten(-1, (3, 3)), R @ geometry.exp_so3(spin))


def source_pixels(
    camera: VirtualCamera, K: Tensor, size: int, step: int = 1, min_depth: float = 0.05
) -> Tensor:
    """Where the image shows what each pixel of the crops sees.

    Args:
        camera: (B, M).
        K: (B, 3, 3) of the image.
        size: S.
        step: px between the pixels of a row or column that are asked for.

    Returns:
        (B, M, P, 2) px, of P = ceil(S / step)^2 pixels, rows first.
    """
    steps = torch.arange(0, size, step, device=K.device, dtype=torch.float32)
    focal, middle = camera.K[..., 0, 0, None, None], camera.K[..., :2, 2:]
    across = (K.unsqueeze(1) @ camera.R_cam_crop).unbind(-1)  # per unit of a ray's x, y, z
    x, y = across[0].unsqueeze(-1) / focal, across[1].unsqueeze(-1) / focal
    origin = across[2].unsqueeze(-1) - x * middle[..., :1, :] - y * middle[..., 1:, :]
    column, row = x * steps, y * steps + origin  # (B, M, 3, S)
    u, v, z = (column.unsqueeze(-2) + row.unsqueeze(-1)).unbind(2)
    z = z.clamp_min(min_depth)
    return torch.stack((u / z, v / z), -1).flatten(2, 3)


def sample_crops(
    image: Tensor, K: Tensor, camera: VirtualCamera, size: int, levels: int = LEVELS
) -> Tensor:
    """What the virtual cameras see; beyond the image its border repeats.

    Args:
        image: (B, H, W, 3) uint8, H and W multiples of 4.
        K: (B, 3, 3) of the image.
        camera: (B, M).
        size: S.

    Returns:
        (B, M, S, S, 3) uint8
    """
    batch, height, width = image.shape[0], image.shape[1], image.shape[2]
    count = camera.K.shape[1]
    planes = image.permute(0, 3, 1, 2).float()
    # All levels in one picture: beside the image its half, and below that the others.
    sheet = planes.new_zeros(batch, 3, height, width + width // 2)
    sheet[..., :width] = planes
    top = 0
    for _ in range(1, levels):
        planes = F.avg_pool2d(planes, 2)
        rows, columns = planes.shape[2], planes.shape[3]
        sheet[:, :, top : top + rows, width : width + columns] = planes
        top += rows
    zoom_out = K[:, None, 0, 0] / camera.K[..., 0, 0]  # image px per crop px
    level = torch.log2(zoom_out).floor().clamp(0, levels - 1).unsqueeze(-1)
    shrink = torch.pow(2.0, level)
    left = width * (level > 0).to(shrink.dtype)
    top_row = (height * (1.0 - 2.0 / shrink)).clamp_min(0.0)
    x, y = source_pixels(camera, K, size).unbind(-1)
    x = ((x + 0.5) / shrink - 0.5).clamp_min(0.0)
    y = ((y + 0.5) / shrink - 0.5).clamp_min(0.0)
    x = torch.minimum(x, width / shrink - 1.0) + left
    y = torch.minimum(y, height / shrink - 1.0) + top_row
    x = (x + 0.5) * (2.0 / sheet.shape[3]) - 1.0
    y = (y + 0.5) * (2.0 / height) - 1.0
    grid = torch.stack((x, y), -1).view(batch, count * size, size, 2)
    seen = F.grid_sample(sheet, grid, padding_mode="border", align_corners=False)
    crop = seen.round().to(torch.uint8)
    return crop.view(batch, 3, count, size, size).permute(0, 2, 3, 4, 1)
