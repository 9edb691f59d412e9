"""What a mesh file is made of, before it becomes one mesh."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.assets import Assets

FARTHEST = 1e9  # of a coordinate in the file's unit: beyond, nothing is left of an object's size
MOST_REPEATS = 1e6  # of a texture: beyond, single precision does not tell its points apart
BRIGHTEST = 4.0  # of a colour from 0 to 1 that is too bright
GRAY = 160  # sRGB of a surface whose file says nothing of its colour


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture on a surface; two parts share one where it is the same object."""

    pixels: np.ndarray  # (H, W, 3) uint8 sRGB, row 0 at the top
    mirror: tuple[bool, bool] = (False, False)  # whether every other repeat is mirrored, in u and v
    clamp: tuple[bool, bool] = (False, False)  # whether its edge goes on instead of repeats


@dataclass
class Part:
    """Triangles of one appearance, placed in the file's frame and in its unit."""

    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64
    colors: np.ndarray | None = None  # (V, 3) float sRGB from 0 to 1, times the texture if any
    uv: np.ndarray | None = None  # (V, 2) float, (0, 0) at the texture's bottom left
    texture: Texture | None = None
    numbers: np.ndarray | None = None  # (V,) int64, what the file calls each vertex
    place: str = ""  # what the file calls the vertices' list, where it has several


@dataclass
class Reading:
    """What a format's reader gives back, and what it met on the way."""

    assets: Assets
    parts: list[Part] = field(default_factory=list)
    unit: float | None = None  # m, where the format or the file states it
    unit_source: str = ""  # and how it does
    notes: list[str] = field(default_factory=list)  # what was left out, one sentence each


def check_indices(faces: np.ndarray, count: int, source: str, base: int = 0) -> None:
    """Refuses faces with corners that do not exist.

    Args:
        faces: (F, N) indices from zero.
        count: of vertices.
        source: the file.
        base: what the file calls its first vertex.

    Raises:
        CopeError: names the first such face and its index, as the file counts.
    """
    wrong = (faces < 0) | (faces >= count)
    if wrong.any():
        face, corner = np.argwhere(wrong)[0]
        raise CopeError(
            f"{source}: face {face + base}: expected vertices {base} to {count - 1 + base}, "
            f"got {faces[face, corner] + base}"
        )


def check_values(part: Part, source: str) -> None:
    """Refuses positions, colours and texture points that are no numbers or absurdly large.

    Raises:
        CopeError: names the first such vertex as the file does.
    """
    kinds = [(part.vertices, "a position", FARTHEST), (part.colors, "a colour", np.inf)]
    if part.texture is not None:
        kinds.append((part.uv, "a texture point", MOST_REPEATS))
    for values, kind, limit in kinds:
        if values is None:
            continue
        wrong = ~(np.isfinite(values) & (np.abs(values) <= limit)).all(axis=1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            number = row if part.numbers is None else int(part.numbers[row])
            what = "finite numbers" + ("" if np.isinf(limit) else f" up to {limit:g}")
            got = " ".join(f"{v:g}" for v in values[row])
            place = f"{part.place}: " if part.place else ""
            raise CopeError(
                f"{source}: {place}vertex {number}: expected {kind} of {what}, got {got}"
            )


def fan(polygons: Sequence[Sequence[int]]) -> np.ndarray:
    """(T, 3) int64: triangles of polygons, each a fan about its first corner.

    Polygons of fewer than three corners have none.
    """
    rows = [(p[0], p[k], p[k + 1]) for p in polygons for k in range(1, len(p) - 1)]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def unit_colors(values: np.ndarray, full: float | None = None) -> np.ndarray:
    """Colours of any type as (V, 3) float64 from 0 to 1.

    Args:
        values: (V, 3) integers or floats.
        full: what is full brightness; by default 65535 where more than eight bits are used, 255
            for other integers and for floats above 1, otherwise 1. Floats that are a little above
            1 and no whole numbers are too bright, not of 255.

    Returns:
        NaN where a value is no finite number.
    """
    finite = np.isfinite(values)
    largest = float(values.max(where=finite, initial=0))
    if full is None:
        if values.dtype.kind in "iu":
            full = 255.0
        else:
            whole = bool((values == np.rint(values))[finite].all())
            full = 255.0 if largest > (1.0 if whole else BRIGHTEST) else 1.0
        full = 65535.0 if largest > 256.0 else full
    scaled = (values.astype(np.float64) / full).clip(0.0, 1.0)
    return np.asarray(np.where(finite, scaled, np.nan))


def srgb_from_linear(linear: np.ndarray) -> np.ndarray:
    """Linear light from 0 to 1 as sRGB from 0 to 1 (IEC 61966-2-1)."""
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def linear_from_srgb(srgb: np.ndarray) -> np.ndarray:
    """The inverse of ``srgb_from_linear``."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
