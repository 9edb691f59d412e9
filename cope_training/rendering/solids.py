"""Printed solids in millimetres, made into meshes with vertex colours or with a texture.

A solid is a list of printed panels, plain polygons and turned bands. ``colored_mesh`` covers
each drawing by one-colour quads, so that any program shows it from vertex colours alone;
``textured_mesh`` keeps few triangles and a texture, which a software renderer draws far faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cope_ros.core.catalogue import MM
from cope_training.rendering.canvas import Color, rectangles
from cope_training.rendering.meshes import Mesh
from cope_training.rendering.packing import pack_rows

# Neighbouring one-colour quads overlap by twice this much (mm). It hides the hairline gaps of
# T-junctions, and keeps programs that merge equal vertices from smearing colours.
OVERLAP = 0.004
TEXELS = 2  # per mm, so that the edges of the drawing stay sharp when magnified
PADDING = 8  # px of the drawing repeated around it, so that small mip levels do not bleed
Profile = tuple[float, float]  # (radius, z) mm


@dataclass(frozen=True)
class Panel:
    """A drawing on a parallelogram: its top left corner, upper and left edge as vectors, mm."""

    canvas: np.ndarray  # (H, W, 3) uint8
    corner: Sequence[float]
    right: Sequence[float]
    down: Sequence[float]


@dataclass(frozen=True)
class Band:
    """A surface of revolution about z between two profile points, in rings of colour.

    The outside is to the right of the way from start to end, with the radius drawn to the
    right and z up. ``rings`` lists where each ring ends, as a share of the way, and its colour.
    """

    start: Profile
    end: Profile
    rings: Sequence[tuple[float, Color]]


@dataclass
class Solid:
    """A closed printed body; the outside of every part is its front."""

    panels: list[Panel] = field(default_factory=list)
    polygons: list[tuple[np.ndarray, Color]] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    segments: int = 48  # around bands


class _Parts:
    """Collects polygons, each a fan of triangles with one attribute row per corner."""

    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []  # (N, 6) position, normal
        self.attributes: list[np.ndarray] = []
        self.faces: list[np.ndarray] = []
        self.count = 0

    def add(
        self, corners: np.ndarray, attributes: np.ndarray, normals: np.ndarray | None = None
    ) -> None:
        if normals is None:
            normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
            normals = np.tile(normal / np.linalg.norm(normal), (len(corners), 1))
        fan = np.array([[0, i, i + 1] for i in range(1, len(corners) - 1)])
        self.rows.append(np.concatenate([corners, normals], axis=1))
        self.attributes.append(attributes)
        self.faces.append(fan + self.count)
        self.count += len(corners)

    def geometry(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices in metres, normals, and the faces that have an area."""
        rows, faces = np.concatenate(self.rows), np.concatenate(self.faces)
        corners = rows[faces, :3]
        areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        faces = faces[np.linalg.norm(areas, axis=1) > 1e-9].astype(np.int32)
        return (rows[:, :3] * MM).astype("f4"), rows[:, 3:].astype("f4"), faces


def _ring(start: np.ndarray, end: np.ndarray, segments: int) -> tuple[np.ndarray, np.ndarray]:
    """(S, 4, 3) corners and normals of the quads between two profile points."""
    way = (end - start) / np.linalg.norm(end - start)
    angles = np.linspace(0.0, 2.0 * np.pi, segments + 1)
    spokes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    normals = np.c_[spokes * way[1], np.full(len(spokes), -way[0])]
    low, high = (np.c_[spokes * p[0], np.full(len(spokes), p[1])] for p in (start, end))
    quads = np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
    return quads, np.stack([normals[:-1], normals[1:], normals[1:], normals[:-1]], axis=1)


def colored_mesh(solid: Solid) -> Mesh:
    """The solid with vertex colours: one quad per one-colour rectangle of every drawing."""
    parts = _Parts()
    for panel in solid.panels:
        _color_panel(parts, panel)
    for corners, color in solid.polygons:
        parts.add(corners, np.tile(np.array(color), (len(corners), 1)))
    for band in solid.bands:
        start, end = np.array(band.start), np.array(band.end)
        step = (end - start) / np.linalg.norm(end - start) * OVERLAP
        low = 0.0
        for high, color in band.rings:
            a, b = start + low * (end - start) - step, start + high * (end - start) + step
            a[0], b[0] = max(a[0], 0.0), max(b[0], 0.0)
            for quad, normals in zip(*_ring(a, b, solid.segments), strict=True):
                parts.add(quad, np.tile(np.array(color), (4, 1)), normals)
            low = high
    vertices, normals, faces = parts.geometry()
    colors = np.concatenate(parts.attributes).astype(np.uint8)
    return Mesh(vertices, faces, normals, colors)


def _color_panel(parts: _Parts, panel: Panel) -> None:
    height, width = panel.canvas.shape[:2]
    origin, right, down = (
        np.array(a, dtype=float) for a in (panel.corner, panel.right, panel.down)
    )
    wide = OVERLAP * right / np.linalg.norm(right)
    deep = OVERLAP * down / np.linalg.norm(down)
    for x, y, w, h, color in rectangles(panel.canvas):
        west, east = right * x / width - wide, right * (x + w) / width + wide
        north, south = down * y / height - deep, down * (y + h) / height + deep
        corners = origin + np.array([west + north, west + south, east + south, east + north])
        parts.add(corners, np.tile(np.array(color), (4, 1)))


def textured_mesh(solid: Solid) -> Mesh:
    """The solid with one texture and no more triangles than its shape needs."""
    drawings = [panel.canvas for panel in solid.panels]
    drawings += [np.full((2, 2, 3), color, dtype=np.uint8) for _, color in solid.polygons]
    drawings += [_band_drawing(band) for band in solid.bands]
    texture, places = _paste(drawings)
    parts = _Parts()
    for panel, (left, top, wide, high) in zip(solid.panels, places, strict=False):
        origin, right, down = (np.array(a, float) for a in (panel.corner, panel.right, panel.down))
        corners = np.stack([origin, origin + down, origin + down + right, origin + right])
        ends = [[left, top], [left, top + high], [left + wide, top + high], [left + wide, top]]
        parts.add(corners, np.array(ends))
    rest = places[len(solid.panels) :]
    for (corners, _), (left, top, wide, high) in zip(solid.polygons, rest, strict=False):
        parts.add(corners, np.tile([left + wide / 2, top + high / 2], (len(corners), 1)))
    rest = rest[len(solid.polygons) :]
    for band, (left, top, wide, high) in zip(solid.bands, rest, strict=True):
        u, v = np.full(4, left + wide / 2), np.array([top, top, top + high, top + high])
        rings = _ring(np.array(band.start), np.array(band.end), solid.segments)
        for quad, normals in zip(*rings, strict=True):
            parts.add(quad, np.stack([u, v], axis=1), normals)
    vertices, normals, faces = parts.geometry()
    size = np.array(texture.shape[1::-1], dtype=float)
    uv = np.concatenate(parts.attributes) * TEXELS / size
    uv[:, 1] = 1.0 - uv[:, 1]
    white = np.full((len(vertices), 3), 255, dtype=np.uint8)
    return Mesh(vertices, faces, normals, white, uv.astype("f4"), texture)


def _band_drawing(band: Band) -> np.ndarray:
    """A column that shows the rings, from start down to end, a pixel per millimetre."""
    height = max(int(np.ceil(np.linalg.norm(np.subtract(band.end, band.start)))), 2)
    ends = np.array([share for share, _ in band.rings])
    share = (np.arange(height) + 0.5) / height
    colors = np.array([color for _, color in band.rings], dtype=np.uint8)
    column = colors[np.minimum(np.searchsorted(ends, share), len(colors) - 1)]
    return np.repeat(column[:, None], 16, axis=1)


def _paste(drawings: Sequence[np.ndarray]) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """One texture of all drawings, and where each lies: left, top, width, height in canvas px."""
    sizes = np.array([d.shape[1::-1] for d in drawings]) + 2 * PADDING
    side = max(int(np.ceil(np.sqrt(sizes.prod(axis=1).sum()) * 1.15)), int(sizes.max()))
    places: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)] * len(drawings)
    sheets = pack_rows(sizes, side, 1 << 20)
    used = max(y + height for _, _, y, _, height in sheets[0])
    sheet = np.zeros((used, side, 3), dtype=np.uint8)
    for i, x, y, width, height in sheets[0]:
        pads = ((PADDING, PADDING), (PADDING, PADDING), (0, 0))
        sheet[y : y + height, x : x + width] = np.pad(drawings[i], pads, mode="edge")
        places[i] = (x + PADDING, y + PADDING, width - 2 * PADDING, height - 2 * PADDING)
    return sheet.repeat(TEXELS, axis=0).repeat(TEXELS, axis=1), places
