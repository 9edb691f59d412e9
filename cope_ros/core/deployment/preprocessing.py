"""Any image to the network's input size, with intrinsics that stay exact; depth along with it."""

from dataclasses import dataclass
from typing import NamedTuple

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


class DepthImage(NamedTuple):
    """What a depth camera in the image's place measured; sizes may differ."""

    depth: np.ndarray  # (H, W) float32 m along the optical axis; 0 or not finite: unknown
    K: np.ndarray  # (3, 3) intrinsics of that image, px, pixel centres at integers


def fit_depth(image: DepthImage, K: np.ndarray, width: int, height: int) -> np.ndarray:
    """Depth at the pixels of another camera in the same place, by the nearest neighbour.

    Args:
        image: measured depth.
        K: (3, 3) intrinsics of the other camera.
        width, height: px of its image.

    Returns:
        (height, width) float32 m, 0 where unknown and outside of what was measured.
    """
    columns = _sources(width, K[0], image.K[0], 0, image.depth.shape[1])
    rows = _sources(height, K[1], image.K[1], 1, image.depth.shape[0])
    padded = np.pad(image.depth, (0, 1))
    found = padded[rows[:, None], columns]
    return np.where(np.isfinite(found) & (found > 0), found, np.float32(0.0))


def _sources(count: int, K: np.ndarray, K_from: np.ndarray, axis: int, size: int) -> np.ndarray:
    """(count,) nearest pixels along an axis, ``size`` where there is none."""
    ray = (np.arange(count) - K[2]) / K[axis]
    pixel = np.rint(ray * K_from[axis] + K_from[2])
    return np.where((pixel >= 0) & (pixel < size), pixel, size).astype(np.int64)


def check_depth(image: DepthImage) -> None:
    """Raises CopeError unless the depth image is (H, W) float32, not empty, with usable K."""
    depth = image.depth
    if depth.ndim != 2 or depth.dtype != np.float32 or 0 in depth.shape:
        raise CopeError(f"depth: expected (H, W) float32, got {depth.shape} {depth.dtype}")
    check_intrinsics(image.K)


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
