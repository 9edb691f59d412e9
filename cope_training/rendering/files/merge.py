"""Many parts as one mesh: one texture where there is any, vertex colours that multiply it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from cope_training.rendering.files.parts import GRAY, Part, Texture
from cope_training.rendering.packing import pack_rows

SHEET = 8192  # px, largest side of an atlas
TILE = 4096  # px, largest side of a texture in it, repeats included
EDGE = 8  # px around a tile that its own border goes on: smaller images of the sheet stay clean
MOST_REPEATS = 8  # of a texture inside the atlas, beyond that it is stretched


@dataclass(frozen=True)
class Merged:
    """One surface with one appearance, in the file's unit."""

    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int32
    colors: np.ndarray  # (V, 3) uint8 sRGB, times the texture
    uv: np.ndarray | None  # (V, 2) float32
    texture: np.ndarray | None  # (H, W, 3) uint8
    appearance: str  # in words


def merge(parts: Sequence[Part]) -> Merged:
    """Joins parts, at least one, in their order."""
    textures = list(dict.fromkeys(p.texture for p in parts if p.texture is not None))
    words = _appearance(parts, textures)
    plain = {texture: _Plain.of(texture, parts) for texture in textures}
    pixels: np.ndarray | None = None
    if len(textures) == 1 and all(p.texture is not None for p in parts):
        pixels = plain[textures[0]].pixels
        parts = [plain[textures[0]].placed(p) for p in parts]
    elif textures:
        parts, pixels = _atlas(parts, plain)
    starts = np.cumsum([0] + [len(p.vertices) for p in parts])
    faces = [p.faces + start for p, start in zip(parts, starts, strict=False)]
    uv = None if pixels is None else np.concatenate([_uv(p) for p in parts]).astype(np.float32)
    return Merged(
        vertices=np.concatenate([p.vertices for p in parts]),
        faces=np.concatenate(faces).astype(np.int32),
        colors=np.concatenate([_bytes(p) for p in parts]),
        uv=uv,
        texture=pixels,
        appearance=words,
    )


def used(part: Part) -> Part:
    """Without vertices that no face uses."""
    kept = np.zeros(len(part.vertices), dtype=bool)
    kept[part.faces.reshape(-1)] = True
    if kept.all():
        return part
    number = np.cumsum(kept) - 1
    return Part(
        part.vertices[kept],
        number[part.faces],
        None if part.colors is None else part.colors[kept],
        None if part.uv is None else part.uv[kept],
        part.texture,
        np.flatnonzero(kept) if part.numbers is None else part.numbers[kept],
        part.place,
    )


def _bytes(part: Part) -> np.ndarray:
    """(V, 3) uint8: its colours; without any white below a texture and gray elsewhere."""
    if part.colors is not None:
        return np.rint(part.colors * 255.0).astype(np.uint8)
    value = GRAY if part.texture is None else 255
    return np.full((len(part.vertices), 3), value, dtype=np.uint8)


def _uv(part: Part) -> np.ndarray:
    return np.zeros((len(part.vertices), 2)) if part.uv is None else part.uv


def _appearance(parts: Sequence[Part], textures: Sequence[Texture]) -> str:
    words = []
    for texture in textures[:1]:
        height, width = texture.pixels.shape[:2]
        more = f" and {len(textures) - 1} more" if len(textures) > 1 else ""
        words.append(f"texture of {width} x {height} px{more}")
    shades = [p.colors for p in parts if p.colors is not None]
    if shades:
        count = len(np.unique(np.rint(np.concatenate(shades) * 255), axis=0))
        words.append(f"{count} vertex colours" if count > 1 else "one colour")
    if any(p.colors is None and p.texture is None for p in parts):
        words.append("parts without colour (gray)" if words else "no colours (gray)")
    return ", ".join(words)


@dataclass(frozen=True)
class _Plain:
    """A texture whose repeats are plain ones: with mirrored repeats a picture twice as large."""

    pixels: np.ndarray
    doubled: tuple[bool, bool]
    clamp: tuple[bool, bool]

    @classmethod
    def of(cls, texture: Texture, parts: Sequence[Part]) -> "_Plain":
        """Doubled along u or v where mirrored repeats are used by any part."""
        uv = np.concatenate([_uv(p) for p in parts if p.texture is texture])
        beyond = (uv.min(axis=0) < 0) | (uv.max(axis=0) > 1)
        pixels, doubled = texture.pixels, [False, False]
        for axis in (0, 1):  # u runs along the columns, v up the rows
            if texture.mirror[axis] and beyond[axis]:
                flipped = np.flip(pixels, 1 - axis)
                both = (pixels, flipped) if axis == 0 else (flipped, pixels)
                pixels, doubled[axis] = np.concatenate(both, axis=1 - axis), True
        return cls(pixels, (doubled[0], doubled[1]), texture.clamp)

    def placed(self, part: Part) -> Part:
        """A part with its texture points for these repeats; clamped ones at the edge."""
        uv = _uv(part).copy()
        for axis in (0, 1):
            if self.clamp[axis]:
                margin = 0.5 / self.pixels.shape[1 - axis]
                uv[:, axis] = uv[:, axis].clip(margin, 1.0 - margin)
            elif self.doubled[axis]:
                uv[:, axis] *= 0.5
        return replace(part, uv=uv)


def _atlas(
    parts: Sequence[Part], textures: Mapping[Texture, _Plain]
) -> tuple[list[Part], np.ndarray]:
    """The parts with points into one sheet, on which each texture and a white spot has a tile."""
    moved = [
        replace(p, uv=None) if p.texture is None else _near_zero(textures[p.texture].placed(p))
        for p in parts
    ]
    tiles, spans = [], {}
    for texture, plain in textures.items():
        uv = np.concatenate([_uv(p) for p in moved if p.texture is texture])
        span = np.ceil(uv.max(axis=0) - 1e-6).clip(1.0, MOST_REPEATS)
        tiles.append(_tile(plain.pixels, span.astype(int)))
        spans[texture] = span
    tiles.append(np.full((2 * EDGE, 2 * EDGE, 3), 255, dtype=np.uint8))
    sheet, boxes = _sheet(tiles)
    number = {texture: i for i, texture in enumerate(textures)}
    size = np.array(sheet.shape[1::-1], dtype=np.float64)
    out = []
    for part in moved:
        share, box = np.full((len(part.vertices), 2), 0.5), boxes[-1]
        if part.texture is not None:
            box = boxes[number[part.texture]]
            share = (_uv(part) / spans[part.texture]).clip(0.0, 1.0)
        share[:, 1] = 1.0 - share[:, 1]  # rows run down
        uv = (np.array(box[:2]) + share * box[2:]) / size
        uv[:, 1] = 1.0 - uv[:, 1]
        out.append(replace(part, uv=uv, colors=_bytes(part) / 255.0))
    return out, sheet


def _near_zero(part: Part) -> Part:
    """Every face's texture points moved by whole repeats, so that the smallest lies in [0, 1)."""
    uv = _uv(part)
    low = uv[part.faces].min(axis=1)
    if (low >= 0).all() and (uv[part.faces].max(axis=1) <= 1).all():
        return part
    shift = np.floor(low + 1e-6).astype(np.int64)  # (F, 2)
    corner = np.column_stack([part.faces.reshape(-1), np.repeat(shift, 3, axis=0)])
    rows, index = np.unique(corner, axis=0, return_inverse=True)
    vertex = rows[:, 0]
    return Part(
        part.vertices[vertex],
        index.reshape(-1, 3),
        None if part.colors is None else part.colors[vertex],
        uv[vertex] - rows[:, 1:],
        part.texture,
    )


def _tile(pixels: np.ndarray, span: np.ndarray) -> np.ndarray:
    """A texture as often as its points go around it, at most TILE px large."""
    height, width = pixels.shape[:2]
    scale = min(1.0, TILE / (width * span[0]), TILE / (height * span[1]))
    if scale < 1.0:
        size = max(int(width * scale), 1), max(int(height * scale), 1)
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    return np.tile(pixels, (span[1], span[0], 1))


def _sheet(tiles: Sequence[np.ndarray]) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """One picture with all tiles, and x, y, width, height of each; shrunk until it fits."""
    scale = 1.0
    while True:
        scaled = [_scaled(tile, scale) for tile in tiles]
        padded = np.array([(t.shape[1] + 2 * EDGE, t.shape[0] + 2 * EDGE) for t in scaled])
        area = float((padded[:, 0] * padded[:, 1]).sum())
        side = max(int(2 ** np.ceil(np.log2(np.sqrt(area)))), int(padded[:, 0].max()))
        sheets = pack_rows(padded, side, 2 * SHEET)
        bottom = max(y + h for _, _, y, _, h in sheets[0])
        if len(sheets) == 1 and side <= SHEET and bottom <= SHEET:
            break
        scale *= 0.7
    picture = np.zeros((bottom, side, 3), dtype=np.uint8)
    boxes = [(0, 0, 0, 0)] * len(tiles)
    for i, x, y, width, height in sheets[0]:
        edged = np.pad(scaled[i], ((EDGE, EDGE), (EDGE, EDGE), (0, 0)), mode="edge")
        picture[y : y + height, x : x + width] = edged
        boxes[i] = x + EDGE, y + EDGE, width - 2 * EDGE, height - 2 * EDGE
    return picture, boxes


def _scaled(pixels: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1.0:
        return pixels
    size = max(int(pixels.shape[1] * scale), 1), max(int(pixels.shape[0] * scale), 1)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
