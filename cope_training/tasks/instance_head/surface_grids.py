"""The surfaces that an instance head traces rays to: grids of signed distances and colours."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import label
from scipy.spatial import cKDTree
from torch import Tensor

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.refinement.expected_surface import SIDE
from cope_training.rendering.meshes import Mesh
from cope_training.rendering.surface_samples import surface_samples, triangle_normals
from cope_training.tasks.refiner.surface_points import ThinEnds, repaired_mesh

SAMPLES = 200_000  # points of a mesh that distances are measured to
NEIGHBOURS = 8  # of a voxel, that tell its side and its colour
SHELL = 0.9  # voxels from a surface, within which one cannot pass through it
AGREEMENT = 0.99  # share of voxels away from the surface


class SurfaceGrids(NamedTuple):
    """Of C objects, one on the other, with G voxels a side: see ``ExpectedSurface``."""

    distance: Tensor  # (C * G, G, G) float32 over the diameter, of z y x
    color: Tensor  # (3, C * G, G, G) uint8 RGB


def surface_grids(
    folder: Path, catalogue: Catalogue, voxels: int, thin_ends: ThinEnds | None = None
) -> SurfaceGrids:
    """Signed distances and colours about each object.

    Args:
        folder: models folder, see ``rendering.studio.load_objects``.
        catalogue: its objects.
        voxels: G.
        thin_ends: of scans that are too thick there, see ``rendering.repairs``.

    Raises:
        CopeError: a mesh is missing, broken or not as large as its entry says.
    """
    grids = []
    for item in catalogue:
        mesh, path = repaired_mesh(folder, item, thin_ends)
        try:
            grids.append(mesh_grids(mesh, item.corners.mean(0), item.diameter, voxels))
        except CopeError as error:
            raise CopeError(f"{path}: {error}") from None
    distance, color = (np.concatenate(part) for part in zip(*grids, strict=True))
    color = np.moveaxis(color, -1, 0).round().clip(0, 255).astype(np.uint8)
    return SurfaceGrids(torch.from_numpy(distance).float(), torch.from_numpy(color))


def mesh_grids(
    mesh: Mesh, center: np.ndarray, diameter: float, voxels: int
) -> tuple[np.ndarray, np.ndarray]:
    """(G, G, G) distances and (G, G, G, 3) colours of one mesh.

    Raises:
        CopeError: its triangles have no area.
    """
    normals, lengths = triangle_normals(mesh)
    drawn = surface_samples(mesh, lengths, SAMPLES, np.random.default_rng(0))
    points = (drawn.points - center) / diameter
    place = ((np.arange(voxels) + 0.5) / voxels - 0.5) * SIDE
    z, y, x = np.meshgrid(place, place, place, indexing="ij")
    grid = np.stack((x, y, z), -1).reshape(-1, 3)
    distance, nearest = cKDTree(points).query(grid, k=NEIGHBOURS)
    normals = normals[drawn.faces] / lengths[drawn.faces, None]
    side = ((grid[:, None] - points[nearest]) * normals[nearest]).sum((1, 2))
    distance, side = (x.reshape(voxels, voxels, voxels) for x in (distance[:, 0], side))
    signed = with_sides(distance, side < 0.0, SIDE / voxels)
    return signed, drawn.colors[nearest].mean(1).reshape(*signed.shape, 3)


def with_sides(distance: np.ndarray, within: np.ndarray, step: float) -> np.ndarray:
    """Distances to a surface, negative within it.

    What cannot be reached from the grid's faces is within. Where the triangles' own sides agree
    with that away from the surface, they decide near it; where they do not, as with turned or
    double triangles, the voxels that the surface runs through are left positive.

    Args:
        distance: (G, G, G).
        within: (G, G, G) bool by the triangles' sides.
        step: between voxels, in the distance's unit.
    """
    clear = distance > SHELL * step
    parts, _ = label(np.pad(clear, 1, constant_values=True))
    enclosed = clear & (parts != parts[0, 0, 0])[1:-1, 1:-1, 1:-1]
    if (within == enclosed)[clear].mean() < AGREEMENT:
        within = enclosed
    return np.where(within, -distance, distance)
