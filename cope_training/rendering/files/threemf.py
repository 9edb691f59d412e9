"""3MF files: placed objects and their colours (base materials and colour groups)."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.assets import Assets
from cope_training.rendering.files.parts import GRAY, Part, Reading, check_indices

_UNITS = {
    "micron": 1e-6, "millimeter": 1e-3, "centimeter": 0.01, "inch": 0.0254, "foot": 0.3048,
    "meter": 1.0,
}  # fmt: skip
Element = ElementTree.Element
_Models = dict[str, Element]  # root elements by their path in the archive
DEEPEST = 32  # levels of components


def read_3mf(data: bytes, assets: Assets) -> Reading:
    """Reads a 3MF file: everything that its build section places.

    Raises:
        CopeError: it is broken.
    """
    source = str(assets.source)
    try:
        models = _models(data)
        start = next(p for p in models if p.casefold().endswith("3d/3dmodel.model"))
        reading = Reading(assets, [], *_unit(models[start], source))
        for item in _all(models[start], "item"):
            T = _transform(item.get("transform"))
            path = _path(item, start)
            reading.parts += _placed(models, path, item.attrib["objectid"], T, source, 0)
    except (zipfile.BadZipFile, ElementTree.ParseError, StopIteration) as error:
        raise CopeError(f"{source}: expected a 3MF file, got {error or 'no model'}") from error
    except (KeyError, ValueError, IndexError, EOFError) as error:
        if isinstance(error, CopeError):
            raise
        what = f"{type(error).__name__}: {error}"
        raise CopeError(f"{source}: expected a 3MF file, got {what}") from error
    return reading


def _unit(model: Element, source: str) -> tuple[float, str]:
    """Metres of a model's unit, and how it is stated.

    Raises:
        CopeError: nobody knows it.
    """
    name = model.get("unit")
    if name is None:
        return _UNITS["millimeter"], "3MF files that name no unit are in millimetres"
    length = _UNITS.get(name.strip().casefold())
    if length is None:
        raise CopeError(f'{source}: unit="{name}": expected one of {", ".join(_UNITS)}')
    return length, f'the file states unit="{name}"'


def _models(data: bytes) -> _Models:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [n for n in archive.namelist() if n.casefold().endswith(".model")]
        return {n.lstrip("/"): ElementTree.fromstring(archive.read(n)) for n in names}


def _all(element: Element, name: str) -> Iterator[Element]:
    """Descendants of a name, whatever their namespace."""
    return (e for e in element.iter() if e.tag.rpartition("}")[2] == name)


def _path(element: Element, here: str) -> str:
    """The model that an item or component points into (production extension)."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == "path":
            return value.lstrip("/")
    return here


def _transform(text: str | None) -> np.ndarray:
    T = np.eye(4)
    if text:
        T[:3] = np.array(text.split(), dtype=np.float64).reshape(4, 3).T
    return T


def _placed(
    models: _Models, path: str, number: str, T: np.ndarray, source: str, depth: int
) -> list[Part]:
    """The parts of an object and of the components it is made of."""
    if depth > DEEPEST:
        raise ValueError("components that contain themselves")
    root = models[path]
    item = next((o for o in _all(root, "object") if o.get("id") == number), None)
    if item is None:
        raise ValueError(f"no object {number}")
    parts = [_part(root, item, mesh, T, source) for mesh in _all(item, "mesh")]
    for component in _all(item, "component"):
        T_part = T @ _transform(component.get("transform"))
        there = _path(component, path)
        parts += _placed(models, there, component.attrib["objectid"], T_part, source, depth + 1)
    return parts


def _part(root: Element, item: Element, mesh: Element, T: np.ndarray, source: str) -> Part:
    points = [[float(v.attrib[a]) for a in "xyz"] for v in _all(mesh, "vertex")]
    vertices = np.array(points, dtype=np.float64).reshape(-1, 3) @ T[:3, :3].T + T[:3, 3]
    triangles = list(_all(mesh, "triangle"))
    corners = [[int(t.attrib[k]) for k in ("v1", "v2", "v3")] for t in triangles]
    faces = np.array(corners, dtype=np.int64).reshape(-1, 3)
    check_indices(faces, len(vertices), source)
    colors = _corner_colors(root, item, triangles)
    place = f"object {item.get('id')}"
    if np.linalg.det(T[:3, :3]) < 0:
        faces = faces[:, ::-1]
        colors = None if colors is None else colors[:, ::-1]
    if colors is None:
        return Part(vertices, faces, place=place)
    flat = faces.reshape(-1)
    rows = np.arange(len(flat)).reshape(-1, 3)
    return Part(vertices[flat], rows, colors.reshape(-1, 3), numbers=flat, place=place)


def _corner_colors(root: Element, item: Element, triangles: list[Element]) -> np.ndarray | None:
    """(F, 3, 3) sRGB of the triangles' corners, None where nothing has a colour."""
    groups = {g.attrib["id"]: _group_colors(g) for g in root.iter() if _is_group(g)}
    own = item.get("pid"), item.get("pindex", "0")
    rows: list[Any] = []
    for t in triangles:
        colors = groups.get(t.get("pid", own[0] or ""), [])
        first = t.get("p1", own[1])
        chosen = [int(t.get(key, first)) for key in ("p1", "p2", "p3")]
        known = all(0 <= i < len(colors) for i in chosen)
        rows.append([colors[i] for i in chosen] if known else None)
    if all(row is None for row in rows):
        return None
    gray = [[GRAY / 255.0] * 3] * 3
    return np.array([gray if row is None else row for row in rows])


def _is_group(element: Element) -> bool:
    return element.tag.rpartition("}")[2] in ("basematerials", "colorgroup")


def _group_colors(group: Element) -> list[list[float]]:
    texts = [e.get("displaycolor") or e.get("color") or "#A0A0A0" for e in group]
    return [[int(text[k : k + 2], 16) / 255.0 for k in (1, 3, 5)] for text in texts]
