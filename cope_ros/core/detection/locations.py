"""The grid of image locations of a feature pyramid, and which level an object belongs to."""

import torch
from torch import Tensor

STRIDES = (8, 16, 32)  # px, pyramid levels 0..2 (paper, section 3.1)
LEVEL_BASE = 3.0  # d in Eq. 2
LEVEL_OFFSET = 2  # f in Eq. 2, as published
# Eq. 2 has no focal length, so it was tuned to one camera: LM's, 572.4 px. Dividing by it
# makes the level depend on the apparent size in pixels and leaves LM as published.
REFERENCE_FOCAL = 572.4


def make_locations(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres of all locations of an image.

    Args:
        height, width: of the network's input, px, multiples of the largest stride.

    Returns:
        (L, 2) centres x y in px (pixel centres at integers), level by level, rows first,
        and (L,) strides in px.
    """
    centers = []
    strides = []
    for stride in (8, 16, 32):
        y = torch.arange(height // stride, device=device, dtype=torch.float32)
        x = torch.arange(width // stride, device=device, dtype=torch.float32)
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        center = (torch.stack((grid_x, grid_y), -1).reshape(-1, 2) + 0.5) * stride - 0.5
        centers.append(center)
        strides.append(torch.full_like(center[:, 0], float(stride)))
    return torch.cat(centers), torch.cat(strides)


def pyramid_level(apparent_size: Tensor) -> Tensor:
    """Level of an object (paper, Eq. 2, clipped on both sides).

    Args:
        apparent_size: (...) px, focal length times diameter over depth.

    Returns:
        (...) int64 in 0..2: 0 is the finest (stride 8).
    """
    ratio = (apparent_size / REFERENCE_FOCAL).clamp_min(1e-6)
    level = LEVEL_OFFSET + torch.round(torch.log(ratio) / torch.log(torch.tensor(LEVEL_BASE)))
    return level.clamp(0, len(STRIDES) - 1).long()
