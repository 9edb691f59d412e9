"""Convolution blocks that pyramid and heads are made of."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 8  # of the group norms: at least 8 channels share statistics in every preset


def conv_layer(
    c_in: int, c_out: int, kernel: int, stride: int, separable: bool, group_norm: bool
) -> nn.Module:
    """A convolution, depthwise-separable or full, with group norm and SiLU or bare."""
    padding = kernel // 2
    layers: list[nn.Module]
    if separable:
        layers = [
            nn.Conv2d(c_in, c_in, kernel, stride, padding, groups=c_in, bias=False),
            nn.Conv2d(c_in, c_out, 1, bias=not group_norm),
        ]
    else:
        layers = [nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=not group_norm)]
    if group_norm:
        layers += [nn.GroupNorm(GROUPS, c_out), nn.SiLU(inplace=True)]
    return nn.Sequential(*layers)


def upsample(x: Tensor, factor: int) -> Tensor:
    """(B, c, H, W) -> (B, c, factor * H, factor * W), each value repeated.

    Not by ``F.interpolate``: its whole code would enter the model file, with operations of the
    newest torch among it, and an older one could not load the file.
    """
    scale = [float(factor), float(factor)]
    enlarged: Tensor = torch.ops.aten.upsample_nearest2d(x, None, scale)
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
