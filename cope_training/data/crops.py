"""Windows of frames, cut out and scaled with exact intrinsics."""

from dataclasses import replace

import numpy as np

from cope_training.data.frames import Frame


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
    image, seen = _between(frame.image, columns, rows), _nearest(labels, columns, rows, -1)
    depth = None if frame.depth is None else _nearest(frame.depth, columns, rows, 0.0)
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
        depth=depth,
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
    depth = None if scaled.depth is None else scaled.depth / np.float32(factor)
    return replace(scaled, K=frame.K, T_cam_obj=poses, depth=depth)


def _source(first: float, count: int, scale: float) -> np.ndarray:
    """Where each pixel of the result lies in the frame, px."""
    return (np.arange(count) + 0.5) / scale + first - 0.5


def _between(image: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The image between its pixels (bilinear) on a grid; beyond the border it repeats."""
    height, width = image.shape[:2]
    x = np.rint(columns).astype(int).clip(0, width - 1)
    y = np.rint(rows).astype(int).clip(0, height - 1)
    if np.array_equal(x, columns) and np.array_equal(y, rows):
        return image[y[:, None], x[None]]
    between = _blend(_blend(image.astype(np.float32), rows, 0), columns, 1)
    return np.rint(between).astype(np.uint8)


def _blend(values: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation of float ``values`` along an axis; beyond the border it repeats."""
    last = values.shape[axis] - 1
    places = places.clip(0, last)
    below = np.floor(places).astype(int)
    share = (places - below).astype(np.float32)
    share = share.reshape((-1,) + (1,) * (values.ndim - 1 - axis))
    low, high = (values.take(i, axis) for i in (below, np.minimum(below + 1, last)))
    return np.asarray(low + share * (high - low))


def _nearest(
    values: np.ndarray, columns: np.ndarray, rows: np.ndarray, beyond: float
) -> np.ndarray:
    """The nearest pixels' values on a grid, ``beyond`` outside of the image."""
    height, width = values.shape
    x, y = np.rint(columns).astype(int), np.rint(rows).astype(int)
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None]
    picked = values[y.clip(0, height - 1)[:, None], x.clip(0, width - 1)[None]]
    return np.where(inside, picked, values.dtype.type(beyond))
