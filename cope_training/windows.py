"""Windows of frames, cut out and scaled with exact intrinsics."""

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from cope_training.frames import Frame


def cut(frame: Frame, left: float, top: float, size: tuple[int, int], scale: float = 1.0) -> Frame:
    """The window of a frame whose top left corner lies at (left, top), enlarged by ``scale``.

    Pixel u of the frame becomes ``scale (u + 1/2 - left) - 1/2``; K and boxes follow exactly.
    Visibility counts what the window leaves, as if it were the image; instances without a
    pixel are left out. Beyond the frame the border repeats and nothing is labelled.

    Args:
        frame: with its instance map.
        left, top: px, of pixels' edges: 0 is the frame's own border.
        size: (width, height) px of the result.
        scale: px of the result per px of the frame.
    """
    labels = frame.instance_map
    if labels is None:
        raise ValueError("window: expected a frame with an instance map, got none")
    offset = scale * (0.5 - np.array([left, top])) - 0.5
    A = np.array([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1]])
    columns, rows = _source(left, size[0], scale), _source(top, size[1], scale)
    image, seen = _sample(frame.image, labels, columns, rows)
    count = len(frame.class_index)
    before = np.bincount(labels[labels >= 0], minlength=count)
    after = np.bincount(seen[seen >= 0], minlength=count) / scale**2
    left_over = np.minimum(after / np.maximum(before, 1), 1.0)
    return replace(
        frame,
        image=image,
        K=A @ frame.K,
        visibility=(frame.visibility * left_over).astype(np.float32),
        instance_map=seen,
        boxes=(frame.boxes * scale + np.tile(offset, 2)).astype(np.float32),
    ).select(after > 0)


def scale_about(frame: Frame, factor: float, by: str) -> Frame:
    """The frame enlarged by ``factor`` about its principal point, its size kept.

    Args:
        by: ``intrinsics``: the focal lengths follow, which is exact. ``depth``: K stays and
            objects come nearer by the factor, for heads that know one camera alone; boxes are
            exact, corners differ by the perspective change within the object (a twentieth of
            its depth over its distance at 5 %).
    """
    height, width = frame.image.shape[:2]
    center = frame.K[:2, 2] + 0.5
    left, top = center - center / factor
    scaled = cut(frame, float(left), float(top), (width, height), factor)
    if by == "intrinsics":
        return scaled
    poses = scaled.T_cam_obj.copy()
    poses[:, 2, 3] /= factor
    return replace(scaled, K=frame.K, T_cam_obj=poses)


def _source(first: float, count: int, scale: float) -> np.ndarray:
    """Where each pixel of the result lies in the frame, px."""
    return (np.arange(count) + 0.5) / scale + first - 0.5


def _sample(
    image: np.ndarray, labels: np.ndarray, columns: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The image between its pixels (bilinear) and the nearest labels on a grid."""
    height, width = labels.shape
    x, y = np.rint(columns).astype(int), np.rint(rows).astype(int)
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None]
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    nearest = labels[y[:, None], x[None]]
    seen = np.where(inside, nearest, np.int16(-1))
    if np.array_equal(x, columns) and np.array_equal(y, rows):
        return image[y[:, None], x[None]], seen
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    u = torch.from_numpy(2 * columns / (width - 1) - 1).float()
    v = torch.from_numpy(2 * rows / (height - 1) - 1).float()
    grid = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)[None]
    sampled = F.grid_sample(pixels, grid, padding_mode="border", align_corners=True)
    return sampled[0].permute(1, 2, 0).round().to(torch.uint8).contiguous().numpy(), seen
