"""Material files of OBJ meshes (MTL)."""

from dataclasses import dataclass

import numpy as np

from cope_training.rendering.files.assets import (
    TRIMESH,
    TRIMESH_GRAY,
    TRIMESH_NOTE,
    Assets,
    decode_text,
)
from cope_training.rendering.files.parts import Texture

# Options of a texture line, and how many values follow each; -o, -s and -t take one to three.
_OPTIONS = {
    "-blendu": 1, "-blendv": 1, "-boost": 1, "-mm": 2, "-texres": 1, "-clamp": 1, "-bm": 1,
    "-imfchan": 1, "-type": 1, "-cc": 1, "-colorspace": 1,
}  # fmt: skip
_NUMERIC = ("-o", "-s", "-t")
GRAY = (TRIMESH_GRAY,) * 3


@dataclass(frozen=True)
class ObjMaterial:
    """Diffuse colour (sRGB from 0 to 1) and texture, both already multiplied."""

    color: tuple[float, ...] | None = None
    texture: Texture | None = None
    scale: tuple[float, float] = (1.0, 1.0)  # of texture points
    offset: tuple[float, float] = (0.0, 0.0)


NOTHING = ObjMaterial()


def read_materials(libraries: list[str], assets: Assets) -> dict[str, ObjMaterial]:
    """Materials by name; a later one of a name stands.

    Args:
        libraries: what follows each ``mtllib``: one file name, or several.

    Raises:
        CopeError: a file is missing, or a texture that is named.
    """
    materials: dict[str, ObjMaterial] = {}
    for line in libraries:
        text = _library(line, assets)
        for name, entries in _entries(text).items():
            if TRIMESH in text and "map_kd" in entries and _color(entries.get("kd", "")) == GRAY:
                del entries["kd"]
                assets.notes.append(TRIMESH_NOTE)
            materials[name] = _material(entries, assets)
    return materials


def _library(line: str, assets: Assets) -> str:
    names = [line]
    if line.casefold().count(".mtl") > 1:
        names = [part + ".mtl" for part in line.replace(".MTL", ".mtl").split(".mtl") if part]
    blobs = [assets.read(name, "material file") for name in names]
    return "\n".join(decode_text(blob) for blob in blobs if blob is not None)


def _entries(text: str) -> dict[str, dict[str, str]]:
    """The lines of each material: key in lower case, and its text."""
    materials: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.splitlines():
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        if key.casefold() == "newmtl":
            current = materials.setdefault(rest.strip(), {})
        elif key and not key.startswith("#"):
            current[key.casefold()] = rest.strip()
    return materials


def _material(entries: dict[str, str], assets: Assets) -> ObjMaterial:
    color = _color(entries.get("kd", ""))
    glow = _color(entries.get("ke", ""))
    if glow is not None and any(glow) and not any(color or ()):  # seen by its own light alone
        color = glow
    line = entries.get("map_kd") or entries.get("map_ka") or entries.get("map_ke")
    if not line:
        return ObjMaterial(color)
    name, scale, offset, clamp = _texture_line(line)
    pixels = assets.picture(name)
    if pixels is None:
        return ObjMaterial(color)
    if color is not None and any(color):  # black beside a texture means that it is not used
        pixels = np.rint(pixels * np.array(color)).astype(np.uint8)
    return ObjMaterial(color, Texture(pixels, clamp=(clamp, clamp)), scale, offset)


def _color(text: str) -> tuple[float, ...] | None:
    try:
        values = [float(word) for word in text.split()[:3]]
    except ValueError:  # "spectral" and "xyz" name what nobody writes
        return None
    if not values or not np.isfinite(values).all():
        return None
    values = values * 3 if len(values) == 1 else values
    full = 255.0 if max(values) > 1.0 + 1e-6 else 1.0
    return tuple(min(max(v / full, 0.0), 1.0) for v in values) if len(values) == 3 else None


def _texture_line(line: str) -> tuple[str, tuple[float, float], tuple[float, float], bool]:
    """File name, scale and offset of texture points, and whether the texture ends at its edge."""
    scale, offset, clamp = (1.0, 1.0), (0.0, 0.0), False
    rest = line.strip()
    while rest.startswith("-"):
        option, _, tail = rest.partition(" ")
        option = option.casefold()
        words = tail.split()
        if option in _NUMERIC:
            count = 0
            while count < min(3, len(words) - 1) and _is_number(words[count]):
                count += 1
        elif option in _OPTIONS:
            count = _OPTIONS[option]
        else:
            break
        values = words[:count]
        if option == "-s" and values:
            scale = float(values[0]), float(values[min(1, count - 1)])
        elif option == "-o" and values:
            offset = float(values[0]), float(values[1]) if count > 1 else 0.0
        elif option == "-clamp":
            clamp = values[:1] == ["on"]
        for _ in range(count):
            tail = tail.lstrip().partition(" ")[2]
        rest = tail.lstrip()
    return rest, scale, offset, clamp


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
