"""As few triangles as asked for, whatever the mesh: the vertices in each cell of a grid merged."""

from dataclasses import replace

import numpy as np

from cope_training.rendering.meshes import Mesh, vertex_normals

ROUNDS = 12  # of halving the interval of cell sizes
FLAT = 1e-3  # share of the largest curvature below which a direction lies in the surface


def cluster_vertices(mesh: Mesh, max_faces: int) -> Mesh:
    """The mesh with at most ``max_faces`` triangles, as large as it is, holes closed where small.

    Colours are averaged and a texture is lost, since merging tears it: this is for shapes alone,
    see ``simplify`` for pictures. A mesh that is small enough stays as it is.

    Raises:
        ValueError: fewer than 100 triangles are asked for.
    """
    if max_faces < 100:
        raise ValueError(f"max_faces: expected at least 100, got {max_faces}")
    if len(mesh.faces) <= max_faces:
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
    """One vertex per occupied cell, colours the mean of those in it."""
    points = mesh.vertices.astype(np.float64)
    keys = np.floor((points - points.min(axis=0)) / cell).astype(np.int64)
    _, group, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)

    def mean(values: np.ndarray) -> np.ndarray:
        return _sums(values, group, len(count)) / count[:, None]

    middle = mean(points)
    vertices = middle + _ways_to_planes(points[mesh.faces], group[mesh.faces], middle, cell)
    faces = group[mesh.faces]
    solid = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    faces = np.unique(_smallest_first(faces[solid]), axis=0).astype(np.int32)
    vertices = vertices.astype(np.float32)
    colors = np.rint(mean(mesh.colors.astype(np.float64))).astype(np.uint8)
    normals = vertex_normals(vertices, faces)
    return replace(
        mesh, vertices=vertices, faces=faces, normals=normals, colors=colors, uv=None, texture=None
    )


def _ways_to_planes(
    triangles: np.ndarray, cells: np.ndarray, middle: np.ndarray, longest: float
) -> np.ndarray:
    """(G, 3) from the middle of each cell's vertices to where its triangles' planes meet.

    A mean lies within any corner: meshes of such vertices are too small, by up to one in a
    hundred. The point that is nearest to all planes keeps corners sharp (P. Lindstrom,
    "Out-of-core simplification of large polygonal models", SIGGRAPH 2000).

    Args:
        triangles: (F, 3, 3) m.
        cells: (F, 3) the cells of their corners, of G.
        middle: (G, 3) m.
        longest: m, no way is longer.
    """
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    squares, pulls = np.zeros((len(middle), 9)), np.zeros_like(middle)
    for corner in range(3):
        cell = cells[:, corner]
        own = (cells[:, :corner] != cell[:, None]).all(axis=1)  # once in each cell
        height = ((triangles[:, 0] - middle[cell]) * normal).sum(axis=1) * own
        outer = (normal[:, :, None] * normal[:, None]).reshape(-1, 9) * own[:, None]
        squares += _sums(outer, cell, len(middle))
        pulls += _sums(normal * height[:, None], cell, len(middle))
    inverse = np.linalg.pinv(squares.reshape(-1, 3, 3), rcond=FLAT, hermitian=True)
    way = (inverse @ pulls[:, :, None])[..., 0]
    length = np.linalg.norm(way, axis=1, keepdims=True)
    return np.asarray(way * np.minimum(1.0, longest / length.clip(1e-12)))


def _sums(values: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """(V, D) rows summed by their group, of ``count``."""
    columns = [np.bincount(group, weights=column, minlength=count) for column in values.T]
    return np.stack(columns, axis=1)


def _smallest_first(faces: np.ndarray) -> np.ndarray:
    """Faces turned, not mirrored, so that their smallest index comes first."""
    turns = (np.argmin(faces, axis=1)[:, None] + np.arange(3)) % 3
    return np.take_along_axis(faces, turns, axis=1)
