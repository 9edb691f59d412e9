"""Wavefront OBJ files with their materials."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.assets import Assets, decode_text
from cope_training.rendering.files.parts import Part, Reading, fan, unit_colors
from cope_training.rendering.files.wavefront import NOTHING, ObjMaterial, read_materials


@dataclass
class _Group:
    """Polygons of one material, with texture points or without."""

    rows: dict[tuple[int, int], int] = field(default_factory=dict)  # vertex, texture point or -1
    faces: list[tuple[int, ...]] = field(default_factory=list)  # values of ``rows``


@dataclass
class _Content:
    vertices: list[list[float]] = field(default_factory=list)
    colors: dict[int, list[float]] = field(default_factory=dict)
    uv: list[list[float]] = field(default_factory=list)
    groups: dict[tuple[str, bool], _Group] = field(default_factory=dict)  # material, has points
    material: str = ""  # "": none named
    libraries: list[str] = field(default_factory=list)


def read_obj(data: bytes, assets: Assets) -> Reading:
    """Reads an OBJ file: polygons, vertex colours, materials with colours and textures.

    Raises:
        CopeError: it is broken; a material file or texture that it uses is missing.
    """
    content = _parse(decode_text(data), str(assets.source))
    if not any(len(face) > 2 for group in content.groups.values() for face in group.faces):
        raise CopeError(f"{assets.source}: expected a mesh with triangles, got none")
    reading = Reading(assets)
    named = {name for name, _ in content.groups if name}
    materials = read_materials(content.libraries, assets) if named else {}
    colors = _vertex_colors(content)
    for name in sorted(named - materials.keys()):
        if not content.libraries:
            reading.notes.append(f"material {name!r} has no material file (mtllib)")
        elif materials:
            assets.without(f"material {name!r} is in none of its material files")
    vertices = np.array(content.vertices, dtype=np.float64).reshape(-1, 3)
    uv = np.array(content.uv, dtype=np.float64).reshape(-1, 2)
    for (name, has_points), group in content.groups.items():
        material = materials.get(name, NOTHING)
        if material.texture is not None and not has_points:
            reading.notes.append(f"faces of material {name!r} have no texture points")
        reading.parts.append(_part(group, vertices, colors, uv, material))
    return reading


def _part(
    group: _Group,
    vertices: np.ndarray,
    colors: np.ndarray | None,
    uv: np.ndarray,
    material: ObjMaterial,
) -> Part:
    """One material's triangles. Vertex colours stand above the material's plain colour."""
    vertex, point = np.array(list(group.rows), dtype=np.int64).T
    part = Part(vertices[vertex], fan(group.faces), numbers=vertex + 1)
    if colors is not None:
        part.colors = colors[vertex]
    if (point >= 0).all():
        part.uv = uv[point] * material.scale + material.offset
        part.texture = material.texture
    if part.texture is None and part.colors is None and material.color is not None:
        part.colors = np.tile(np.array(material.color), (len(vertex), 1))
    return part


def _vertex_colors(content: _Content) -> np.ndarray | None:
    if not content.colors:
        return None
    colors = np.ones((len(content.vertices), 3))  # where a vertex has none, white
    colors[list(content.colors)] = unit_colors(np.array(list(content.colors.values())))
    return colors


def _parse(text: str, source: str) -> _Content:
    content = _Content()
    for number, line in _lines(text):
        key, _, rest = line.partition(" ")
        words = rest.split()
        try:
            if key == "v":
                _add_vertex(content, [float(w) for w in words])
            elif key == "vt":
                content.uv.append([float(w) for w in (*words, "0")[:2]])
            elif key == "f":
                _add_face(content, words)
            elif key == "usemtl":
                content.material = rest.strip()
            elif key == "mtllib":
                content.libraries.append(rest.strip())
        except (ValueError, IndexError) as error:
            raise CopeError(
                f"{source}: line {number}: expected an OBJ mesh, got {error}"
            ) from error
    return content


def _add_vertex(content: _Content, values: list[float]) -> None:
    if len(values) < 3:
        raise ValueError(f"a vertex of {len(values)} numbers")
    if len(values) >= 6:  # a colour after the position
        content.colors[len(content.vertices)] = values[3:6]
    content.vertices.append(values[:3])


def _add_face(content: _Content, words: list[str]) -> None:
    corners = []
    for word in words:
        indices = word.split("/")
        vertex = _index(indices[0], len(content.vertices), "vertex")
        has_point = len(indices) > 1 and indices[1] != ""
        point = _index(indices[1], len(content.uv), "texture point") if has_point else -1
        corners.append((vertex, point))
    has_points = all(point >= 0 for _, point in corners)
    group = content.groups.setdefault((content.material, has_points), _Group())
    rows = group.rows
    if not has_points:
        corners = [(vertex, -1) for vertex, _ in corners]
    group.faces.append(tuple(rows.setdefault(corner, len(rows)) for corner in corners))


def _index(text: str, count: int, what: str) -> int:
    """The index from zero; negative ones count back from the last that was read."""
    index = int(text)
    found = index - 1 if index > 0 else count + index
    if index == 0 or not 0 <= found < count:
        raise ValueError(f"a face with {what} {index} of {count}")
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and content of each line that is no comment; continued lines are one."""
    held, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if line.startswith("#") and not held:
            continue
        start = start if held else number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        line = " ".join((held + line).split("#")[0].split()) if "mtl" not in line else line
        held = ""
        if line:
            yield start, line.replace("\t", " ")
