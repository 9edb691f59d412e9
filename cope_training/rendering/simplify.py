"""Fewer triangles for a software renderer, by merging the vertices in each cell of a grid."""

from dataclasses import replace

import numpy as np

from cope_training.rendering.meshes import Mesh, vertex_normals

ROUNDS = 12  # of halving the interval of cell sizes


def simplify(mesh: Mesh, max_faces: int) -> Mesh:
    """The mesh with at most ``max_faces`` triangles; its points move by half a cell at most.

    Colours are averaged. A textured mesh is left as it is, since merging would tear its
    texture; so is one that is small enough.

    Raises:
        ValueError: fewer than 100 triangles are asked for.
    """
    if max_faces < 100:
        raise ValueError(f"max_faces: expected at least 100, got {max_faces}")
    if len(mesh.faces) <= max_faces or mesh.texture is not None:
        return mesh
    extent = float(np.ptp(mesh.vertices, axis=0).max())
    low, high = extent / 1024, extent / 2  # too many triangles, surely few enough
    best = _merge(mesh, high)
    for _ in range(ROUNDS):
        cell = float(np.sqrt(low * high))
        merged = _merge(mesh, cell)
        if len(merged.faces) > max_faces:
            low = cell
        else:
            high, best = cell, merged
    return best


def _merge(mesh: Mesh, cell: float) -> Mesh:
    """One vertex per occupied cell, at the mean of those in it."""
    keys = np.floor((mesh.vertices - mesh.vertices.min(axis=0)) / cell).astype(np.int64)
    _, group, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)

    def mean(values: np.ndarray) -> np.ndarray:
        sums = [np.bincount(group, weights=values[:, axis]) for axis in range(3)]
        return np.stack(sums, axis=1) / count[:, None]

    faces = group[mesh.faces]
    solid = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    faces = np.unique(_smallest_first(faces[solid]), axis=0).astype(np.int32)
    vertices = mean(mesh.vertices.astype(np.float64)).astype(np.float32)
    colors = np.rint(mean(mesh.colors.astype(np.float64))).astype(np.uint8)
    normals = vertex_normals(vertices, faces)
    return replace(mesh, vertices=vertices, faces=faces, normals=normals, colors=colors, uv=None)


def _smallest_first(faces: np.ndarray) -> np.ndarray:
    """Faces turned, not mirrored, so that their smallest index comes first."""
    turns = (np.argmin(faces, axis=1)[:, None] + np.arange(3)) % 3
    return np.take_along_axis(faces, turns, axis=1)
