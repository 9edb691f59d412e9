"""Lines across a contour, along which the image says where the contour is.

Each line crosses the contour at a right angle. Pixels on its inner side are likely to be the
object's, those on its outer side are not; how likely each is tells how likely each place on the
line is to be where they change (Stoiber et al. 2020).

Axes: N crops of W px, L lines, O places on each, D offsets that the contour may have; maps of the
crops may be coarser, H px.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cope_ros.core.refinement.contour import Contour

REACH = 11  # steps that a line has to either side of the contour
SEARCH = 6  # steps that the contour may be off
DEPTH = 4  # steps within the contour that are to show the object
SLOPE = 1.2  # steps: how blurred a contour is
CONTRAST = 0.4  # of at most a half: how far a pixel's colour is to be trusted
TRUST = 0.2  # of what a line says: its neighbours say nearly the same
LEAST_VARIANCE = 0.5  # steps squared: a contour is not known better
MOST_VARIANCE = 9.0  # steps squared: beyond, a line says nothing
ROBUST = 2.5  # steps: a contour farther off counts half
WITHIN = 4.0  # px within the contour the object has to be visible
BEYOND = 6.0  # px beyond it there has to be image
HIDDEN, SEEN = 0.2, 0.7  # probabilities of being visible at which a line counts nothing, and fully


class CorrespondenceLines(nn.Module):
    """Finds contours along lines.

    Args:
        size: W.
    """

    reach: Final[int] = REACH
    search: Final[int] = SEARCH
    depth: Final[int] = DEPTH
    slope: Final[float] = SLOPE
    contrast: Final[float] = CONTRAST
    trust: Final[float] = TRUST
    least_variance: Final[float] = LEAST_VARIANCE
    most_variance: Final[float] = MOST_VARIANCE
    robust: Final[float] = ROBUST
    within: Final[float] = WITHIN
    beyond: Final[float] = BEYOND
    hidden: Final[float] = HIDDEN
    seen: Final[float] = SEEN

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def places(self, contour: Contour, step: int) -> Tensor:
        """(N, L, O, 2) px on the lines, from inside to outside, ``step`` px apart."""
        reach = self._offsets(self.reach, contour.pixel)
        displacement = contour.normal.unsqueeze(2) * (reach * step).unsqueeze(-1)
        return contour.pixel.unsqueeze(2) + displacement

    def forward(
        self, own: Tensor, visible: Tensor, shown: Tensor, contour: Contour, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Where contours are.

        Args:
            own: (N, L, O) how likely each of ``places`` is the object's.
            visible: (N, H, H) how likely each part of the crop shows the object, whatever its
                colour.
            shown: (N, H, H) one where there is an image.
            contour: where the poses have them.
            step: px between places.

        Returns:
            (N, L) px outwards from where the pose has it, (N, L) px^-2 how sure that is, and
            (N, L) how much of the object is seen there, from zero to one.
        """
        counts = self._counts(contour, visible, shown)
        inner = own[..., self.reach - self.depth : self.reach - 1].mean(-1)
        search = self._offsets(self.search, own)
        displacement = self._offsets(self.reach, own).unsqueeze(0) - search.unsqueeze(1)
        within = torch.sigmoid(displacement * (-2.0 / self.slope))  # (D, O)
        # What places tell, if the contour lies at an offset: how likely they are inside, outside.
        doubt = 0.5 - self.contrast
        inside = torch.log(doubt + own * (2.0 * self.contrast))
        outside = torch.log(1.0 - doubt - own * (2.0 * self.contrast))
        told = outside.sum(-1, keepdim=True) + (inside - outside) @ within.t()  # (N, L, D)
        probability = torch.softmax(told, -1)
        mean = (probability * search).sum(-1)
        variance = (probability * (search - mean.unsqueeze(-1)).square()).sum(-1)
        telling = counts * (variance < self.most_variance).to(own.dtype)
        weight = self.trust * telling / (variance + self.least_variance)
        weight = weight / (1.0 + (mean / self.robust).square())
        return mean * step, weight / float(step * step), inner * counts

    def sample(self, values: Tensor, pixel: Tensor) -> Tensor:
        """Maps (N, X, H, H) of the crops at (N, L, O, 2) px -> (N, X, L, O), zero beyond."""
        place = (pixel + 0.5) * (2.0 / self.size) - 1.0
        return F.grid_sample(values, place, align_corners=False)

    def _offsets(self, most: int, like: Tensor) -> Tensor:
        return torch.arange(-most, most + 1, device=like.device, dtype=like.dtype)

    def _counts(self, contour: Contour, visible: Tensor, shown: Tensor) -> Tensor:
        """(N, L) zero for lines where the object is hidden or the image ends, else up to one."""
        inner = contour.pixel - self.within * contour.normal
        outer = contour.pixel + self.beyond * contour.normal
        probability = self.sample(visible.unsqueeze(1), inner.unsqueeze(2)).flatten(1)
        probability = ((probability - self.hidden) / (self.seen - self.hidden)).clamp(0.0, 1.0)
        there = self.sample(shown.unsqueeze(1), outer.unsqueeze(2)).flatten(1) > 0.99
        return probability * (there & contour.valid).to(probability.dtype)
