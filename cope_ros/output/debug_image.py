"""Cuboids, axes and labels of poses over an image.

Image coordinates in pixels of the image drawn on, pixel centres at integers; colours RGB.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from cope_ros.core.catalogue import CORNER_SIGNS, Catalogue, ObjectModel

Colour = tuple[int, int, int]

# RGB, told apart on wood, metal and by the colour-blind (Okabe and Ito), then again from the top.
PALETTE = np.array(
    [(86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0)]
)
AXIS_COLOURS = ((235, 64, 52), (76, 200, 80), (66, 120, 245))  # x red, y green, z blue
AXIS_SHARE = 0.35  # of the diameter
# Corners that differ in exactly one sign are joined by an edge.
EDGES = [
    (a, b)
    for a in range(8)
    for b in range(a)
    if np.abs(CORNER_SIGNS[a] - CORNER_SIGNS[b]).sum() == 1
]
MIN_DEPTH = 0.01  # m; what is nearer is not drawn
SHIFT = 4  # fractional bits of the drawing functions' coordinates
FONT = cv2.FONT_HERSHEY_SIMPLEX
LABEL_WIDTH = 1000  # px of image width at which labels have the font's own size
LEAST_SCALE = 0.4  # smaller text cannot be read


def colour_of(index: int) -> Colour:
    """The colour of a class, by its index."""
    red, green, blue = (int(value) for value in PALETTE[index % len(PALETTE)])
    return red, green, blue


def project(K: np.ndarray, T_cam_obj: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Projects points (P, 3) m of the object's frame; returns (P, 2) px."""
    seen = points @ T_cam_obj[:3, :3].T + T_cam_obj[:3, 3]
    seen[:, 2] = np.maximum(seen[:, 2], MIN_DEPTH)
    return (seen @ K.T)[:, :2] / seen[:, 2:]


def draw_frame(
    canvas: np.ndarray,
    K: np.ndarray,
    T_cam_obj: np.ndarray,
    corners: np.ndarray,
    axis_length: float,
    colour: Colour,
) -> None:
    """Draws the cuboid's edges in ``colour`` and the axes of the mesh's frame, in place.

    Args:
        canvas: (H, W, 3) uint8 RGB.
        K: (3, 3) px.
        T_cam_obj: (4, 4) m.
        corners: (8, 3) m, in the order of ``CORNER_SIGNS``.
        axis_length: m.
    """
    points = _fixed(project(K, T_cam_obj, corners))
    for a, b in EDGES:
        cv2.line(canvas, points[a], points[b], colour, 1, cv2.LINE_AA, SHIFT)
    ends = np.vstack([np.zeros(3), axis_length * np.eye(3)])
    origin, *tips = _fixed(project(K, T_cam_obj, ends))
    for tip, axis_colour in zip(tips, AXIS_COLOURS, strict=True):
        cv2.line(canvas, origin, tip, axis_colour, 2, cv2.LINE_AA, SHIFT)


def draw_label(canvas: np.ndarray, text: str, place: np.ndarray, colour: Colour) -> None:
    """Writes a line on a dark bar, its lower middle at ``place`` (2,) px, inside the image."""
    scale = max(LEAST_SCALE, canvas.shape[1] / LABEL_WIDTH)
    (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
    rightmost = max(canvas.shape[1] - width, 0)
    lowest = max(canvas.shape[0] - below, height)
    x = int(np.clip(place[0] - width / 2, 0, rightmost))
    y = int(np.clip(place[1] - below, height, lowest))
    bar = canvas[y - height : y + below, x : x + width]
    bar[:] = bar // 4
    cv2.putText(canvas, text, (x, y), FONT, scale, colour, 1, cv2.LINE_AA)


def draw_instances(
    image: np.ndarray,
    K: np.ndarray,
    estimate: Any,
    catalogue: Catalogue,
    labels: Sequence[str],
) -> np.ndarray:
    """Draws cuboid, axes and label of every instance over a copy of the image, far ones first.

    Args:
        image: (H, W, 3) uint8 RGB.
        K: (3, 3) px.
        estimate: rows of ``class_index, R, t`` (see ``core.runtime``).
        labels: one per row.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = image.copy()
    for row in np.argsort(-estimate.t[:, 2], kind="stable").tolist():
        if estimate.t[row, 2] <= MIN_DEPTH:
            continue
        index = int(estimate.class_index[row])
        item: ObjectModel = catalogue[index]
        T_cam_obj = np.eye(4)
        T_cam_obj[:3, :3], T_cam_obj[:3, 3] = estimate.R[row], estimate.t[row]
        colour = colour_of(index)
        draw_frame(canvas, K, T_cam_obj, item.corners, AXIS_SHARE * item.diameter, colour)
        corners = project(K, T_cam_obj, item.corners)
        top = np.array([corners[:, 0].mean(), corners[:, 1].min()])
        draw_label(canvas, labels[row], top, colour)
    return canvas


def _fixed(pixels: np.ndarray) -> list[tuple[int, int]]:
    """Pixels (P, 2) as OpenCV's fixed-point coordinates, kept within its 32-bit range."""
    scaled = np.clip(pixels * (1 << SHIFT), -(1 << 20), 1 << 20)
    return [(int(x), int(y)) for x, y in scaled.round()]
