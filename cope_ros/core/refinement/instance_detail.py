"""Pixels of each region beside what is expected there: a small encoder about every instance.

The shared features are sampled once a cell, so that an edge is placed to a share of a cell
whatever the instance's size. The encoder sees several samples a cell and places it finer; with
the expected surface (``expected_surface``) as further channels it sees where the image differs.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cope_ros.core.network.layers import interpolate
from cope_ros.core.refinement.instance_regions import SAMPLES


class InstanceDetail(nn.Module):
    """Adds what the image shows within each cell of a region to the cell's features.

    Args:
        guide: channels of what is expected in each cell.
        channels: of the first of two layers; the second has twice as many.
        width: of the tower that takes the sum. The output begins with zero.
    """

    samples: Final[int] = SAMPLES

    def __init__(self, guide: int, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 + guide, channels, 4, stride=2, padding=1)
        self.second = nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1)
        self.output = nn.Linear(2 * channels, width)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, windows: Tensor, guide: Tensor) -> Tensor:
        """Features of each cell, (N, P, width).

        Args:
            windows: (N, 3, 4 G, 4 G) of ``RegionSampler.windows``.
            guide: (N, P, guide) of each cell; smooth, so that it is interpolated between them.
        """
        cells = windows.shape[-1] // self.samples
        expected = interpolate(guide.transpose(1, 2).unflatten(2, (cells, cells)), self.samples)
        x = torch.cat((windows, expected), 1)
        x = F.silu(self.first(x.to(self.first.weight.dtype)))
        x = F.silu(self.second(x))
        out: Tensor = self.output(x.flatten(2).transpose(1, 2))
        return out
