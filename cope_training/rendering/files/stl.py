"""STL and OFF files: shapes, in OFF with colours where it has them."""

import re

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.assets import Assets, decode_text
from cope_training.rendering.files.parts import (
    FARTHEST,
    Part,
    Reading,
    check_indices,
    fan,
    unit_colors,
)

HEADER = 84  # bytes before the first triangle of a binary STL
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("extra", "<u2")])
_NUMBER = rb"[-+0-9.eEnaifNAIF]+"
_VERTEX = re.compile(rb"vertex\s+(%s)\s+(%s)\s+(%s)" % (_NUMBER, _NUMBER, _NUMBER), re.IGNORECASE)


def read_stl(data: bytes, assets: Assets) -> Reading:
    """Reads a binary or ASCII STL file, which has no colours.

    Bytes after the last triangle of a binary file are left out.

    Raises:
        CopeError: it is broken or ends before its last triangle.
    """
    reading = Reading(assets)
    text = data.lstrip()[:5].lower() == b"solid" and b"facet" in data[:2000].lower()
    if text:
        corners = _ascii_corners(data, str(assets.source))
    else:
        corners = _binary_corners(data, assets, reading)
    if not len(corners):
        raise CopeError(f"{assets.source}: expected a mesh with triangles, got none")
    wrong = ~(np.abs(corners) <= FARTHEST).all(axis=(1, 2))
    if wrong.any():
        facet = int(np.flatnonzero(wrong)[0])
        got = " ".join(f"{v:g}" for v in corners[facet].reshape(-1))
        raise CopeError(
            f"{assets.source}: facet {facet}: expected finite numbers up to {FARTHEST:g}, got {got}"
        )
    points, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    reading.parts.append(Part(points, index.reshape(-1, 3)))
    return reading


def _ascii_corners(data: bytes, source: str) -> np.ndarray:
    try:
        numbers = np.array(_VERTEX.findall(data), dtype=np.float64)
    except ValueError as error:
        raise CopeError(f"{source}: expected an STL mesh, got {error}") from error
    facets = len(re.findall(rb"facet\s+normal", data, re.IGNORECASE))
    ended = re.search(rb"endsolid", data, re.IGNORECASE) is not None
    if len(numbers) != 3 * facets or not ended:
        raise CopeError(
            f"{source}: expected three vertices for each of {facets} facets and endsolid, got "
            f"{len(numbers)} vertices{'' if ended else ' and no endsolid'}: the file ends early"
        )
    return numbers.reshape(-1, 3, 3)


def _binary_corners(data: bytes, assets: Assets, reading: Reading) -> np.ndarray:
    if len(data) < HEADER:
        raise CopeError(f"{assets.source}: expected an STL mesh, got {len(data)} bytes")
    count = int(np.frombuffer(data, "<u4", 1, 80)[0])
    there = (len(data) - HEADER) // _TRIANGLE.itemsize
    if there < count:
        raise CopeError(
            f"{assets.source}: expected {count} triangles as its header says, got {there}: the "
            "file ends early"
        )
    extra = len(data) - HEADER - count * _TRIANGLE.itemsize
    if extra:
        reading.notes.append(f"{extra} bytes after the last triangle are left out")
    return np.frombuffer(data, _TRIANGLE, count, HEADER)["corners"].astype(np.float64)


def read_off(data: bytes, assets: Assets) -> Reading:
    """Reads an OFF or COFF file: colours of vertices or of faces.

    Raises:
        CopeError: it is broken.
    """
    source = str(assets.source)
    lines = [line.split("#")[0].split() for line in decode_text(data).splitlines()]
    lines = [line for line in lines if line]
    try:
        kind = lines[0][0].upper()
        if kind not in ("OFF", "COFF"):
            raise ValueError(f"a file that begins with {lines[0][0][:20]!r}")
        counts, at = (lines[0][1:], 1) if len(lines[0]) > 1 else (lines[1], 2)
        n_vertices, n_faces = int(counts[0]), int(counts[1])
        rows, polygons = lines[at : at + n_vertices], lines[at + n_vertices :][:n_faces]
        if len(rows) < n_vertices or len(polygons) < n_faces:
            raise ValueError("a file that ends early")
        vertices = np.array([row[:3] for row in rows], dtype=np.float64).reshape(-1, 3)
        corners = [[int(c) for c in row[1 : 1 + int(row[0])]] for row in polygons]
        colors = _off_colors([row[3:6] for row in rows])
        by_face = _off_colors([row[1 + int(row[0]) :][:3] for row in polygons])
    except (ValueError, IndexError) as error:
        raise CopeError(f"{source}: expected an OFF mesh, got {error}") from error
    faces = fan(corners)
    if not len(faces):
        raise CopeError(f"{source}: expected a mesh with triangles, got none")
    check_indices(faces, len(vertices), source)
    if colors is None and by_face is not None:
        owner = np.repeat(np.arange(len(corners)), [max(len(c) - 2, 0) for c in corners])
        flat = faces.reshape(-1)
        vertices, colors = vertices[flat], np.repeat(by_face[owner], 3, axis=0)
        faces = np.arange(len(flat)).reshape(-1, 3)
        return Reading(assets, [Part(vertices, faces, colors, numbers=flat)])
    return Reading(assets, [Part(vertices, faces, colors)])


def _off_colors(rows: list[list[str]]) -> np.ndarray | None:
    """Colours where every row has three numbers: integers to 255 or floats to 1."""
    if not rows or any(len(row) < 3 for row in rows):
        return None
    whole = all("." not in value for row in rows for value in row)
    values = np.array(rows, dtype=np.float64)
    return unit_colors(values, 255.0 if whole else None)
