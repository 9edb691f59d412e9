"""Photometric augmentation on batches of tensors (paper, Table 4); geometry stays exact."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_training.config import AugmentConfig

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Augmenter:
    """Applies each augmentation with its own chance to each image.

    Args:
        config: chances are the paper's times ``config.strength``.
        generator: source of randomness, so that a training can be repeated.
    """

    def __init__(self, config: AugmentConfig, generator: torch.Generator) -> None:
        self.config = config
        self.generator = generator

    def __call__(self, images: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 -> the same shape, uint8, augmented."""
        if not self.config.enabled:
            return images
        x = images.permute(0, 3, 1, 2).float() / 255.0
        x = self._where(0.3, self._blur, x)
        x = self._where(0.5, self._saturate, x)
        x = self._where(0.3, self._to_gray, x)
        x = self._where(0.5, lambda v: v * self._draw(v, 0.75, 1.25, per_channel=True), x)
        x = self._where(0.5, lambda v: v + self._draw(v, -0.04, 0.04, per_channel=True), x)
        x = self._where(0.5, self._gamma, x)
        x = self._where(0.25, self._sigmoid_contrast, x)
        x = self._where(0.5, self._linear_contrast, x)
        x = self._where(0.4, self._noise, x)
        x = x.mul(255.0).round().clamp(0, 255).to(torch.uint8)
        return x.permute(0, 2, 3, 1).contiguous()

    def _where(self, chance: float, operation: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        chosen = torch.rand(len(x), generator=self.generator) < chance * self.config.strength
        rows = chosen.nonzero().squeeze(1).to(x.device)
        if len(rows):
            x = x.index_copy(0, rows, operation(x[rows]))
        return x

    def _draw(self, x: Tensor, low: float, high: float, per_channel: bool = False) -> Tensor:
        """(B, 1 or 3, 1, 1) uniform numbers; per channel with a chance of one half."""
        channels = 3 if per_channel and self._flip() else 1
        values = torch.rand(len(x), channels, 1, 1, generator=self.generator)
        return (low + (high - low) * values).to(x.device)

    def _flip(self) -> bool:
        return bool(torch.rand((), generator=self.generator) < 0.5)

    def _blur(self, x: Tensor) -> Tensor:
        """Gaussian, sigma 0 to 2 px, along both axes or (motion) along one."""
        sigma = 2.0 * float(torch.rand((), generator=self.generator)) + 1e-2
        radius = max(1, math.ceil(2.5 * sigma))
        taps = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
        kernel = torch.exp(-0.5 * (taps / sigma) ** 2)
        kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
        padded = F.pad(x, (radius, radius, 0, 0), mode="replicate")
        motion = self._flip() and self._flip()
        y = F.conv2d(padded, kernel, groups=3)
        if motion:
            return y
        padded = F.pad(y, (0, 0, radius, radius), mode="replicate")
        return F.conv2d(padded, kernel.transpose(2, 3), groups=3)

    def _luma(self, x: Tensor) -> Tensor:
        weights = x.new_tensor(LUMA).view(1, 3, 1, 1)
        return (x * weights).sum(1, keepdim=True)

    def _saturate(self, x: Tensor) -> Tensor:
        """Saturation and a small hue turn, in the plane across the grey axis."""
        gray = self._luma(x)
        turn = self._draw(x, -15.0, 15.0) * math.pi / 180.0
        cross = torch.stack((x[:, 2] - x[:, 1], x[:, 0] - x[:, 2], x[:, 1] - x[:, 0]), 1)
        turned = gray + (x - gray) * turn.cos() + cross / math.sqrt(3.0) * turn.sin()
        return gray + (turned - gray) * self._draw(x, 0.7, 1.3)

    def _to_gray(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self._luma(x).expand_as(x), self._draw(x, 0.0, 0.4))

    def _gamma(self, x: Tensor) -> Tensor:
        return x.clamp(1e-4, 1.0).pow(self._draw(x, 0.75, 1.25, per_channel=True))

    def _sigmoid_contrast(self, x: Tensor) -> Tensor:
        gain = self._draw(x, 2.0, 10.0)
        y = torch.sigmoid(gain * (x - 0.5))
        low, high = torch.sigmoid(-0.5 * gain), torch.sigmoid(0.5 * gain)
        return (y - low) / (high - low)

    def _linear_contrast(self, x: Tensor) -> Tensor:
        return 0.5 + (x - 0.5) * self._draw(x, 0.7, 1.3, per_channel=True)

    def _noise(self, x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=self.generator).to(x.device)
        return x + noise * self._draw(x, 0.0, 0.05)
