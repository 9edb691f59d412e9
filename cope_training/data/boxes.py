"""Boxes in images."""

import numpy as np


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Overlap in [0, 1], intersection over union, of boxes whose shapes broadcast.

    Args:
        a, b: (..., 4) x1 y1 x2 y2 in px.

    Returns:
        (...); zero for a box that is NaN.
    """
    corner = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inside = np.clip(corner, 0, None).prod(axis=-1)
    areas = [(box[..., 2:] - box[..., :2]).clip(0, None).prod(axis=-1) for box in (a, b)]
    union = areas[0] + areas[1] - inside
    return np.nan_to_num(np.divide(inside, union, out=np.zeros(union.shape), where=union > 0))
