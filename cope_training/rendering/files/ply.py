"""PLY meshes: triangles and polygons, colours of any type, texture coordinates."""

from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.assets import Assets
from cope_training.rendering.files.parts import (
    Part,
    Reading,
    Texture,
    check_indices,
    fan,
    unit_colors,
)
from cope_training.rendering.files.ply_tables import read_tables

MODULATED = "colors modulate the texture"  # a comment of our own files, see ``meshes.save_ply``
LARGEST_INDEX = 2**53  # up to here, floats are whole numbers
_COLORS = (
    ("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"),
)  # fmt: skip
_UV = (("texture_u", "texture_v"), ("u", "v"), ("s", "t"), ("texture_s", "texture_t"))


def read_ply(data: bytes, assets: Assets) -> Reading:
    """Reads a PLY file.

    Raises:
        CopeError: it is broken, has no faces, or its texture is missing.
    """
    source = str(assets.source)
    try:
        tables, comments = read_tables(data)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise CopeError(f"{source}: expected a PLY mesh, got {error}") from error
    if "vertex" not in tables or not {"x", "y", "z"} <= set(tables["vertex"]):
        raise CopeError(f"{source}: expected vertices with x, y and z, got none")
    vertex, face = tables["vertex"], tables.get("face", {})
    rows = face.get("vertex_indices", face.get("vertex_index"))
    if rows is None or not len(rows):
        raise CopeError(f"{source}: expected a mesh with triangles, got none")
    texture = _texture(comments, assets)
    part = _part(vertex, face, rows, source, texture is not None)
    reading = Reading(assets)
    if texture is not None and part.uv is not None:
        part.texture = texture
        if part.colors is not None and MODULATED not in comments:
            if (part.colors < 1.0).any():
                reading.notes.append("its texture is taken, its vertex colours are not")
            part.colors = None  # elsewhere they are the texture's colours once more
    reading.parts.append(part)
    return reading


def _part(
    vertex: dict[str, Any], face: dict[str, Any], rows: Any, source: str, textured: bool
) -> Part:
    """The mesh; vertices are parted where colours or texture points belong to faces."""
    vertices = np.stack([vertex[a] for a in "xyz"], axis=1).astype(np.float64)
    faces, owner = _triangles(rows, len(vertices), source)
    colors, uv = _colors(vertex), _pair(vertex, _UV)
    wedges = face.get("texcoord")
    by_face = None if colors is not None else _colors(face)
    if textured and uv is None and wedges is not None:
        corners = _wedge_corners(rows, wedges)
        flat = faces.reshape(-1)
        colors = None if colors is None else colors[flat]
        if by_face is not None:
            colors = np.repeat(by_face[owner], 3, axis=0)
        rows = np.arange(len(flat)).reshape(-1, 3)
        return Part(vertices[flat], rows, colors, corners, numbers=flat)
    if by_face is not None:
        flat = faces.reshape(-1)
        uv = None if uv is None else uv[flat]
        colors = np.repeat(by_face[owner], 3, axis=0)
        rows = np.arange(len(flat)).reshape(-1, 3)
        return Part(vertices[flat], rows, colors, uv, numbers=flat)
    return Part(vertices, faces, colors, uv)


def _triangles(rows: Any, count: int, source: str) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3) triangles and (F,) the polygon that each is of."""
    for number, polygon in enumerate(rows if len(rows) and rows[0].dtype.kind == "f" else ()):
        if not (polygon == np.rint(polygon)).all() or not (np.abs(polygon) < LARGEST_INDEX).all():
            raise CopeError(f"{source}: face {number}: expected whole numbers, got {polygon}")
    if isinstance(rows, np.ndarray) and rows.shape[1] == 3:
        faces = rows.astype(np.int64)
        check_indices(faces, count, source)
        return faces, np.arange(len(faces))
    owner = [i for i, p in enumerate(rows) for _ in range(len(p) - 2)]
    faces = fan([[int(c) for c in p] for p in rows])
    wrong = ((faces < 0) | (faces >= count)).any(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        check_indices(faces[row : row + 1], count, f"{source}: polygon {owner[row]}")
    return faces, np.array(owner, dtype=np.int64)


def _wedge_corners(rows: Any, wedges: Any) -> np.ndarray:
    """(3F, 2) texture points of the triangles' corners, from the polygons' own lists."""
    chosen = []
    for polygon, wedge in zip(rows, wedges, strict=True):
        points = np.asarray(wedge, dtype=np.float64).reshape(-1, 2)
        if len(points) != len(polygon):
            points = np.zeros((len(polygon), 2))
        for k in range(1, len(polygon) - 1):
            chosen += [points[0], points[k], points[k + 1]]
    return np.array(chosen).reshape(-1, 2)


def _colors(table: dict[str, Any]) -> np.ndarray | None:
    for names in _COLORS:
        if all(name in table for name in names):
            return unit_colors(np.stack([table[name] for name in names], axis=1))
    return None


def _pair(table: dict[str, Any], choices: tuple[tuple[str, str], ...]) -> np.ndarray | None:
    for names in choices:
        if all(name in table for name in names):
            return np.stack([table[name] for name in names], axis=1).astype(np.float64)
    return None


def _texture(comments: str, assets: Assets) -> Texture | None:
    for line in comments.splitlines():
        keyword, _, name = line.strip().partition(" ")
        if keyword.casefold() == "texturefile" and name.strip():
            pixels = assets.picture(name)
            return None if pixels is None else Texture(pixels)
    return None
