"""How likely a pixel is an object's, by its colour.

Where an object lies is nearly known; the pixels there and those around tell how its colours differ
from the others', in histograms (region-based segmentation: Cremers et al. 2007).

Axes: N crops, H px, side of their coarse versions, P pixels.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cope_ros.core.network.layers import upsample
from cope_ros.core.refinement.contour import dilate, take

BINS = 16  # of each colour channel
LEAST_SHARE = 1e-6  # of a colour in a histogram: one that neither knows says nothing
MARGIN = 3  # px, side of squares about the contour that belong to neither histogram
AROUND = 0.4  # of the crop, side of squares about the object that are its surroundings
COARSE = 4  # px, cells of those surroundings
MIN_PRIOR = 0.15  # least chance that a pixel is the object's, or is not, before its colour is known


class ColorModel(nn.Module):
    """Histograms of an object and of its surroundings.

    Args:
        side: H, a multiple of COARSE.
    """

    bins: Final[int] = BINS
    least_share: Final[float] = LEAST_SHARE
    margin: Final[int] = MARGIN
    coarse: Final[int] = COARSE
    min_prior: Final[float] = MIN_PRIOR

    def __init__(self, side: int) -> None:
        super().__init__()
        self.around = int(AROUND * side / COARSE) // 2 * 2 + 1

    def forward(
        self, colors: Tensor, covered: Tensor, visible: Tensor, shown: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The colours of objects and of what is around or in front of them.

        Args:
            colors: (N, H, H, 3) uint8.
            covered: (N, H, H) one where the object lies, hidden or not.
            visible: (N, H, H) how likely each pixel shows the object, without its colour.
            shown: (N, H, H) one where there is an image.

        Returns:
            (N, BINS ** 3) shares of colours, twice.
        """
        within, beyond = -dilate(-covered, self.margin), 1.0 - dilate(covered, self.margin)
        near = F.max_pool2d(covered.unsqueeze(1), self.coarse).squeeze(1)
        near = dilate(near, self.around).unsqueeze(1)
        near = upsample(near, self.coarse).squeeze(1)
        others = near * beyond * shown + within * (1.0 - visible)
        number = self._number(colors).flatten(1)
        return self._histogram(number, within * visible), self._histogram(number, others)

    def object_probability(
        self, mine: Tensor, theirs: Tensor, colors: Tensor, visible: Tensor
    ) -> Tensor:
        """How likely pixels are the object's.

        Args:
            mine, theirs: of ``forward``.
            colors: (N, P, 3) float, of 256.
            visible: (N, P) how likely each pixel shows the object, without its colour.

        Returns:
            (N, P)
        """
        number = self._number(colors)
        before = (1.0 - 2.0 * self.min_prior) * visible + self.min_prior
        ours = take(mine, number) * before
        others = take(theirs, number) * (1.0 - before)
        return (ours + self.least_share) / (ours + others + 2.0 * self.least_share)

    def _number(self, colors: Tensor) -> Tensor:
        """(..., 3) of 256 -> (...) int64 number of each colour's bin."""
        part = colors.long() * self.bins // 256
        return (part[..., 0] * self.bins + part[..., 1]) * self.bins + part[..., 2]

    def _histogram(self, number: Tensor, weight: Tensor) -> Tensor:
        """(N, P) bins by (N, H, H) weights -> (N, BINS ** 3) shares, a little blurred."""
        flat = weight.flatten(1)
        counts = flat.new_zeros(len(flat), self.bins * self.bins * self.bins)
        counts = counts.scatter_add(1, number, flat)
        cube = blurred = counts.view(-1, self.bins, self.bins, self.bins)
        for axis in range(1, 4):  # faster than a pooling layer
            none = torch.zeros_like(blurred.narrow(axis, 0, 1))
            wide = torch.cat((none, blurred, none), axis)
            blurred = sum_of_three(wide, axis) / 3.0
        return 0.5 * (cube + blurred).flatten(1) / flat.sum(1, keepdim=True).clamp_min(1.0)


def sum_of_three(values: Tensor, axis: int) -> Tensor:
    """Each value but the first and the last, and its neighbours, along an axis."""
    count = values.shape[axis] - 2
    first, second = values.narrow(axis, 0, count), values.narrow(axis, 1, count)
    return first + second + values.narrow(axis, 2, count)
