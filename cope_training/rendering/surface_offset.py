"""Meshes a little thicker here and thinner there than they were scanned, with sharper corners or
rounder ones.

A scan rounds corners and thickens walls: outlines of LM-O's driller lie 1 to 3 px outside of the
one in its photographs, those of the holepuncher inside, where 1 px of 70 is a depth wrong by 1.4 %.
A network that saw one outline alone takes depth from it; where outlines vary, it has to take depth
from how far apart things are on the object. No part moves all of the surface alike: that would only
make the object larger, and an image cannot tell a larger object from a nearer one.
"""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from cope_training.rendering.meshes import WELD, Mesh

WAVELENGTHS = (0.4, 1.2)  # in diameters, of what is thicker here and thinner there
SMOOTHED = 0.08  # in diameters, radius within which a scan rounds corners


def with_surface_offset(mesh: Mesh, rng: np.random.Generator, sigma: float) -> Mesh:
    """The mesh with its surface moved along the normals in a wave, on average not at all.

    Args:
        mesh: stays as it is.
        rng: of how far.
        sigma: standard deviation of the wave's height, in diameters.
    """
    points = mesh.vertices.astype(np.float64)
    diameter = mesh.diameter
    direction = rng.normal(size=3)
    direction *= 2 * np.pi / (np.linalg.norm(direction) * rng.uniform(*WAVELENGTHS) * diameter)
    wave = np.sin(points @ direction + rng.uniform(0, 2 * np.pi))
    wave -= np.average(wave, weights=_point_areas(mesh))
    offset = sigma * diameter * rng.normal() * wave
    moved = points + offset[:, None] * _point_normals(mesh)
    return replace(mesh, vertices=moved.astype(np.float32))


def with_sharper_corners(mesh: Mesh, factor: float) -> Mesh:
    """The mesh with as many times what smoothing would take from its corners put on them.

    What smoothing takes alike from most of the surface, as from all of a ball, is no rounding and
    stays out. Nothing changes where vertices lie farther apart than ``SMOOTHED``: no scan has such.

    Args:
        mesh: stays as it is.
        factor: 1 undoes a scan's rounding where that is as wide as ``SMOOTHED``; negative: rounder.
    """
    first, point = _points(mesh)  # vertices at one place are one
    points, normals = mesh.vertices[first].astype(np.float64), _point_normals(mesh)[first]
    areas = np.bincount(point, _point_areas(mesh))
    above = ((points - _local_means(mesh.diameter, points, normals, areas)) * normals).sum(1)
    order = np.argsort(above)
    covered = np.cumsum(areas[order])
    above -= above[order[np.searchsorted(covered, covered[-1] / 2)]]  # the surface's median
    moved = mesh.vertices + ((factor * above)[:, None] * normals)[point]
    return replace(mesh, vertices=moved.astype(np.float32))


def _local_means(
    diameter: float, points: np.ndarray, normals: np.ndarray, areas: np.ndarray
) -> np.ndarray:
    """(P, 3) m, means of the surface about each point; a thin wall's other side is another."""
    pairs = cKDTree(points).query_pairs(SMOOTHED * diameter, output_type="ndarray")
    own = np.arange(len(points))
    one = np.concatenate((pairs[:, 0], pairs[:, 1], own))
    two = np.concatenate((pairs[:, 1], pairs[:, 0], own))
    weight = areas[two] * (1.0 + (normals[one] * normals[two]).sum(1)) + 1e-15
    total = np.bincount(one, weight, minlength=len(points))
    sums = [
        np.bincount(one, weight * points[two, axis], minlength=len(points)) for axis in range(3)
    ]
    return np.stack(sums, 1) / total[:, None]


def _point_areas(mesh: Mesh) -> np.ndarray:
    """(V,) share of the surface around each vertex, m^2."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.repeat(np.linalg.norm(cross, axis=1) / 6.0, 3)
    return np.bincount(mesh.faces.reshape(-1), areas, minlength=len(mesh.vertices))


def _point_normals(mesh: Mesh) -> np.ndarray:
    """(V, 3) mean normals of all vertices at one place: the surface does not tear at edges."""
    first, point = _points(mesh)
    total = np.zeros((len(first), 3))
    np.add.at(total, point, mesh.normals)
    normals = total[point]
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9))


def _points(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """(P,) a vertex at each place, and (V,) the place of each vertex."""
    cells = np.round(mesh.vertices / WELD).astype(np.int64)
    _, first, point = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return first, point.reshape(-1)
