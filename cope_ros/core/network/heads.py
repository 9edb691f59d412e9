"""The three modules that slide over the feature pyramid (paper, appendix A)."""

import math

import torch
from torch import Tensor, nn

from cope_ros.core.network.layers import conv_layer
from cope_ros.core.network.presets import TowerConfig

PRIOR = 0.01  # initial probability of every class (focal loss, Lin et al. 2017)
SURFACE_OUTPUTS = 4  # of KeyTower: object coordinates x y z, apparent size


class Tower(nn.Module):
    """Convolutions of equal width and a linear 3x3 output layer, shared over the levels.

    Args:
        c_in: channels of the pyramid.
        outputs: values per location.
        separable, norm: as for the pyramid.
    """

    def __init__(
        self, c_in: int, outputs: int, config: TowerConfig, separable: bool, norm: str
    ) -> None:
        super().__init__()
        self.layers = _convolutions(c_in, config, separable, norm)
        self.output = _output_layer(config.channels, outputs)

    def set_prior(self) -> None:
        """Starts the output as class logits of probability PRIOR."""
        assert self.output.bias is not None
        nn.init.constant_(self.output.bias, -math.log((1.0 - PRIOR) / PRIOR))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, H * W, outputs)"""
        return _rows(self.output(self.layers(x)))


class KeyTower(nn.Module):
    """The corners' tower, which may take a second look at what it saw.

    With ``surface`` each location first says which point of the object's surface it sees and
    how large the object appears. What a part of an object is does not depend on the pose,
    which makes it far easier to learn than corners; from the points around a location the
    corners follow by geometry alone, and further convolutions correct them. The idea of
    coordinates before poses is that of CDPN (Li et al. 2019) and GDR-Net (Wang et al. 2021).

    Args:
        c_in: channels of the pyramid.
        outputs: values per location.
        surface: convolutions of the second look; None: a plain tower, as published.
        separable, norm: as for the pyramid.
    """

    def __init__(
        self,
        c_in: int,
        outputs: int,
        config: TowerConfig,
        surface: TowerConfig | None,
        separable: bool,
        norm: str,
    ) -> None:
        super().__init__()
        self.layers = _convolutions(c_in, config, separable, norm)
        self.output = _output_layer(config.channels, outputs)
        self.surface: nn.Module | None = None
        self.refinement: nn.Module | None = None
        self.correction: nn.Module | None = None
        if surface is not None:
            self.surface = _output_layer(config.channels, SURFACE_OUTPUTS)
            seen = config.channels + SURFACE_OUTPUTS
            self.refinement = _convolutions(seen, surface, separable, norm)
            self.correction = _output_layer(surface.channels, outputs)
            nn.init.zeros_(self.correction.weight)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, c_in, H, W) -> (B, H * W, outputs) and (B, H * W, SURFACE_OUTPUTS or 0)."""
        features = self.layers(x)
        y = self.output(features)
        seen = y[:, :0]
        if self.surface is not None and self.refinement is not None:
            seen = self.surface(features)
            if self.correction is not None:
                y = y + self.correction(self.refinement(torch.cat((features, seen), 1)))
        return _rows(y), _rows(seen)


def _convolutions(c_in: int, config: TowerConfig, separable: bool, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(config.depth):
        width = c_in if i == 0 else config.channels
        layers.append(conv_layer(width, config.channels, 3, 1, separable, norm))
        if norm == "none":
            layers.append(nn.SiLU(inplace=True))  # "Swish" in the paper
    return nn.Sequential(*layers)


def _output_layer(channels: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, outputs, 3, padding=1)
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _rows(y: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C)"""
    return y.permute(0, 2, 3, 1).reshape(y.shape[0], y.shape[2] * y.shape[3], y.shape[1])
