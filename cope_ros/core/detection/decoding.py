"""From standardised network outputs to pixels (paper, Eq. 3 inverted)."""

from typing import NamedTuple

import torch
from torch import Tensor

KEY_SCALE = 0.65  # published keypoint target: (c - G) / (0.65 delta), px over mm
MM_PER_M = 1000.0
STRIDE_SCALE = 8.0  # an object of level l spans about 7 to 20 of its strides (Eq. 2)


class Scales(NamedTuple):
    """Pixels per unit of a location's standardised outputs, each (...) float."""

    box: Tensor
    key: Tensor


def output_scales(
    by_diameter: bool,
    diameter: Tensor,
    stride: Tensor,
    key_scale: float = KEY_SCALE,
    stride_scale: float = STRIDE_SCALE,
    mm_per_m: float = MM_PER_M,
) -> Scales:
    """Scales of locations whose objects have ``diameter`` (...) m at ``stride`` (...) px."""
    if by_diameter:
        box = diameter * mm_per_m
        return Scales(box, box * key_scale)
    box = stride * stride_scale
    return Scales(box, box)


def decode_boxes(raw: Tensor, centers: Tensor, scale: Tensor) -> Tensor:
    """(..., 4) raw, (..., 2) px centres, (...) scale -> (..., 4) x1 y1 x2 y2 px."""
    return torch.cat((centers, centers), -1) - raw * scale.unsqueeze(-1)


def decode_keypoints(raw: Tensor, centers: Tensor, scale: Tensor) -> Tensor:
    """(..., 16) raw, (..., 2) px centres, (...) scale -> (..., 8, 2) px."""
    offsets = raw.unflatten(-1, (8, 2))
    return centers.unsqueeze(-2) - offsets * scale.unsqueeze(-1).unsqueeze(-1)
