"""The maps that all regions are pooled from."""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from cope_ros.core.network.layers import conv_layer, upsample
from cope_ros.core.refinement.instance_regions import pack_picture


class InstanceMaps(NamedTuple):
    """What all rounds look things up in, made once an image."""

    features: Tensor  # (B, F, H/4, W/4) float32
    picture: Tensor  # (B, 3, H/2, W/2) float32; empty without a surface
    volume: Tensor  # of ``ExpectedSurface.volume``; empty without a surface


class InstanceFeatures(nn.Module):
    """The shared map at stride 4 that all regions are pooled from.

    Args:
        stem: channels at stride 4.
        pyramid: channels of the pyramid's finest level, stride 8.
        channels: F, without the picture's.
        picture: whether the image's pixels are handed on, see ``instance_detail``.
    """

    picture: Final[bool]

    def __init__(self, stem: int, pyramid: int, channels: int, picture: bool) -> None:
        super().__init__()
        self.picture = picture
        self.lateral2 = nn.Conv2d(stem, channels, 1)
        self.lateral3 = nn.Conv2d(pyramid, channels, 1)
        self.merge = conv_layer(channels, channels, 3, 1, separable=True, norm="layer")

    def forward(self, c2: Tensor, p3: Tensor, image: Tensor) -> Tensor:
        """(B, stem, H/4, W/4), (B, pyramid, H/8, W/8) and (B, 3, H, W) -> (B, F, H/4, W/4)."""
        up = upsample(self.lateral3(p3), 2)
        out: Tensor = self.merge(self.lateral2(c2) + up)
        if self.picture:
            out = torch.cat((out, pack_picture(image).to(out.dtype)), 1)
        return out
