"""COLLADA and STEP files, by libraries that the extra ``cad`` installs."""

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.assets import Assets
from cope_training.rendering.files.gltf import read_gltf
from cope_training.rendering.files.parts import Part, Reading, Texture, unit_colors
from cope_training.rendering.files.step_unit import step_unit
from cope_training.rendering.files.units import stated_unit, unit_name

PIP_LINE = "pip install cope_ros[cad]"
COARSEST = 0.1  # mm, how far triangles of a STEP file may lie off its surface;
ANGLE = 0.3  # rad, between neighbours


def read_step(data: bytes, assets: Assets) -> Reading:
    """Reads a STEP file: its solids as triangles, with their colours.

    Raises:
        CopeError: it is broken, or cascadio is not installed.
    """
    try:
        import cascadio
    except ImportError as error:
        raise CopeError(_missing(assets, "STEP")) from error
    if b"ISO-10303-21" not in data[:1000]:
        raise CopeError(f"{assets.source}: expected a STEP file (ISO-10303-21), got another")
    with tempfile.TemporaryDirectory() as folder:
        step, glb = Path(folder) / "in.step", Path(folder) / "out.glb"
        step.write_bytes(data)
        with _quiet():
            cascadio.step_to_glb(str(step), str(glb), COARSEST, ANGLE)
        if not glb.is_file():
            raise CopeError(f"{assets.source}: expected a STEP file with solids, got none")
        converted = glb.read_bytes()
    reading = read_gltf(converted, assets)
    unit = step_unit(data)
    if unit is None:
        reading.unit_source = "STEP files are converted to metres"
        return reading
    for part in reading.parts:
        part.vertices = part.vertices / unit
    reading.unit, reading.unit_source = unit, f"the file states {unit_name(unit)}"
    return reading


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what a library in C++ prints off the terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in (*kept, nothing):
            os.close(descriptor)


def read_dae(data: bytes, assets: Assets) -> Reading:
    """Reads a COLLADA file: what its scene places, with colours and textures.

    Raises:
        CopeError: it is broken, pycollada is not installed, or a texture is missing.
    """
    try:
        import collada
    except ImportError as error:
        raise CopeError(_missing(assets, "COLLADA")) from error
    skipped = [collada.common.DaeUnsupportedError, collada.common.DaeBrokenRefError]
    try:
        document = collada.Collada(io.BytesIO(data), ignore=skipped)
    except (collada.common.DaeError, ValueError, TypeError, AttributeError, KeyError) as error:
        what = str(error).split("\n")[0]
        raise CopeError(f"{assets.source}: expected a COLLADA file, got {what}") from error
    if document.scene is None:
        raise CopeError(f"{assets.source}: expected a scene, got none")
    reading = Reading(assets, [], *_dae_unit(document.assetInfo.xmlnode, str(assets.source)))
    textures: dict[str, Texture | None] = {}
    for placed in document.scene.objects("geometry"):
        for primitive in placed.primitives():
            part = _part(primitive, assets, textures)
            if part is not None:
                reading.parts.append(part)
    return reading


def _dae_unit(asset: Any, source: str) -> tuple[float, str]:
    """Metres of a COLLADA file's unit, and how it is stated."""
    stated = None if asset is None else asset.find("{*}unit")
    metres = None if stated is None else stated.get("meter")
    if metres is None:
        return 1.0, "COLLADA files that name no unit are in metres"
    statement = f'<unit meter="{metres}">'
    return stated_unit(metres, f"{source}: {statement}"), f"the file states {statement}"


def _part(primitive: Any, assets: Assets, textures: dict[str, Texture | None]) -> Part | None:
    """One placed primitive; None for lines."""
    import collada

    sets = collada.triangleset.BoundTriangleSet, collada.polylist.BoundPolylist
    if not isinstance(primitive, sets):
        return None
    if isinstance(primitive, collada.polylist.BoundPolylist):
        primitive = primitive.triangleset()
    if primitive.vertex is None or len(primitive.vertex_index) == 0:
        return None
    flat = np.asarray(primitive.vertex_index).reshape(-1)
    faces = np.arange(len(flat)).reshape(-1, 3)
    vertices = np.asarray(primitive.vertex, dtype=np.float64)[flat]
    part = Part(vertices, faces, numbers=flat)
    part.colors = _vertex_colors(primitive)
    _dress(part, primitive, assets, textures)
    return part


def _vertex_colors(primitive: Any) -> np.ndarray | None:
    sources = primitive.original.sources.get("COLOR", [])
    if not sources:
        return None
    offset, values = sources[0][0], np.asarray(sources[0][4].data)
    index = primitive.original.index if hasattr(primitive.original, "index") else primitive.index
    return unit_colors(values[np.asarray(index)[:, :, offset].reshape(-1)][:, :3])


def _dress(part: Part, primitive: Any, assets: Assets, textures: dict[str, Texture | None]) -> None:
    """Gives a part its material's texture, or its colour where it has none of its own."""
    diffuse = getattr(getattr(primitive.material, "effect", None), "diffuse", None)
    if diffuse is None:
        return
    if hasattr(diffuse, "sampler"):
        name = str(diffuse.sampler.surface.image.path)
        if name not in textures:
            pixels = assets.picture(name)
            textures[name] = None if pixels is None else Texture(pixels)
        points = _texture_points(primitive)
        if textures[name] is not None and points is not None:
            part.texture, part.uv = textures[name], points
    elif part.colors is None:
        color = np.array([float(v) for v in diffuse[:3]]).clip(0.0, 1.0)
        part.colors = np.tile(color, (len(part.vertices), 1))


def _texture_points(primitive: Any) -> np.ndarray | None:
    for points, index in _pairs(primitive):
        return np.asarray(points, dtype=np.float64)[np.asarray(index).reshape(-1)][:, :2]
    return None


def _pairs(primitive: Any) -> Iterator[tuple[Any, Any]]:
    return zip(primitive.texcoordset, primitive.texcoord_indexset, strict=False)


def _missing(assets: Assets, kind: str) -> str:
    return f"{assets.source}: {kind} files need more libraries: {PIP_LINE}"
