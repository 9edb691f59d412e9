"""Photometric augmentation on batches of tensors (paper, Table 4); geometry stays as it is.

The rows of the table in its order, and by choice what a camera adds after them; each with
its own chance for each image and, where the table says so, with a chance of one half for each
channel on its own. The 5 % scale, which moves the geometry too, is in windows.py.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from cope_training.data import camera_effects, filters
from cope_training.engine.configuration import AugmentConfig

PER_CHANNEL = 0.5  # chance that each channel gets a number of its own, where it may
HUE_RANGE = 15.0 / 255.0  # of a turn, and of full saturation: the table counts in 255ths


@contextmanager
def _one_thread() -> Iterator[None]:
    """Hundreds of small operations: waiting for other threads costs more than they give.

    On two cores that other processes use too, 15 times as fast as with two threads.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Row(NamedTuple):
    """A row of Table 4: the chance that an image is changed, and how."""

    name: str
    chance: float
    operation: Callable[[Tensor], Tensor]


class Augmenter:
    """Applies each augmentation with its own chance to each image.

    Args:
        config: chances are the paper's times ``config.strength``.
        generator: source of randomness, so that a training can be repeated.
    """

    def __init__(self, config: AugmentConfig, generator: torch.Generator) -> None:
        self.config = config
        self.generator = generator
        self.rows: tuple[Row, ...] = (
            Row("gaussian blur", 0.2, self._gaussian),
            Row("average/median/motion blur", 0.2, self._one_of_three_blurs),
            Row("bilateral blur", 0.2, self._bilateral),
            Row("hue/saturation", 0.5, self._hue_saturation),
            Row("grayscale", 0.5, self._grayscale),
            Row("add", 0.5, lambda x: x + self._draw(x, -0.04, 0.04, True)),
            Row("multiply", 0.5, lambda x: x * self._draw(x, 0.75, 1.25, True)),
            Row("gamma contrast", 0.5, lambda x: x.pow(self._draw(x, 0.75, 1.25, True))),
            Row("sigmoid contrast", 0.5, self._sigmoid_contrast),
            Row("logarithmic contrast", 0.5, self._logarithmic_contrast),
            Row("linear contrast", 0.5, self._linear_contrast),
        )
        if config.camera:
            self.rows += (
                Row("sharpen", config.camera, self._sharpen),
                Row("noise", config.camera, self._noise),
                Row("white balance", config.camera, self._white_balance),
                Row("exposure", config.camera, self._exposure),
                Row("demosaicing", config.camera, camera_effects.demosaic),
                Row("jpeg", config.camera, self._jpeg),
            )

    def __call__(self, images: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 -> the same shape, uint8, augmented."""
        if not self.config.enabled:
            return images
        x = images.permute(0, 3, 1, 2).float() / 255.0
        with _one_thread():
            for row in self.rows:
                x = self._apply(row, x)
        x = x.mul(255.0).round().to(torch.uint8)
        return x.permute(0, 2, 3, 1).contiguous()

    def _apply(self, row: Row, x: Tensor) -> Tensor:
        chosen = self._random(len(x)) < row.chance * self.config.strength
        rows = chosen.nonzero().squeeze(1).to(x.device)
        if not len(rows):
            return x
        return x.index_copy(0, rows, row.operation(x[rows]).clamp(0.0, 1.0))

    def _random(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), on the CPU, where it is the same for every device."""
        return torch.rand(*shape, generator=self.generator)

    def _draw(self, x: Tensor, low: float, high: float, per_channel: bool = False) -> Tensor:
        """(B, 3, 1, 1) uniform numbers, one for each image or, by chance, for each channel."""
        own = self._random(len(x), 3)
        if per_channel:
            split = self._random(len(x), 1) < PER_CHANNEL
            own = torch.where(split, own, own[:, :1])
        else:
            own = own[:, :1].expand(-1, 3)
        return (low + (high - low) * own)[..., None, None].to(x.device)

    def _gaussian(self, x: Tensor) -> Tensor:
        return filters.gaussian_blur(x, 2.0 * self._random(len(x)))

    def _one_of_three_blurs(self, x: Tensor) -> Tensor:
        """Mean, median, or mean along a line; 3 to 7 px wide."""
        kind = torch.randint(3, (len(x),), generator=self.generator)
        width = torch.randint(3, 8, (len(x),), generator=self.generator)
        angle = torch.pi * self._random(len(x))
        kernels = torch.where(
            (kind == 2)[:, None, None],
            filters.line_kernels(width, angle),
            filters.box_kernels(width),
        )
        y = filters.convolve(x, kernels)
        for row in (kind == 1).nonzero().flatten().tolist():
            odd = int(width[row]) // 2 * 2 + 1
            y[row] = filters.median_blur(x[row], odd)
        return y

    def _bilateral(self, x: Tensor) -> Tensor:
        """Mean of like-coloured neighbours, 1 to 7 px wide; how like is random too."""
        width = torch.randint(1, 8, (len(x),), generator=self.generator)
        color = (10.0 + 240.0 * self._random(len(x))) / 255.0
        if x.is_cuda:
            return filters.bilateral_blurs(x, width, color)
        settings = zip(x, width.tolist(), color.tolist(), strict=True)
        return torch.stack([filters.bilateral_blur(*one) for one in settings])

    def _hue_saturation(self, x: Tensor) -> Tensor:
        shift = HUE_RANGE * (2.0 * self._random(2, len(x)) - 1.0)
        hue, saturation = shift.to(x.device)[..., None, None]
        return filters.shift_hue_saturation(x, hue, saturation)

    def _grayscale(self, x: Tensor) -> Tensor:
        return torch.lerp(x, filters.luma(x).expand_as(x), self._draw(x, 0.0, 0.2))

    def _sigmoid_contrast(self, x: Tensor) -> Tensor:
        """A sigmoid about one half, stretched so that black stays black and white white.

        Without the stretch the lower end of the range, a gain of 0, would be a grey picture.
        """
        gain = self._draw(x, 0.0, 10.0, True).clamp_min(1e-2)
        low, high = torch.sigmoid(-0.5 * gain), torch.sigmoid(0.5 * gain)
        return (torch.sigmoid(gain * (x - 0.5)) - low) / (high - low)

    def _logarithmic_contrast(self, x: Tensor) -> Tensor:
        return self._draw(x, 0.75, 1.0, True) * torch.log2(1.0 + x)

    def _sharpen(self, x: Tensor) -> Tensor:
        """An unsharp mask of up to 1.5, as in a camera."""
        blurred = filters.gaussian_blur(x, 0.5 + self._random(len(x)))
        return x + self._draw(x, 0.0, 1.5) * (x - blurred)

    def _white_balance(self, x: Tensor) -> Tensor:
        """Red and blue off by up to a quarter, in linear light."""
        red, blue = (1.0 + 0.5 * (self._random(2, len(x)) - 0.5)).unbind(0)
        return camera_effects.white_balance(x, red, blue)

    def _exposure(self, x: Tensor) -> Tensor:
        """Up to 0.7 stops too little or too much."""
        return camera_effects.exposure(x, 1.4 * (self._random(len(x)) - 0.5))

    def _jpeg(self, x: Tensor) -> Tensor:
        """Quality 30 to 90."""
        return camera_effects.jpeg(x, 30.0 + 60.0 * self._random(len(x)))

    def _noise(self, x: Tensor) -> Tensor:
        """Normal noise of up to 0.05, fine or in grains of two pixels, coloured or grey."""
        height, width = x.shape[2:]
        if x.is_cuda:  # millions of numbers: drawn where they are needed
            fine = torch.randn(len(x), 3, height, width, device=x.device)
        else:
            fine = torch.randn(len(x), 3, height, width, generator=self.generator)
        grain = fine[:, :, ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3)
        coarse, grey = (self._random(2, len(x), 1, 1, 1) < 0.5).to(x.device).unbind(0)
        fine = torch.where(coarse, grain[:, :, :height, :width], fine)
        fine = torch.where(grey, fine[:, :1], fine)
        return x + self._draw(x, 0.0, 0.05) * fine.to(x.device)

    def _linear_contrast(self, x: Tensor) -> Tensor:
        return 0.5 + (x - 0.5) * self._draw(x, 0.7, 1.3, True)
