"""What cheap cameras do to images, on (B, 3, H, W) float tensors in [0, 1], one setting each.

``python -m cope_training.data.camera_effects IMAGE OUT`` draws each effect beside the image.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_training.data import filters

BLOCK = 8  # px, side of JPEG's blocks
MIDDLE = 128 / 255  # grey that JPEG takes for zero
GAMMA = 2.2  # of sRGB, about
# Annex K of ITU-T T.81, by rows.
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    *(99,) * 32,
)  # fmt: skip
RED, BLUE = 1.402, 1.772  # of JFIF's Cr and Cb


def demosaic(x: Tensor) -> Tensor:
    """The image seen through a Bayer pattern (RGGB) and interpolated bilinearly."""
    height, width = x.shape[2:]
    mask = x.new_zeros(3, height, width)
    mask[0, ::2, ::2] = mask[2, 1::2, 1::2] = 1.0
    mask[1, ::2, 1::2] = mask[1, 1::2, ::2] = 1.0
    kernel = x.new_tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    weight = kernel.expand(3, 1, 3, 3)
    total = F.conv2d(F.pad(x * mask, (1,) * 4), weight, groups=3)
    count = F.conv2d(F.pad(mask[None], (1,) * 4), weight, groups=3)
    return torch.where(mask > 0, x, total / count)


def jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """What JPEG files keep: colours at half the resolution (4:2:0), coarse blocks of 8x8.

    Saturated objects get soft, wider edges from it; most cameras' drivers and image_transport send
    such images.

    Args:
        x: (B, 3, H, W).
        quality: (B,) 1 to 99, as libjpeg counts.
    """
    height, width = x.shape[2:]
    luma = filters.luma(x)
    chroma = torch.cat([(x[:, 2:] - luma) / BLUE, (x[:, :1] - luma) / RED], dim=1)
    even = F.pad(chroma, (0, width % 2, 0, height % 2), mode="replicate")
    half = _coarsened(F.avg_pool2d(even, 2), CHROMINANCE, quality)
    whole = F.interpolate(half, scale_factor=2.0, mode="bilinear")[:, :, :height, :width]
    luma = _coarsened(luma - MIDDLE, LUMINANCE, quality) + MIDDLE
    blue, red = luma + BLUE * whole[:, :1], luma + RED * whole[:, 1:]
    weight_r, weight_g, weight_b = filters.LUMA
    green = (luma - weight_r * red - weight_b * blue) / weight_g
    return torch.cat([red, green, blue], dim=1)


def _coarsened(x: Tensor, table: Sequence[int], quality: Tensor) -> Tensor:
    """(B, C, H, W) about zero, the frequencies of its blocks rounded to the table's steps."""
    batch, channels, height, width = x.shape
    padded = F.pad(x, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
    rows, columns = padded.shape[2] // BLOCK, padded.shape[3] // BLOCK
    blocks = padded.reshape(batch, channels, rows, BLOCK, columns, BLOCK).transpose(3, 4)
    place = torch.arange(BLOCK, device=x.device, dtype=x.dtype)
    cosine = torch.cos(torch.pi / BLOCK * (place + 0.5) * place[:, None]) * (2.0 / BLOCK) ** 0.5
    cosine[0] *= 0.5**0.5
    scale = torch.where(quality < 50, 50.0 / quality, 2.0 - quality / 50.0).to(x)
    wanted = x.new_tensor(table).view(BLOCK, BLOCK) * scale[:, None, None]
    steps = wanted.round().clamp(1, 255)[:, None, None, None] / 255.0
    frequencies = cosine @ blocks @ cosine.T
    coarse = cosine.T @ ((frequencies / steps).round() * steps) @ cosine
    return coarse.transpose(3, 4).reshape(padded.shape)[:, :, :height, :width]


def white_balance(x: Tensor, red: Tensor, blue: Tensor) -> Tensor:
    """Linear red and blue times (B,) factors each, green stays."""
    gains = torch.stack([red, torch.ones_like(red), blue], dim=1).to(x)[..., None, None]
    return x.clamp_min(0).pow(GAMMA).mul(gains).clamp(0, 1).pow(1 / GAMMA)


def exposure(x: Tensor, stops: Tensor) -> Tensor:
    """Linear light times 2 to the (B,) stops; what exceeds white is cut off."""
    gain = stops.exp2().to(x)[:, None, None, None]
    return x.clamp_min(0).pow(GAMMA).mul(gain).clamp(0, 1).pow(1 / GAMMA)


def montage(x: Tensor) -> Tensor:
    """(3, 2 H, 3 W) of an image (1, 3, H, W): itself, Bayer pattern, JPEG, colour, light, dark."""
    one = torch.ones(1)
    shown = [x, demosaic(x), jpeg(x, 15 * one), white_balance(x, 1.3 * one, 0.75 * one),
             exposure(x, 0.8 * one), exposure(x, -0.8 * one)]  # fmt: skip
    return torch.cat([torch.cat(list(part), 3) for part in (shown[:3], shown[3:])], 2)[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    from PIL import Image

    from cope_training.data.photographs import read_image

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args(arguments)
    pixels = torch.from_numpy(read_image(options.image)).permute(2, 0, 1)[None] / 255.0
    drawn = montage(pixels[:, :, 80:320, 160:480]).clamp(0, 1).mul(255).round().to(torch.uint8)
    Image.fromarray(drawn.permute(1, 2, 0).numpy()).save(options.out, quality=85)
    return 0


if __name__ == "__main__":
    sys.exit(main())
