"""A picture of a mesh from six sides: what was taken of a file, for people to look at."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cope_ros.core.catalogue import MM
from cope_training.files import written_whole
from cope_training.rendering.meshes import Mesh
from cope_training.rendering.renderer import Renderer
from cope_training.rendering.scene import Placement

PANEL = 320  # px, side of one view
HEAD = 44  # px of text above them
FILLED = 0.80  # of a panel's side that the object's sphere takes
DISTANCE = 8.0  # of the camera from the middle, in radii: hardly any perspective
BACKGROUNDS = (35, 128, 232)  # sRGB grays, of which the one that the object stands out of is taken
CROSS = 30  # px, length of an axis in a panel's corner
AXES = {"x": (225, 50, 50), "y": (40, 165, 60), "z": (60, 100, 245)}  # RGB, as RViz has them
# Name, direction from the middle to the camera, and what is up in the picture.
VIEWS = (
    ("+x", (1, 0, 0), (0, 0, 1)), ("+y", (0, 1, 0), (0, 0, 1)), ("+z", (0, 0, 1), (0, 1, 0)),
    ("-x", (-1, 0, 0), (0, 0, 1)), ("-y", (0, -1, 0), (0, 0, 1)), ("-z", (0, 0, -1), (0, 1, 0)),
)  # fmt: skip


@dataclass(frozen=True)
class _View:
    """One side: its picture, and how the object lies in it."""

    name: str
    T_cam_obj: np.ndarray  # (4, 4), the object's radius as unit of length
    pixels: np.ndarray  # (PANEL, PANEL, 3) uint8


def save_preview(path: Path, mesh: Mesh, title: str) -> None:
    """Writes a PNG of six views, all of one scale, with axes, origin and size.

    Args:
        path: of the PNG; its folder is made.
        mesh: in metres.
        title: first line of the picture.

    Raises:
        CopeError: nothing can be rendered here, see ``Renderer``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as beside:
        Image.fromarray(preview(mesh, title)).save(beside, optimize=True)


def preview(mesh: Mesh, title: str) -> np.ndarray:
    """(HEAD + 2 PANEL, 3 PANEL, 3) uint8: see ``save_preview``."""
    low, high = (f(axis=0).astype(np.float64) for f in (mesh.vertices.min, mesh.vertices.max))
    radius = float(np.linalg.norm(mesh.vertices - 0.5 * (low + high), axis=1).max())
    views, background = _drawn(mesh, 0.5 * (low + high), radius)
    ink = (0, 0, 0) if background > 100 else (255, 255, 255)
    sheet = Image.new("RGB", (3 * PANEL, HEAD + 2 * PANEL), "white")
    pen = ImageDraw.Draw(sheet)
    size = " x ".join(f"{v / MM:.4g}" for v in high - low)
    origin = " ".join(f"{v:.4g}" for v in np.round(-0.5 * (low + high) / MM, 2) + 0.0)
    pen.text((8, 4), title, "black", ImageFont.load_default(16))
    words = f"{size} mm along x, y, z; origin (circle) at {origin} mm from the middle"
    pen.text((8, 25), words, "black", ImageFont.load_default(12))
    for place, view in enumerate(views):
        panel = Image.fromarray(view.pixels)
        _annotate(panel, view, ink, radius if place == 0 else None)
        sheet.paste(panel, (place % 3 * PANEL, HEAD + place // 3 * PANEL))
        corner = (place % 3 * PANEL, HEAD + place // 3 * PANEL)
        pen.rectangle((*corner, corner[0] + PANEL - 1, corner[1] + PANEL - 1), outline="gray")
    return np.asarray(sheet)


def _drawn(mesh: Mesh, middle: np.ndarray, radius: float) -> tuple[list[_View], int]:
    """The views, where the object's sphere has radius 1, and the gray behind them."""
    renderer, size = Renderer([mesh]), (PANEL, PANEL)
    placed = [Placement(0, T) for T in _poses(middle, radius)]
    shades = []
    for one in placed:
        covered = renderer.draw_labels([one], _K(), size)[1] > 0
        shades.append(renderer.picture([one], _K(), size)[covered])
    background = _background(np.concatenate(shades))
    behind = np.full((PANEL, PANEL, 3), background, dtype=np.uint8)
    views = [
        _View(name, one.T_cam_obj, renderer.picture([one], _K(), size, background=behind))
        for (name, _, _), one in zip(VIEWS, placed, strict=True)
    ]
    return views, background


def _poses(middle: np.ndarray, radius: float) -> list[np.ndarray]:
    """T_cam_obj (4, 4) of each of VIEWS."""
    poses = []
    for _, direction, up in VIEWS:
        forward, down = -np.array(direction, dtype=np.float64), -np.array(up, dtype=np.float64)
        T = np.eye(4)
        T[:3, :3] = np.stack([np.cross(down, forward), down, forward]) / radius
        T[:3, 3] = [0.0, 0.0, DISTANCE] - T[:3, :3] @ middle
        poses.append(T)
    return poses


def _K() -> np.ndarray:
    """(3, 3) px: the unit sphere at DISTANCE takes the share FILLED of a panel."""
    focal = 0.5 * FILLED * PANEL * np.sqrt(DISTANCE**2 - 1.0)
    middle = 0.5 * (PANEL - 1)
    return np.array([[focal, 0.0, middle], [0.0, focal, middle], [0.0, 0.0, 1.0]])


def _background(shades: np.ndarray) -> int:
    """The gray that most of the object's (N, 3) pixels differ from."""
    if not len(shades):
        return BACKGROUNDS[-1]
    gaps = [np.abs(shades.astype(int) - gray).max(axis=1) for gray in BACKGROUNDS]
    return BACKGROUNDS[int(np.argmax([np.percentile(gap, 10) for gap in gaps]))]


def _annotate(
    panel: Image.Image, view: _View, ink: tuple[int, int, int], radius: float | None
) -> None:
    """Writes the view's name, the axes, the origin and, where ``radius`` is given, a scale."""
    pen, font = ImageDraw.Draw(panel), ImageFont.load_default(14)
    pen.text((8, 5), f"from {view.name}", ink, font)
    uvw = _K() @ view.T_cam_obj[:3, 3]
    u, v = uvw[:2] / uvw[2] if uvw[2] > 0 else (-1.0, -1.0)
    if 0 <= u < PANEL and 0 <= v < PANEL:
        pen.ellipse((u - 4, v - 4, u + 4, v + 4), outline=ink, width=3)
        pen.ellipse((u - 3, v - 3, u + 3, v + 3), outline=(255, 160, 0), width=2)
    elif uvw[2] > 0:
        pen.text((PANEL - 8, 5), "origin outside", ink, font, anchor="ra")
    _draw_axes(pen, view.T_cam_obj[:3, :3], ink)
    if radius is not None:
        _draw_scale(pen, radius, ink)


def _draw_axes(pen: ImageDraw.ImageDraw, R: np.ndarray, ink: tuple[int, int, int]) -> None:
    """The object's axes in the lower left corner; one towards the viewer is a dot, away a ring."""
    start, font = np.array([48.0, PANEL - 48.0]), ImageFont.load_default(14)
    along = R / np.linalg.norm(R, axis=0)
    for axis in np.argsort(np.abs(along[2])).tolist():  # the dot last, above the lines
        name, color = list(AXES)[axis], list(AXES.values())[axis]
        place = start + (CROSS + 10) * along[:2, axis]
        if abs(along[2, axis]) > 0.5:
            place = start + np.array([-12.0, 12.0])
            spot = color if along[2, axis] < 0 else None
            pen.ellipse((*(start - 5), *(start + 5)), outline=color, width=3, fill=spot)
        else:
            pen.line((*start, *(start + CROSS * along[:2, axis])), fill=color, width=4)
        at = (float(place[0]), float(place[1]))
        pen.text(at, name, color, font, anchor="mm", stroke_width=1, stroke_fill=ink)


def _draw_scale(pen: ImageDraw.ImageDraw, radius: float, ink: tuple[int, int, int]) -> None:
    """A bar of a round length in the lower right corner."""
    px_per_m = _K()[0, 0] / DISTANCE / radius
    longest = 0.3 * PANEL / px_per_m
    decade = 10.0 ** np.floor(np.log10(longest))
    length = decade * max(step for step in (1, 2, 5) if step * decade <= longest)
    right, bottom = PANEL - 12, PANEL - 14
    pen.line((right - length * px_per_m, bottom, right, bottom), fill=ink, width=3)
    pen.text((right, bottom - 4), f"{length / MM:g} mm", ink, ImageFont.load_default(14), "rb")
