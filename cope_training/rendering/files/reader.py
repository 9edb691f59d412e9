"""One reader for mesh files of all formats: what a file holds, as one mesh, and what it took."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.assets import Assets
from cope_training.rendering.files.gltf import read_gltf
from cope_training.rendering.files.merge import Merged, merge, used
from cope_training.rendering.files.obj import read_obj
from cope_training.rendering.files.parts import Reading, check_values
from cope_training.rendering.files.ply import read_ply
from cope_training.rendering.files.stl import read_off, read_stl
from cope_training.rendering.files.threemf import read_3mf

Reader = Callable[[bytes, Assets], Reading]


def _read_dae(data: bytes, assets: Assets) -> Reading:
    from cope_training.rendering.files.cad import read_dae

    return read_dae(data, assets)


def _read_step(data: bytes, assets: Assets) -> Reading:
    from cope_training.rendering.files.cad import read_step

    return read_step(data, assets)


READERS: dict[str, Reader] = {
    ".ply": read_ply, ".obj": read_obj, ".glb": read_gltf, ".gltf": read_gltf, ".stl": read_stl,
    ".off": read_off, ".3mf": read_3mf, ".dae": _read_dae, ".step": _read_step, ".stp": _read_step,
}  # fmt: skip
FORMATS = (
    "PLY, OBJ, GLB, glTF, STL, OFF and 3MF; DAE and STEP after: pip install cope_ros[cad]; "
    "anything else after an export to GLB"
)
# What numpy and libraries raise at broken files, where a reader has no better words.
MALFORMED = (
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError, EOFError),
    struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class MeshFile(Merged):
    """What a mesh file holds, in the file's unit, and what was taken of it."""

    parts: int = 1
    unit: float | None = None  # m, where the format or the file states it
    unit_source: str = ""  # and how it does
    notes: list[str] = field(default_factory=list)  # what was left out, one sentence each


def read_mesh(path: Path | str, allow_missing_texture: bool = False) -> MeshFile:
    """Reads a mesh file.

    Args:
        path: its suffix, in any case, names the format.
        allow_missing_texture: go on where a texture or material file is missing or broken.

    Raises:
        CopeError: the file is missing, broken, of another format, or holds no triangle with a
            finite size; a texture that it names is missing.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.casefold())
    if reader is None:
        raise CopeError(f"{path}: {path.suffix or 'no suffix'} is not read. Formats: {FORMATS}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CopeError(f"{path}: cannot be read ({error.strerror})") from error
    if not data:
        raise CopeError(f"{path}: expected a mesh, got an empty file")
    assets = Assets(path, allow_missing_texture)
    try:
        with np.errstate(all="ignore"):  # what is not finite is looked at below, where it is used
            reading = reader(data, assets)
    except CopeError:
        raise
    except MALFORMED as error:
        what = f"{type(error).__name__}: {error}"
        raise CopeError(f"{path}: expected a {path.suffix[1:].upper()} mesh, got {what}") from error
    parts = [used(part) for part in reading.parts if len(part.faces)]
    if not parts:
        raise CopeError(f"{path}: expected a mesh with triangles, got none")
    for part in parts:
        check_values(part, str(path))
    merged = merge(parts)
    if not np.ptp(merged.vertices, axis=0).any():
        raise CopeError(f"{path}: expected a surface, got a point")
    notes = list(dict.fromkeys([*assets.notes, *reading.notes]))
    return MeshFile(
        **vars(merged),
        parts=len(parts),
        unit=reading.unit,
        unit_source=reading.unit_source,
        notes=notes,
    )
