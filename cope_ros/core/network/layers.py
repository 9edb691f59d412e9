"""Convolution blocks that pyramid and heads are made of."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORMS = ("none", "group", "layer")
GROUPS = 8  # of the group norms: at least 8 channels share statistics in every preset


class ChannelNorm(nn.Module):
    """Layer norm over the channels at each location (Ba et al. 2016; ConvNeXt's LayerNorm2d).

    Unlike group norm it takes no statistics over the map, so that a network trained on crops
    computes the same on whole images.

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape; fast where ``x`` is channels_last in memory."""
        y = x.permute(0, 2, 3, 1)
        y = F.layer_norm(y, (y.shape[3],), self.weight, self.bias, 1e-5)
        return y.permute(0, 3, 1, 2)


def conv_layer(
    c_in: int, c_out: int, kernel: int, stride: int, separable: bool, norm: str
) -> nn.Module:
    """A convolution, depthwise-separable or full, with a norm of NORMS and SiLU, or bare.

    Args:
        norm: ``none``: bare; ``group``: group norm; ``layer``: see ``ChannelNorm``.
    """
    padding = kernel // 2
    layers: list[nn.Module]
    if separable:
        layers = [
            nn.Conv2d(c_in, c_in, kernel, stride, padding, groups=c_in, bias=False),
            nn.Conv2d(c_in, c_out, 1, bias=norm == "none"),
        ]
    else:
        layers = [nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=norm == "none")]
    if norm != "none":
        layers.append(nn.GroupNorm(GROUPS, c_out) if norm == "group" else ChannelNorm(c_out))
        layers.append(nn.SiLU(inplace=True))
    return nn.Sequential(*layers)


def upsample(x: Tensor, factor: int) -> Tensor:
    """(B, c, H, W) -> (B, c, factor * H, factor * W), each value repeated.

    Not by ``F.interpolate``: its whole code would enter the model file, with operations of the
    newest torch among it, and an older one could not load the file.
    """
    scale = [float(factor), float(factor)]
    enlarged: Tensor = torch.ops.aten.upsample_nearest2d(x, None, scale)
    return enlarged


def interpolate(x: Tensor, factor: int) -> Tensor:
    """(B, c, H, W) -> (B, c, factor * H, factor * W), linear between the values' middles.

    As ``upsample`` not by ``F.interpolate``.
    """
    scale = [float(factor), float(factor)]
    enlarged: Tensor = torch.ops.aten.upsample_bilinear2d(x, None, False, scale)
    return enlarged


class HalfStoredLinear(nn.Module):
    """A linear layer that computes in its input's precision and takes half the room in a file.

    Rounding to eleven bits changes an output of many inputs by a few parts in ten thousand.

    Args:
        layer: whose weights it takes, under the same names.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.detach().half())
        self.register_buffer("bias", layer.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(..., c_in) -> (..., c_out)"""
        return F.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))
