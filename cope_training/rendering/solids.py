"""Building closed meshes from printed flat panels and turned profiles, in millimetres."""

from collections.abc import Sequence

import numpy as np

from cope_ros.core.catalogue import MM
from cope_training.rendering.canvas import Color, rectangles
from cope_training.rendering.meshes import Mesh

# Neighbouring one-colour quads overlap by twice this much (mm). It hides the hairline gaps of
# T-junctions, and keeps programs that merge equal vertices from smearing colours.
OVERLAP = 0.004


class SolidBuilder:
    """Collects coloured quads and triangles with their normals."""

    def __init__(self) -> None:
        self._vertices: list[np.ndarray] = []
        self._normals: list[np.ndarray] = []
        self._colors: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._count = 0

    def polygon(self, corners: np.ndarray, color: Color, normals: np.ndarray | None = None) -> None:
        """Adds a convex polygon, (N, 3) mm, counter-clockwise from outside."""
        if normals is None:
            normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
            normals = np.tile(normal / np.linalg.norm(normal), (len(corners), 1))
        fan = [[0, i, i + 1] for i in range(1, len(corners) - 1)]
        self._vertices.append(corners)
        self._normals.append(normals)
        self._colors.append(np.tile(np.array(color, dtype=np.uint8), (len(corners), 1)))
        self._faces.append(np.array(fan) + self._count)
        self._count += len(corners)

    def panel(
        self, canvas: np.ndarray, corner: Sequence[float], right: Sequence[float],
        down: Sequence[float],
    ) -> None:  # fmt: skip
        """Adds a printed parallelogram seen from outside.

        Args:
            canvas: (H, W, 3) uint8 drawing.
            corner: mm, where the drawing's top left corner lies.
            right: mm, the whole upper edge of the drawing.
            down: mm, the whole left edge of the drawing.
        """
        height, width = canvas.shape[:2]
        origin, u, v = (np.array(a, dtype=float) for a in (corner, right, down))
        unit_u, unit_v = u / np.linalg.norm(u), v / np.linalg.norm(v)
        for x, y, w, h, color in rectangles(canvas):
            left, right_end = (
                u * x / width - unit_u * OVERLAP,
                u * (x + w) / width + unit_u * OVERLAP,
            )
            top, bottom = v * y / height - unit_v * OVERLAP, v * (y + h) / height + unit_v * OVERLAP
            corners = [left + top, left + bottom, right_end + bottom, right_end + top]
            self.polygon(origin + np.array(corners), color)

    def turned(
        self, start: tuple[float, float], end: tuple[float, float], color: Color, segments: int
    ) -> None:
        """Adds a band of revolution about z between two (radius, z) points of a profile.

        The outside is to the right of the way from start to end, seen with the radius to the
        right and z up.
        """
        a, b = np.array(start, dtype=float), np.array(end, dtype=float)
        way = (b - a) / np.linalg.norm(b - a)
        a, b = a - way * OVERLAP, b + way * OVERLAP
        a[0], b[0] = max(a[0], 0.0), max(b[0], 0.0)
        angles = np.linspace(0.0, 2.0 * np.pi, segments + 1)
        spokes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        normals = np.c_[spokes * way[1], np.full(len(spokes), -way[0])]
        low, high = (np.c_[spokes * p[0], np.full(len(spokes), p[1])] for p in (a, b))
        for i in range(segments):
            corners = np.array([low[i], low[i + 1], high[i + 1], high[i]])
            self.polygon(corners, color, normals[[i, i + 1, i + 1, i]])

    def build(self) -> Mesh:
        """The mesh of all that was added, in metres, without triangles of no area."""
        vertices = np.concatenate(self._vertices)
        faces = np.concatenate(self._faces)
        corners = vertices[faces]
        areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        faces = faces[np.linalg.norm(areas, axis=1) > 1e-9]
        return Mesh(
            vertices=(vertices * MM).astype("f4"),
            faces=faces.astype(np.int32),
            normals=np.concatenate(self._normals).astype("f4"),
            colors=np.concatenate(self._colors),
        )
