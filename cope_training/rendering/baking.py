"""Colours of a fine mesh as a texture of a coarse one.

A scan tells its print by the colours of many vertices. With fewer vertices the print blurs, on flat
sides first, where the fewest are needed. So each triangle of the coarse mesh is laid flat on a
texture of its own size, and each texel takes the colour of the fine surface's nearest point.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cope_training.rendering.meshes import Mesh
from cope_training.rendering.packing import pack_rows
from cope_training.rendering.surface_distance import closest_on_surface

TEXELS = 2.0  # of the texture for each vertex of the fine mesh
LARGEST = 2**22  # texels of a texture, about
BORDER = 2  # texels around a triangle: bilinear filtering, on the first mipmap too, stays inside
PLAIN = 4  # gray levels, largest spread of the colours of a mesh that needs no texture
CANDIDATES = 3  # of the fine triangles: those of a scan are about of one size


def bake_colors(coarse: Mesh, fine: Mesh) -> Mesh:
    """The coarse mesh with the fine one's vertex colours as its texture, each triangle apart.

    Args:
        coarse: its normals are kept.
        fine: the same surface, without a texture.
    """
    if np.ptp(fine.colors, axis=0).max() <= PLAIN:
        return coarse
    order = _longest_edge_first(coarse.vertices[coarse.faces].astype(np.float64))
    faces = np.take_along_axis(coarse.faces, order, axis=1)
    tiles = _lay_out(coarse.vertices[faces].astype(np.float64), fine)
    texels = tiles.flat + BORDER + 0.5 + tiles.place[:, None]  # (F, 3, 2) from the top left
    uv = np.stack([texels[..., 0] / tiles.width, 1.0 - texels[..., 1] / tiles.height], axis=-1)
    rows = faces.reshape(-1)
    return replace(
        coarse,
        vertices=coarse.vertices[rows],
        faces=np.arange(len(rows), dtype=np.int32).reshape(-1, 3),
        normals=coarse.normals[rows],
        colors=np.full((len(rows), 3), 255, np.uint8),
        uv=uv.reshape(-1, 2).astype(np.float32),
        texture=_texture(tiles, fine),
    )


class _Tiles(NamedTuple):
    """Where the F triangles lie on the texture, each flat on a tile of its own."""

    flat: np.ndarray  # (F, 3, 2) texels, the corners in their own plane, none negative
    origins: np.ndarray  # (F, 3) m, the first corners
    steps: np.ndarray  # (F, 2, 3) m from a texel to the next in a row and in a column
    sizes: np.ndarray  # (F, 2) texels, width and height
    place: np.ndarray  # (F, 2) texels, of the top left corners
    width: int  # of the texture
    height: int


def _lay_out(corners: np.ndarray, fine: Mesh) -> _Tiles:
    """Tiles for (F, 3, 3) m triangles, the longest edges first, as fine as the fine mesh."""
    flat, frames = _lay_flat(corners)
    density = _density(flat, fine)
    flat = flat * density
    sizes = np.ceil(flat.max(axis=1)).astype(np.int64) + 1 + 2 * BORDER
    return _Tiles(flat, corners[:, 0], frames / density, sizes, *_pack(sizes))


def _longest_edge_first(corners: np.ndarray) -> np.ndarray:
    """(F, 3) the corners of (F, 3, 3) triangles turned so that 0 to 1 is the longest edge."""
    edges = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    return (edges.argmax(axis=1)[:, None] + np.arange(3)) % 3


def _lay_flat(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles in their own plane, the first edge along x.

    Returns:
        (F, 3, 2) m, none negative, and (F, 2, 3) unit directions of x and y.
    """
    along, to_apex = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    length = np.linalg.norm(along, axis=1).clip(1e-12)
    x = along / length[:, None]
    foot = (to_apex * x).sum(axis=1)
    rise = to_apex - foot[:, None] * x
    height = np.linalg.norm(rise, axis=1).clip(1e-12)
    flat = np.zeros((len(corners), 3, 2))
    flat[:, 1, 0], flat[:, 2, 0], flat[:, 2, 1] = length, foot, height
    return flat.clip(0.0), np.stack([x, rise / height[:, None]], axis=1)


def _density(flat: np.ndarray, fine: Mesh) -> float:
    """Texels per metre: TEXELS for each vertex of the fine mesh, while the texture allows."""
    box = flat.max(axis=1)
    area = 0.5 * float(box.prod(axis=1).sum())
    wanted = np.sqrt(TEXELS * len(fine.vertices) / area)
    most = np.sqrt(LARGEST / (2.0 * area))  # a triangle fills half of its box
    return float(min(wanted, most))


def _pack(sizes: np.ndarray) -> tuple[np.ndarray, int, int]:
    """(F, 2) the top left texel of each tile of (F, 2) sizes; the texture's width and height."""
    total = int(sizes.prod(axis=1).sum())
    width = max(int(np.ceil(np.sqrt(total))), int(sizes[:, 0].max()))
    (tiles,) = pack_rows(sizes, width, int(sizes[:, 1].sum()))
    place = np.zeros_like(sizes)
    table = np.array(tiles)
    place[table[:, 0]] = table[:, 1:3]
    return place, width, int((table[:, 2] + table[:, 4]).max())


def _texture(tiles: _Tiles, fine: Mesh) -> np.ndarray:
    """(height, width, 3) uint8: the colours of the tiles' texels, the mean between the tiles."""
    count = tiles.sizes.prod(axis=1)
    tile = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(tile)) - np.repeat(np.cumsum(count) - count, count)
    row, column = np.divmod(number, tiles.sizes[tile, 0])
    texel = np.stack([column, row], axis=1)
    near = _beside(texel - BORDER, tiles.flat[tile])
    tile, texel = tile[near], texel[near]
    way = ((texel - BORDER)[:, :, None] * tiles.steps[tile]).sum(axis=1)
    colors = np.rint(colors_at(tiles.origins[tile] + way, fine)).astype(np.uint8)
    mean = np.rint(colors.mean(axis=0)).astype(np.uint8)
    texture = np.tile(mean, (tiles.height, tiles.width, 1))
    column, row = (tiles.place[tile] + texel).T
    texture[row, column] = colors
    return texture


def _beside(texel: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """(N,) bool: whether (N, 2) texels lie in their (N, 3, 2) triangles or BORDER beside them."""
    edge = np.roll(triangle, -1, axis=1) - triangle
    way = texel[:, None] - triangle
    across = edge[..., 0] * way[..., 1] - edge[..., 1] * way[..., 0]
    length = np.linalg.norm(edge, axis=2).clip(1e-9)
    return np.asarray((across / length).min(axis=1) >= -1.5 * BORDER)


def colors_at(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    """(N, 3) colours 0 to 255 where a mesh's surface is nearest to (N, 3) points, interpolated."""
    triangles = mesh.vertices[mesh.faces].astype(np.float64)
    closest, face = closest_on_surface(points, triangles, CANDIDATES)
    weights = _barycentric(triangles[face], closest)
    colors = mesh.colors[mesh.faces[face]].astype(np.float64)
    return np.asarray((weights[:, :, None] * colors).sum(axis=1))


def _barycentric(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 3) shares of the corners of (N, 3, 3) triangles in points on them."""
    a, b, c = triangles.transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    square = (normal**2).sum(axis=1).clip(1e-30)
    first = (np.cross(c - b, points - b) * normal).sum(axis=1) / square
    second = (np.cross(a - c, points - c) * normal).sum(axis=1) / square
    shares = np.stack([first, second, 1.0 - first - second], axis=1).clip(0.0)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
