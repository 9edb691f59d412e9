"""How far two surfaces are apart, measured at points of both."""

import numpy as np
import trimesh
from scipy.spatial import cKDTree

SAMPLES = 2000  # random points of either surface
EXTENT = 1000.0  # trimesh takes triangles of less than 1e-8 for points, so surfaces are enlarged
PIECE = 0.02  # of the extent: edges of the pieces by which triangles are found
CANDIDATES = 24  # nearest pieces whose triangles are looked at


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
    scale = EXTENT / float(np.ptp(triangles.reshape(-1, 3), axis=0).max())
    points, triangles = scale * points, scale * triangles
    corners = triangles.reshape(-1, 3)
    faces = np.arange(len(corners)).reshape(-1, 3)
    pieces = trimesh.remesh.subdivide_to_size(
        corners, faces, PIECE * EXTENT, max_iter=16, return_index=True
    )
    vertices, small, owner = pieces
    tree = cKDTree(vertices[small].mean(axis=1))
    _, near = tree.query(points, min(CANDIDATES, len(small)))
    near = near.reshape(len(points), -1)
    asked = np.repeat(points, near.shape[1], axis=0)
    found = trimesh.triangles.closest_point(triangles[owner[near.reshape(-1)]], asked)
    distance = np.linalg.norm(found - asked, axis=1).reshape(near.shape).min(axis=1)
    return np.asarray(distance / scale)


def _points_on(triangles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(SAMPLES, 3) uniformly distributed points."""
    a, b, c = triangles.transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(triangles), SAMPLES, p=area / area.sum())
    u, v = rng.random((2, SAMPLES, 1))
    u, v = np.where(u + v > 1.0, 1.0 - u, u), np.where(u + v > 1.0, 1.0 - v, v)
    return np.asarray(a[face] + u * (b - a)[face] + v * (c - a)[face])
