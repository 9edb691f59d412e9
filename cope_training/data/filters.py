"""Image filters on (B, 3, H, W) float tensors in [0, 1], with one setting for each image."""

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
GAUSSIAN_RADIUS = 5  # px, 2.5 standard deviations of the widest blur
KERNEL = 7  # px, side of the widest kernel
MIN_SIGMA = 1e-2  # px


def luma(x: Tensor) -> Tensor:
    """(B, 1, H, W) brightness."""
    return (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def convolve(x: Tensor, kernels: Tensor) -> Tensor:
    """Every image with its own kernel, (B, h, w) of odd sides; the border repeats."""
    batch, channels, height, width = x.shape
    rows, columns = kernels.shape[1] // 2, kernels.shape[2] // 2
    padded = F.pad(x, (columns, columns, rows, rows), mode="replicate")
    flat = padded.reshape(1, batch * channels, *padded.shape[2:])
    weight = kernels.to(x).repeat_interleave(channels, 0).unsqueeze(1)
    return F.conv2d(flat, weight, groups=batch * channels).view(batch, channels, height, width)


def gaussian_blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Standard deviations (B,) px, up to 2."""
    taps = torch.arange(-GAUSSIAN_RADIUS, GAUSSIAN_RADIUS + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (taps / sigma.clamp_min(MIN_SIGMA)[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    return convolve(convolve(x, kernel[:, None, :]), kernel[:, :, None])


def box_kernels(width: Tensor) -> Tensor:
    """(B, 7, 7) means over squares of (B,) px, even widths a pixel more to the left."""
    place = torch.arange(KERNEL)
    first = KERNEL // 2 - width // 2
    line = (place >= first[:, None]) & (place < (first + width)[:, None])
    kernel = (line[:, :, None] & line[:, None, :]).float()
    return kernel / kernel.sum((1, 2), keepdim=True)


def line_kernels(length: Tensor, angle: Tensor) -> Tensor:
    """(B, 7, 7) means along lines of (B,) px at (B,) radians through the centre."""
    place = torch.arange(KERNEL, dtype=torch.float32) - KERNEL // 2
    y, x = torch.meshgrid(place, place, indexing="ij")
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    along, across = x * c + y * s, y * c - x * s
    half = 0.5 * length[:, None, None]
    kernel = (1.0 - across.abs()).clamp_min(0.0) * (along.abs() <= half)
    return kernel / kernel.sum((1, 2), keepdim=True)


def median_blur(x: Tensor, width: int) -> Tensor:
    """(3, H, W) -> the median over squares of an odd width, channel by channel.

    Forgetful selection on whole planes: of half the values and one more, the least and the
    greatest cannot be the median and make room for the next. Exact, and 3 to 11 times as
    fast as a median over unfolded windows.
    """
    radius = width // 2
    padded = F.pad(x[None], (radius,) * 4, mode="replicate")
    windows = padded[0].unfold(1, width, 1).unfold(2, width, 1)
    if x.is_cuda:  # one large operation costs less there than many small ones
        return windows.flatten(3).median(3).values
    planes = list(windows.permute(3, 4, 0, 1, 2).flatten(0, 1).unbind(0))
    kept, waiting = planes[: len(planes) // 2 + 2], planes[len(planes) // 2 + 2 :]
    while len(kept) > 1:
        kept = _without_extremes(kept)
        if waiting:
            kept.append(waiting.pop())
    return kept[0]


def _without_extremes(planes: list[Tensor]) -> list[Tensor]:
    """All but the least and the greatest of at least three values at every place."""
    planes, count = list(planes), len(planes)

    def order(low: int, high: int) -> None:
        a, b = planes[low], planes[high]
        planes[low], planes[high] = torch.minimum(a, b), torch.maximum(a, b)

    for i in range(count // 2):
        order(i, count - 1 - i)
    for i in range(1, (count + 1) // 2):
        order(0, i)
    for i in range(count // 2, count - 1):
        order(i, count - 1)
    return planes[1:-1]


def bilateral_blur(x: Tensor, width: int, color: float) -> Tensor:
    """(3, H, W) -> means over a disc of ``width`` px, weighted by likeness of colour.

    Args:
        color: standard deviation of the channels' mean difference that still counts.
    """
    radius, reach = width // 2, 0.5 * width
    padded = F.pad(x[None], (radius,) * 4, mode="replicate")[0]
    height, columns = x.shape[1:]
    total, weight = torch.zeros_like(x), torch.zeros_like(x[:1])
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy > reach * reach:
                continue
            top, left = radius + dy, radius + dx
            other = padded[:, top : top + height, left : left + columns]
            difference = (other - x).abs().mean(0, keepdim=True)
            likeness = torch.exp(difference.square_().mul_(-0.5 / color**2))
            total.addcmul_(likeness, other)
            weight += likeness
    return total / weight


def bilateral_blurs(x: Tensor, width: Tensor, color: Tensor) -> Tensor:
    """``bilateral_blur`` of (B, 3, H, W) images at once, for devices that like few operations.

    Args:
        width: (B,) px, up to KERNEL.
        color: (B,) see ``bilateral_blur``.
    """
    radius = KERNEL // 2
    padded = F.pad(x, (radius,) * 4, mode="replicate")
    height, columns = x.shape[2:]
    reach = (0.5 * width.to(x)).square().view(-1, 1, 1, 1)
    scale = (-0.5 / color.to(x).square()).view(-1, 1, 1, 1)
    total, weight = torch.zeros_like(x), torch.zeros_like(x[:, :1])
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            top, left = radius + dy, radius + dx
            other = padded[:, :, top : top + height, left : left + columns]
            difference = (other - x).abs().mean(1, keepdim=True)
            likeness = torch.exp(difference.square() * scale) * (reach >= dx * dx + dy * dy)
            total.addcmul_(likeness, other)
            weight += likeness
    return total / weight


def shift_hue_saturation(x: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """Adds to HSV's hue (turns) and saturation (share of full), each (B, 1, 1)."""
    value, low = x.amax(1), x.amin(1)
    chroma = value - low
    r, g, b = x.unbind(1)
    step = 1.0 / chroma.clamp_min(1e-6)
    sector = torch.where(
        value == r, (g - b) * step, torch.where(value == g, 2 + (b - r) * step, 4 + (r - g) * step)
    )
    full = chroma / value.clamp_min(1e-6)
    # A grey pixel has no hue that more saturation could bring out.
    full = torch.where(full > 0, (full + saturation).clamp(0.0, 1.0), full)
    sector = sector + 6.0 * hue
    channels = []
    for n in (5.0, 3.0, 1.0):
        k = torch.remainder(n + sector, 6.0)
        channels.append(value * (1.0 - full * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0)))
    return torch.stack(channels, 1)
