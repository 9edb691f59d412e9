"""Any image to the network's input size, with intrinsics that stay exact."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core.errors import CopeError


@dataclass(frozen=True)
class Fit:
    """How an image was scaled and padded: network px = (px + 0.5) * scale - 0.5."""

    scale: tuple[float, float]  # x, y
    size: tuple[int, int]  # width, height of the scaled image inside the padded one

    def intrinsics(self, K: np.ndarray) -> np.ndarray:
        """(3, 3) K of the original image -> K of the network's input."""
        (sx, sy), out = self.scale, np.array(K, dtype=np.float64)
        out[0] *= sx
        out[1] *= sy
        out[0, 2] = (K[0, 2] + 0.5) * sx - 0.5
        out[1, 2] = (K[1, 2] + 0.5) * sy - 0.5
        return out

    def to_original(self, xy: np.ndarray) -> np.ndarray:
        """(..., 2) px of the network's input -> px of the original image."""
        return (xy + 0.5) / np.array(self.scale, dtype=xy.dtype) - 0.5


def fit_image(image: Tensor, width: int, height: int) -> tuple[Tensor, Fit]:
    """Scales an image into width x height, keeping its shape, and pads right and below.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        (height, width, 3) uint8 and the scaling.
    """
    h, w = image.shape[:2]
    if (w, h) == (width, height):
        return image, Fit((1.0, 1.0), (width, height))
    factor = min(width / w, height / h)
    new_w, new_h = max(1, round(w * factor)), max(1, round(h * factor))
    planar = image.permute(2, 0, 1).unsqueeze(0)
    scaled = F.interpolate(
        planar.float(), (new_h, new_w), mode="bilinear", antialias=True, align_corners=False
    )
    scaled = scaled.round().clamp(0, 255).to(torch.uint8)
    padded = F.pad(scaled, (0, width - new_w, 0, height - new_h))
    return padded.squeeze(0).permute(1, 2, 0).contiguous(), Fit(
        (new_w / w, new_h / h), (new_w, new_h)
    )


def check_image(image: np.ndarray) -> None:
    """Raises CopeError unless the image is (H, W, 3) uint8 and not empty."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise CopeError(f"image: expected (H, W, 3) uint8, got {image.shape} {image.dtype}")


def check_intrinsics(K: np.ndarray) -> None:
    """Raises CopeError unless K is a finite (3, 3) pinhole matrix with positive focal lengths."""
    if K.shape != (3, 3) or not np.isfinite(K).all():
        raise CopeError(f"K: expected finite (3, 3), got {np.asarray(K).tolist()}")
    if K[0, 0] <= 0 or K[1, 1] <= 0:
        raise CopeError(f"K: expected positive focal lengths, got {K[0, 0]}, {K[1, 1]}")
