"""Points drawn from a mesh's surface, with what is seen there."""

from typing import NamedTuple

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.meshes import Mesh


class SurfaceSamples(NamedTuple):
    """S points of a surface, as many on any two patches of the same area."""

    points: np.ndarray  # (S, 3) m
    colors: np.ndarray  # (S, 3) gray levels, 0 to 255
    faces: np.ndarray  # (S,) triangles they lie on
    weights: np.ndarray  # (S, 3, 1) of the triangles' corners


def triangle_normals(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3) normals of a mesh's triangles, as long as twice their areas, and (F,) these lengths.

    Raises:
        CopeError: no triangle has an area.
    """
    corners = mesh.vertices.astype(float)[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    if not lengths.sum() > 0:
        raise CopeError("expected a surface, got triangles without area")
    return normals, lengths


def surface_samples(
    mesh: Mesh, area: np.ndarray, count: int, rng: np.random.Generator
) -> SurfaceSamples:
    """Random points of a mesh.

    Args:
        mesh: has triangles with an area.
        area: (F,) of its triangles, in any unit.
        count: S.
        rng: draws them.
    """
    face = rng.choice(len(area), count, p=area / area.sum())
    faces = mesh.faces[face]
    u, v = rng.random((2, count, 1))
    fold = u + v > 1
    u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], 1)  # (S, 3, 1)
    points = (mesh.vertices.astype(float)[faces] * weights).sum(1)
    colors = (mesh.colors.astype(float)[faces] * weights).sum(1)
    if mesh.texture is not None and mesh.uv is not None:
        colors = texture_colors(mesh.texture, (mesh.uv[faces] * weights).sum(1)) * colors / 255
    return SurfaceSamples(points, colors, face, weights)


def texture_colors(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(V, 3) uint8: the (H, W, 3) texture at each point, (0, 0) at its bottom left."""
    height, width = texture.shape[:2]
    column = np.floor((uv[:, 0] % 1.0) * width).astype(int).clip(0, width - 1)
    row = np.floor((1.0 - uv[:, 1] % 1.0) * height).astype(int).clip(0, height - 1)
    return texture[row, column]
