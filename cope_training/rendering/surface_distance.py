"""How far two surfaces are apart, measured at points of both."""

import numpy as np
import trimesh
from scipy.spatial import cKDTree

SAMPLES = 2000  # random points of either surface
EXTENT = 1000.0  # trimesh takes triangles of less than 1e-8 for points, so surfaces are enlarged
PIECE = 0.02  # of the extent: edges of the pieces by which triangles are found
CANDIDATES = 24  # nearest pieces whose triangles are looked at
AT_ONCE = 20_000  # points


def surface_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Largest distance between random points of one surface and the other, in their unit.

    Args:
        first, second: (F, 3, 3) corners of triangles, at least one of some area.

    Returns:
        About the Hausdorff distance: no point that was looked at is farther.
    """
    rng = np.random.default_rng(0)
    return max(
        float(distance_to_surface(_points_on(one, rng), other).max())
        for one, other in ((first, second), (second, first))
    )


def distance_to_surface(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N,) distance of each of (N, 3) points to (F, 3, 3) triangles, or a little more.

    More where the nearest triangle is none of those with the nearest middles.
    """
    found, _ = closest_on_surface(points, triangles)
    return np.asarray(np.linalg.norm(found - points, axis=1))


def closest_on_surface(
    points: np.ndarray, triangles: np.ndarray, candidates: int = CANDIDATES
) -> tuple[np.ndarray, np.ndarray]:
    """The points of a surface that are nearest to given ones, and the triangles they lie on.

    Args:
        points: (N, 3).
        triangles: (F, 3, 3) corners, at least one of some area.
        candidates: pieces of triangles, those with the nearest middles, that are looked at.

    Returns:
        (N, 3) in the unit of the points, and (N,) int64 of F.
    """
    scale = EXTENT / float(np.ptp(triangles.reshape(-1, 3), axis=0).max())
    scaled = scale * triangles
    corners = scaled.reshape(-1, 3)
    faces = np.arange(len(corners)).reshape(-1, 3)
    pieces = trimesh.remesh.subdivide_to_size(
        corners, faces, PIECE * EXTENT, max_iter=16, return_index=True
    )
    vertices, small, owner = pieces
    tree = cKDTree(vertices[small].mean(axis=1))
    count = min(candidates, len(small))
    closest, face = np.empty((len(points), 3)), np.empty(len(points), np.int64)
    for start in range(0, len(points), AT_ONCE):
        part = scale * points[start : start + AT_ONCE]
        _, near = tree.query(part, count)
        near = owner[near.reshape(len(part), -1)]
        asked = np.repeat(part, near.shape[1], axis=0)
        found = trimesh.triangles.closest_point(scaled[near.reshape(-1)], asked)
        best = np.linalg.norm(found - asked, axis=1).reshape(near.shape).argmin(axis=1)
        row = np.arange(len(part))
        closest[start : start + AT_ONCE] = found.reshape(*near.shape, 3)[row, best] / scale
        face[start : start + AT_ONCE] = near[row, best]
    return closest, face


def _points_on(triangles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(SAMPLES, 3) uniformly distributed points."""
    a, b, c = triangles.transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(triangles), SAMPLES, p=area / area.sum())
    u, v = rng.random((2, SAMPLES, 1))
    u, v = np.where(u + v > 1.0, 1.0 - u, u), np.where(u + v > 1.0, 1.0 - v, v)
    return np.asarray(a[face] + u * (b - a)[face] + v * (c - a)[face])
