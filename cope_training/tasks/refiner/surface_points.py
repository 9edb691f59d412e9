"""The surfaces that a refiner draws: points of the meshes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cope_ros.core.catalogue import Catalogue, ObjectModel
from cope_ros.core.errors import CopeError
from cope_training.rendering.meshes import Mesh, load_mesh, vertex_normals
from cope_training.rendering.model_sizes import check_sizes
from cope_training.rendering.repairs import with_thin_end
from cope_training.rendering.studio import find_mesh
from cope_training.rendering.surface_samples import surface_samples, triangle_normals

ThinEnds = Mapping[int, Sequence[float]]  # by obj_id

CANDIDATES = 4  # random points of the mesh per point that is kept


def surface_points(
    folder: Path, catalogue: Catalogue, count: int, thin_ends: ThinEnds | None = None
) -> Tensor:
    """Points that lie evenly on each object, and their normals.

    Args:
        folder: models folder, see ``rendering.studio.load_objects``.
        catalogue: its objects.
        count: P, points of each object.
        thin_ends: of scans that are too thick there, see ``rendering.repairs``.

    Returns:
        (C, P, 6) float32, m about the centre of the object's box.

    Raises:
        CopeError: a mesh is missing, broken or not as large as its entry says.
    """
    return torch.stack([
        _points(*repaired_mesh(folder, item, thin_ends), item.corners.mean(0), count)
        for item in catalogue
    ])  # fmt: skip


def repaired_mesh(folder: Path, item: ObjectModel, thin_ends: ThinEnds | None) -> tuple[Mesh, Path]:
    """The mesh of an object, and where it comes from.

    Raises:
        CopeError: it is missing, broken or not as large as its entry says.
    """
    path = find_mesh(folder, item.obj_id)
    mesh = load_mesh(path)
    check_sizes(item, mesh.vertices, path)
    if thin_ends and item.obj_id in thin_ends:
        mesh = with_thin_end(mesh, thin_ends[item.obj_id])
    return mesh, path


def _points(mesh: Mesh, path: Path, center: np.ndarray, count: int) -> Tensor:
    try:
        _, lengths = triangle_normals(mesh)
    except CopeError as error:
        raise CopeError(f"{path}: {error}") from None
    drawn = surface_samples(mesh, lengths, CANDIDATES * count, np.random.default_rng(0))
    smooth = vertex_normals(mesh.vertices, mesh.faces)[mesh.faces[drawn.faces]]
    normals = (smooth * drawn.weights).sum(1)
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
    kept = _farthest(torch.from_numpy(drawn.points).float(), count).numpy()
    return torch.from_numpy(np.concatenate((drawn.points[kept] - center, normals[kept]), 1)).float()


def _farthest(points: Tensor, count: int) -> Tensor:
    """(count,) rows, each the farthest from those before it."""
    distance = torch.full((len(points),), torch.inf, dtype=points.dtype)
    chosen = torch.zeros(count, dtype=torch.long)
    for i in range(1, count):
        gap = (points - points[chosen[i - 1]]).square().sum(1)
        distance = torch.minimum(distance, gap)
        chosen[i] = distance.argmax()
    return chosen
