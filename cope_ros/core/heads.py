"""The three modules that slide over the feature pyramid (paper, appendix A)."""

import math

from torch import Tensor, nn

from cope_ros.core.layers import conv_layer
from cope_ros.core.presets import TowerConfig

PRIOR = 0.01  # initial probability of every class (focal loss, Lin et al. 2017)


class Tower(nn.Module):
    """Convolutions of equal width and a linear 3x3 output layer, shared over the levels.

    Args:
        c_in: channels of the pyramid.
        outputs: values per location.
        separable, group_norm: as for the pyramid.
    """

    def __init__(
        self, c_in: int, outputs: int, config: TowerConfig, separable: bool, group_norm: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(config.depth):
            width = c_in if i == 0 else config.channels
            layers.append(conv_layer(width, config.channels, 3, 1, separable, group_norm))
            if not group_norm:
                layers.append(nn.SiLU(inplace=True))  # "Swish" in the paper
        self.layers = nn.Sequential(*layers)
        self.output = nn.Conv2d(config.channels, outputs, 3, padding=1)
        nn.init.normal_(self.output.weight, std=0.01)
        self._fill_bias(0.0)

    def set_prior(self) -> None:
        """Starts the output as class logits of probability PRIOR."""
        self._fill_bias(-math.log((1.0 - PRIOR) / PRIOR))

    def _fill_bias(self, value: float) -> None:
        assert self.output.bias is not None
        nn.init.constant_(self.output.bias, value)

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, H * W, outputs)"""
        y = self.output(self.layers(x))
        return y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, y.shape[1])
