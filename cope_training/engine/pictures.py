"""Pictures of what a training sees and says, drawn with Pillow alone."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from cope_ros.core.catalogue import Catalogue

Color = tuple[int, int, int]
TRUTH: Color = (40, 220, 60)
ESTIMATE: Color = (240, 60, 60)
# Corners differ in one coordinate along an edge of the box; see ObjectModel.corners.
MIN_DEPTH = 1e-3  # m; cuboids that reach behind the camera are left out


def draw_cuboids(
    image: np.ndarray,
    K: np.ndarray,
    poses: np.ndarray,
    class_index: Sequence[int],
    catalogue: Catalogue,
    color: Color,
) -> np.ndarray:
    """The picture with the objects' boxes as lines.

    Args:
        image: (H, W, 3) uint8.
        K: (3, 3) px.
        poses: (N, 4, 4) m, T_cam_obj.
        class_index: N of the catalogue.
    """
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    for T, c in zip(poses, class_index, strict=True):
        corners = catalogue[int(c)].corners
        points = corners @ T[:3, :3].T + T[:3, 3]
        if points[:, 2].min() < MIN_DEPTH:
            continue
        pixels = (points / points[:, 2:]) @ K[:2].T
        for a, b in box_edges(corners):
            pen.line([*pixels[a], *pixels[b]], fill=color)
    return np.asarray(canvas)


def box_edges(corners: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of the (8, 3) corners of a box that an edge joins: they differ in one coordinate."""
    differ = (np.abs(corners[:, None] - corners[None]) > 1e-9).sum(-1)
    return [(a, b) for a in range(8) for b in range(a + 1, 8) if differ[a, b] == 1]


def side_by_side(pictures: Sequence[np.ndarray], gap: int = 4) -> np.ndarray:
    """(H, W, 3) pictures of one height in a row, white between them."""
    height = pictures[0].shape[0]
    bar = np.full((height, gap, 3), 255, np.uint8)
    row = [part for picture in pictures for part in (picture, bar)]
    return np.concatenate(row[:-1], axis=1)
