"""Outlines and ellipses of poses in the image, as numbers for drawing.

Pixels, pixel centres at integers.
"""

import cv2
import numpy as np

from cope_training.evaluation.metrics.errors import project
from cope_training.evaluation.metrics.objects import EvalObject

SUBPIXEL_BITS = 4
SMOOTH = 0.6  # px by which an outline's polygon may differ from its pixels
SIGMAS = 2.0  # of the ellipses
Outline = list[list[int]]  # polygons x1 y1 x2 y2 ...


def outline(
    obj: EvalObject, R: np.ndarray, t: np.ndarray, K: np.ndarray, size: tuple[int, int]
) -> Outline:
    """Outer contours of a posed mesh in an image of ``size`` (width, height).

    Empty if it lies outside the image or reaches behind the camera.
    """
    pixels = project(K[None], (obj.vertices @ R.T + t)[None])[0]
    if not np.isfinite(pixels).all():
        return []
    # The wire frame's outer contour is the silhouette's, and one call draws it.
    low = np.clip(np.floor(pixels.min(axis=0)) - 2, 0, size).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)) + 3, 0, size).astype(int)
    if (high <= low).any():
        return []
    mask = np.zeros((high - low)[::-1], np.uint8)
    fixed = np.clip((pixels - low) * 2**SUBPIXEL_BITS, -(2**20), 2**20).round().astype(np.int32)
    cv2.polylines(mask, list(fixed[obj.faces]), True, 1, 1, cv2.LINE_8, SUBPIXEL_BITS)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = [cv2.approxPolyDP(c, SMOOTH, True).reshape(-1, 2) + low for c in contours]
    return [polygon.reshape(-1).tolist() for polygon in polygons if len(polygon) > 2]


def ellipse(
    center: np.ndarray, covariance: np.ndarray, K: np.ndarray
) -> tuple[float, float, float, float, float] | None:
    """Where the centre's position lies with two standard deviations, in the image.

    Args:
        center: (3,) m, camera frame.
        covariance: (6, 6) of the pose; its upper left (3, 3) counts, m^2.

    Returns:
        Centre x, y, half axes (px) and the first axis' angle (degrees), None where it cannot be
        drawn.
    """
    x, y, z = center
    if z <= 0 or not np.isfinite(covariance[:3, :3]).all():
        return None
    J = np.array([[K[0, 0] / z, 0, -K[0, 0] * x / z**2], [0, K[1, 1] / z, -K[1, 1] * y / z**2]])
    values, vectors = np.linalg.eigh(J @ covariance[:3, :3] @ J.T)
    minor, major = SIGMAS * np.sqrt(np.maximum(values, 0))
    place = (K @ center)[:2] / z
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    numbers = (place[0], place[1], major, minor, angle)
    a, b, c, d, e = (round(float(value), 1) for value in numbers)
    return a, b, c, d, e
