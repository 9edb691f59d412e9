"""What the measures need of each object: vertices, convex hull and symmetries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull, QhullError, cKDTree

from cope_ros.core.catalogue import MM, Catalogue, ObjectModel
from cope_ros.core.errors import CopeError
from cope_training.rendering.files.reader import read_mesh
from cope_training.rendering.model_sizes import check_sizes

# BOP's step between two samples of a continuous symmetry, as a share of the diameter.
MAX_SYMMETRY_STEP = 0.01
LEAF_POINTS = 32  # of the search tree: measured faster than the default 16
CLUSTERS = 256  # of vertices, that bound ADD-S from below
SCREEN_POINTS = 8  # vertices that screen the symmetries before all vertices are measured


@dataclass(frozen=True)
class EvalObject:
    """One object as it is measured; everything in its mesh's frame, in metres."""

    model: ObjectModel
    vertices: np.ndarray  # (V, 3) float64, m
    faces: np.ndarray  # (F, 3) int64
    symmetries: np.ndarray  # (S, 4, 4) float64, the identity first

    @property
    def diameter(self) -> float:
        """Largest distance between two vertices, m."""
        return self.model.diameter

    @cached_property
    def hull(self) -> np.ndarray:
        """(H, 3) m: vertices of the convex hull.

        The displacement between two poses is affine in the point and its norm convex, so its
        largest value over the mesh is reached at one of these.
        """
        try:
            return self.vertices[ConvexHull(self.vertices).vertices]
        except QhullError:  # flat or tiny meshes have no hull of positive volume
            return self.vertices

    @cached_property
    def screen(self) -> np.ndarray:
        """(Q, 3) m: a few hull vertices far from one another."""
        hull = self.hull
        chosen = [int(np.argmax(np.linalg.norm(hull - hull.mean(axis=0), axis=1)))]
        gap = np.linalg.norm(hull - hull[chosen[0]], axis=1)
        while len(chosen) < min(SCREEN_POINTS, len(hull)):
            chosen.append(int(gap.argmax()))
            gap = np.minimum(gap, np.linalg.norm(hull - hull[chosen[-1]], axis=1))
        return hull[chosen]

    @cached_property
    def clusters(self) -> tuple[np.ndarray, np.ndarray, float]:
        """A few points that stand for all vertices, for a quick lower bound of ADD-S.

        Returns:
            (C, 3) m centres, (C,) share of the vertices nearest to each, and the mean distance
            of the vertices from their centre, m.
        """
        step = max(1, len(self.vertices) // CLUSTERS)
        centres = self.vertices[::step]
        gap, nearest = cKDTree(centres).query(self.vertices)
        share = np.bincount(nearest, minlength=len(centres)) / len(self.vertices)
        return centres, share, float(gap.mean())

    @cached_property
    def tree(self) -> cKDTree:
        """Nearest-neighbour search over the vertices, for ADD-S."""
        return cKDTree(self.vertices, leafsize=LEAF_POINTS)


def symmetry_transforms(model: ObjectModel) -> np.ndarray:
    """All symmetries of an object as BOP counts them, continuous ones in 315 steps.

    Returns:
        (S, 4, 4) float64, translations in m, the identity first.
    """
    return model.symmetry.sampled(int(np.ceil(np.pi / MAX_SYMMETRY_STEP)))


def load_objects(folder: Path | str, wanted: set[int] | None = None) -> dict[int, EvalObject]:
    """Reads ``models_info.json`` and ``obj_*.ply`` (BOP, mm) of a models folder.

    Args:
        folder: with both, or with the meshes in ``meshes/``.
        wanted: obj_ids whose meshes are read, every one of models_info.json by default.

    Raises:
        CopeError: a file is missing or is no mesh, or the mesh is not as large as its entry says.
    """
    folder = Path(folder)
    catalogue = Catalogue.from_models_info(folder / "models_info.json")
    meshes = folder / "meshes" if (folder / "meshes").is_dir() else folder
    chosen = [m for m in catalogue if wanted is None or m.obj_id in wanted]
    return {m.obj_id: _load(m, meshes / f"obj_{m.obj_id:06d}.ply") for m in chosen}


def class_ids(
    objects: Mapping[int, EvalObject], catalogue: Iterable[ObjectModel] = ()
) -> dict[int, str]:
    """obj_id -> class_id as a model's messages have it; BOP's own files only number the objects.

    Args:
        catalogue: of the model, if there is one.
    """
    named = {model.obj_id: model.class_id for model in catalogue}
    return {i: named.get(i, obj.model.class_id) for i, obj in objects.items()}


def diameters(objects: Mapping[int, EvalObject], obj_ids: np.ndarray) -> np.ndarray:
    """(N,) m: the diameter of each of ``obj_ids`` (N,)."""
    return np.array([objects[int(i)].diameter for i in obj_ids], dtype=np.float64)


def _load(model: ObjectModel, path: Path) -> EvalObject:
    if not path.is_file():
        raise CopeError(f"{path}: no such mesh (object {model.obj_id} of models_info.json)")
    mesh = read_mesh(path, allow_missing_texture=True)  # only the shape is measured
    vertices, faces = mesh.vertices * MM, mesh.faces.astype(np.int64)
    check_sizes(model, vertices, path)
    return EvalObject(model, vertices, faces, symmetry_transforms(model))
