"""Pictures of the estimates: silhouettes, cuboids and axes over the camera's image.

Image coordinates in pixels of the image drawn on, pixel centres at integers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import trimesh

from cope_ros.core.catalogue import ObjectModel
from cope_ros.core.errors import CopeError
from cope_ros.output.debug_image import AXIS_SHARE, FONT, MIN_DEPTH, colour_of, draw_frame, project
from cope_training.evaluation.metrics import EvalObject
from demo.record import Pose

SAMPLES = 8000  # surface points per mesh: closed to a silhouette up to about 300 px
FILL = 0.30  # opacity of the silhouettes


@dataclass(frozen=True)
class Drawable:
    """What is drawn of one object, in its frame."""

    surface: np.ndarray  # (P, 3) m, points spread evenly over the mesh
    corners: np.ndarray  # (8, 3) m
    axis_length: float  # m
    colour: tuple[int, int, int]  # RGB


def make_drawable(item: ObjectModel, index: int, shape: EvalObject) -> Drawable:
    """Prepares an object for drawing; ``index`` chooses its colour, ``shape`` is its mesh."""
    mesh = trimesh.Trimesh(shape.vertices, shape.faces, process=False)
    surface = np.asarray(trimesh.sample.sample_surface(mesh, SAMPLES, seed=0)[0])
    return Drawable(surface, item.corners, AXIS_SHARE * item.diameter, colour_of(index))


def draw(
    image: np.ndarray, K: np.ndarray, poses: Sequence[Pose], drawables: Mapping[str, Drawable]
) -> np.ndarray:
    """Draws every pose over a copy of the image, far ones first.

    Args:
        image: (H, W, 3) uint8 RGB.
        K: (3, 3) px.
        poses: in the camera's optical frame; classes without a drawable are left out.
        drawables: by class_id.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    known = [p for p in poses if p.class_id in drawables and p.T_cam_obj[2, 3] > MIN_DEPTH]
    ordered = sorted(known, key=lambda p: -p.T_cam_obj[2, 3])
    owner = np.full(image.shape[:2], -1, dtype=np.int32)
    windows = []
    for row, pose in enumerate(ordered):
        window, mask = _silhouette(image.shape, K, pose, drawables[pose.class_id])
        owner[window][mask] = row
        windows.append(window)
    canvas = _tint(image, owner, [drawables[p.class_id].colour for p in ordered])
    for row, pose in enumerate(ordered):
        _outline(canvas, owner, windows[row], row, drawables[pose.class_id].colour)
    for pose in ordered:
        item = drawables[pose.class_id]
        draw_frame(canvas, K, pose.T_cam_obj, item.corners, item.axis_length, item.colour)
    return canvas


def caption(image: np.ndarray, text: str, legend: Mapping[str, tuple[int, int, int]]) -> np.ndarray:
    """Writes a line and coloured names on a dark bar over the lower edge; returns a copy."""
    canvas = image.copy()
    scale = image.shape[1] / 1200
    margin, height = int(14 * scale), int(46 * scale)
    canvas[-height:] = canvas[-height:] // 5
    column = margin
    for word, colour in [(text, (255, 255, 255)), *legend.items()]:
        place = (column, image.shape[0] - margin)
        cv2.putText(canvas, word, place, FONT, 0.8 * scale, colour, 1, cv2.LINE_AA)
        column += cv2.getTextSize(word, FONT, 0.8 * scale, 1)[0][0] + 2 * margin
    return canvas


def contact_sheet(pictures: Sequence[np.ndarray], columns: int, width: int) -> np.ndarray:
    """Lays pictures of one shape (H, W, 3) out in rows of ``columns``, each ``width`` px wide."""
    height = round(width * pictures[0].shape[0] / pictures[0].shape[1])
    gap = 6
    rows = -(-len(pictures) // columns)
    sheet = np.full(
        (rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 24, dtype=np.uint8
    )
    for index, picture in enumerate(pictures):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        sheet[top : top + height, left : left + width] = small
    return sheet


def save(path: Path, picture: np.ndarray) -> None:
    """Writes (H, W, 3) uint8 RGB as PNG or JPEG, by the name's ending.

    Raises:
        CopeError: the file cannot be written.
    """
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise CopeError(f"{path}: cannot be written")


def enlarge(image: np.ndarray, K: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Scales image and K by the whole factor that brings it nearest to ``width`` px from below."""
    factor = max(1, width // image.shape[1])
    if factor == 1:
        return image, K
    grow = np.array([[factor, 0, 0.5 * (factor - 1)], [0, factor, 0.5 * (factor - 1)], [0, 0, 1]])
    large = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return large, grow @ K


def _silhouette(
    shape: tuple[int, ...], K: np.ndarray, pose: Pose, drawable: Drawable
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Where the mesh projects to, hidden or not: a window of the image and (h, w) bool in it."""
    pixels = np.rint(project(K, pose.T_cam_obj, drawable.surface)).astype(int)
    extent = np.ptp(pixels, axis=0).max()
    # As wide as the samples lie apart, so that the closing fills the gaps between them.
    reach = 1 + int(np.clip(4 * extent / np.sqrt(SAMPLES), 0, 15))
    # Twice: the closing takes what lies beyond the window for covered.
    low = np.clip(pixels.min(axis=0) - 2 * reach, 0, [shape[1], shape[0]])
    high = np.clip(pixels.max(axis=0) + 2 * reach + 1, low, [shape[1], shape[0]])
    mask = np.zeros((high - low)[::-1], dtype=np.uint8)
    columns, rows = (pixels[((pixels >= low) & (pixels < high)).all(axis=1)] - low).T
    mask[rows, columns] = 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    if mask.size:
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    return (slice(low[1], high[1]), slice(low[0], high[0])), mask.astype(bool)


def _outline(
    canvas: np.ndarray,
    owner: np.ndarray,
    window: tuple[slice, slice],
    row: int,
    colour: tuple[int, int, int],
) -> None:
    """Draws the border of what is seen of one pose."""
    shape = (owner[window] == row).astype(np.uint8)
    if shape.any():
        outlines, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        corner = (window[1].start, window[0].start)
        cv2.drawContours(canvas, outlines, -1, colour, 1, cv2.LINE_AA, offset=corner)


def _tint(
    image: np.ndarray, owner: np.ndarray, colours: Sequence[tuple[int, int, int]]
) -> np.ndarray:
    """Blends each pixel with the colour of the pose it belongs to; -1 stays as it is."""
    covered = owner >= 0
    canvas = image.copy()
    if covered.any():
        paint = np.array(colours, dtype=float)[owner[covered]]
        canvas[covered] = ((1 - FILL) * image[covered] + FILL * paint).astype(np.uint8)
    return canvas
