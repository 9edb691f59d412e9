"""Solids, what a fit to contours has to know of them, and painted images of them."""

from typing import NamedTuple

import numpy as np
import torch
import trimesh
from scipy.spatial import ConvexHull
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.refinement.contour import ContourExtractor
from cope_training.rendering.meshes import Mesh, vertex_normals
from cope_training.tasks.refiner.contours import mesh_edges


class Shape(NamedTuple):
    """A solid and convex ones, vertices (V, 3) m, that it is put together of."""

    solid: trimesh.Trimesh
    parts: tuple[np.ndarray, ...]

    @property
    def corners(self) -> np.ndarray:
        """(8, 3) m, of its box."""
        return trimesh.bounds.corners(self.solid.bounds)


def box() -> Shape:
    """Three different sides, about its middle."""
    solid = trimesh.creation.box((0.1, 0.08, 0.06))
    return Shape(solid, (solid.vertices,))


def l_shape() -> Shape:
    """A thick letter whose box has its middle elsewhere than in the origin.

    Its edges are short, since of each only the middle is looked at.
    """
    x = np.array([-0.03, 0.07, 0.07, 0.01, 0.01, -0.03])
    y = np.array([-0.04, -0.04, 0.0, 0.0, 0.05, 0.05])
    low, high = -0.01, 0.03
    cap = [[0, 1, 2], [0, 2, 3], [0, 3, 5], [3, 4, 5]]
    faces = [row[::-1] for row in cap] + [[i + 6 for i in row] for row in cap]
    for i in range(6):
        j = (i + 1) % 6
        faces += [[i, j, j + 6], [i, j + 6, i + 6]]
    vertices = np.concatenate([np.stack((x, y, np.full(6, z)), 1) for z in (low, high)])
    foot = trimesh.creation.box(bounds=((x[0], y[0], low), (x[1], y[2], high)))
    stem = trimesh.creation.box(bounds=((x[0], y[0], low), (x[3], y[4], high)))
    solid = trimesh.Trimesh(vertices, faces).subdivide().subdivide()
    return Shape(solid, (foot.vertices, stem.vertices))


def as_mesh(solid: trimesh.Trimesh) -> Mesh:
    vertices, faces = solid.vertices.astype("f4"), solid.faces.astype("i4")
    grey = np.full(vertices.shape, 160, np.uint8)
    return Mesh(vertices, faces, vertex_normals(vertices, faces), grey)


def put(extractor: ContourExtractor, row: int, solid: trimesh.Trimesh, center: np.ndarray) -> None:
    """Gives one class of ``contours`` its mesh, about ``center`` (3,) m."""
    found = mesh_edges(as_mesh(solid), center)
    extractor.planes[row, : len(found.planes)] = torch.from_numpy(found.planes).float()
    extractor.ends[row, : len(found.ends)] = torch.from_numpy(found.ends).float()
    extractor.sides[row, : len(found.sides)] = torch.from_numpy(found.sides).to(extractor.sides)


def extractor_of(solid: trimesh.Trimesh, count: int = 160) -> ContourExtractor:
    """Of one class that has as much room as it needs, about its origin."""
    found = mesh_edges(as_mesh(solid), np.zeros(3))
    extractor = ContourExtractor(1, len(found.planes), len(found.ends), count)
    put(extractor, 0, solid, np.zeros(3))
    return extractor


def points_of(solid: trimesh.Trimesh, center: np.ndarray | float = 0.0) -> Tensor:
    """(P, 6) about ``center`` m, and normals, which nobody asks for."""
    points = trimesh.sample.sample_surface_even(solid, 6000, seed=0)[0] - center
    return torch.from_numpy(np.concatenate((points, points), 1)).float()


def beyond(
    parts: tuple[np.ndarray, ...], R: Tensor, t: Tensor, K: Tensor, pixels: np.ndarray
) -> np.ndarray:
    """(...) px that pixels (..., 2) lie outside of a silhouette, negative within."""
    far = []
    for vertices in parts:
        corners = geometry.transform(R, t, torch.tensor(vertices).float())
        half_planes = ConvexHull(geometry.project(corners, K).numpy()).equations
        far.append((pixels @ half_planes[:, :2].T + half_planes[:, 2]).max(-1))
    return np.min(far, axis=0)


def silhouette(
    shape: Shape, R: Tensor, t: Tensor, K: Tensor, width: int, height: int
) -> np.ndarray:
    """(H, W, 1) share of each pixel that a shape covers."""
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    return np.clip(0.5 - beyond(shape.parts, R, t, K, grid), 0.0, 1.0)[..., None]


def turned(*degrees: float) -> Tensor:
    """(3, 3) turn by a rotation vector."""
    return geometry.exp_so3(torch.deg2rad(torch.tensor(degrees)))
