"""Pictures of the estimates: silhouettes, cuboids and axes over the camera's image.

Image coordinates in pixels of the image drawn on, pixel centres at integers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import trimesh

from cope_ros.core.catalogue import CORNER_SIGNS, ObjectModel
from cope_ros.core.errors import CopeError
from cope_training.metrics import EvalObject
from demo.record import Pose

# RGB, told apart on wood, metal and by the colour-blind (Okabe and Ito), then again from the top.
PALETTE = np.array(
    [(86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0)]
)
AXIS_COLOURS = ((235, 64, 52), (76, 200, 80), (66, 120, 245))  # x red, y green, z blue
# Corners that differ in exactly one sign are joined by an edge.
EDGES = [
    (a, b)
    for a in range(8)
    for b in range(a)
    if np.abs(CORNER_SIGNS[a] - CORNER_SIGNS[b]).sum() == 1
]
SAMPLES = 8000  # surface points per mesh: closed to a silhouette up to about 300 px
FILL = 0.30  # opacity of the silhouettes
MIN_DEPTH = 0.01  # m; what is nearer is not drawn
SHIFT = 4  # fractional bits of the drawing functions' coordinates
FONT = cv2.FONT_HERSHEY_SIMPLEX


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
    red, green, blue = (int(v) for v in PALETTE[index % len(PALETTE)])
    return Drawable(surface, item.corners, 0.35 * item.diameter, (red, green, blue))


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
        _draw_frame(canvas, K, pose, drawables[pose.class_id])
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


def project(K: np.ndarray, T_cam_obj: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Projects points (P, 3) m of the object's frame; returns (P, 2) px."""
    seen = points @ T_cam_obj[:3, :3].T + T_cam_obj[:3, 3]
    seen[:, 2] = np.maximum(seen[:, 2], MIN_DEPTH)
    return (seen @ K.T)[:, :2] / seen[:, 2:]


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


def _draw_frame(canvas: np.ndarray, K: np.ndarray, pose: Pose, drawable: Drawable) -> None:
    """Draws the cuboid's edges in the class's colour and the axes of the mesh's frame."""
    corners = _fixed(project(K, pose.T_cam_obj, drawable.corners))
    for a, b in EDGES:
        cv2.line(canvas, corners[a], corners[b], drawable.colour, 1, cv2.LINE_AA, SHIFT)
    ends = np.vstack([np.zeros(3), drawable.axis_length * np.eye(3)])
    origin, *tips = _fixed(project(K, pose.T_cam_obj, ends))
    for tip, colour in zip(tips, AXIS_COLOURS, strict=True):
        cv2.line(canvas, origin, tip, colour, 2, cv2.LINE_AA, SHIFT)


def _fixed(pixels: np.ndarray) -> list[tuple[int, int]]:
    """Pixels (P, 2) as OpenCV's fixed-point coordinates, kept within its 32-bit range."""
    scaled = np.clip(pixels * (1 << SHIFT), -(1 << 20), 1 << 20)
    return [(int(x), int(y)) for x, y in scaled.round()]
