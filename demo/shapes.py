"""The meshes that a demonstration draws and measures with, wherever they are."""

from pathlib import Path

import numpy as np
import trimesh

from cope_ros.core.catalogue import Catalogue, ObjectModel
from cope_ros.core.errors import CopeError
from cope_training.evaluation.metrics import EvalObject, find_scenes, load_objects
from cope_training.evaluation.metrics.objects import symmetry_transforms

# Meshes whose diameters differ by more than this share are of different objects.
SAME_DIAMETER = 0.02


def load_shapes(
    model: Path, images: Path, catalogue: Catalogue
) -> tuple[dict[int, EvalObject], bool]:
    """Objects by obj_id: meshes of the model directory, else of the data set, else cuboids.

    Args:
        model: the model's directory.
        images: the folder that is played; a BOP data set may have its meshes beside it.
        catalogue: of the model.

    Returns:
        The objects, and whether they are the real shapes, good for measuring errors.

    Raises:
        CopeError: a mesh is broken.
    """
    wanted = {item.obj_id for item in catalogue}
    for folder in (model, _models_of(images)):
        if folder is None or not same_objects(folder, catalogue):
            continue
        if all(_mesh_file(folder, item).is_file() for item in catalogue):
            return load_objects(folder, wanted), True
    return {item.obj_id: _cuboid(item) for item in catalogue}, False


def same_objects(models: Path, catalogue: Catalogue) -> bool:
    """Whether a models folder knows objects of the catalogue, by obj_id and diameter.

    BOP numbers the objects of every data set from 1, so that equal obj_ids alone say nothing.
    """
    theirs = {o.obj_id: o.diameter for o in Catalogue.from_models_info(models / "models_info.json")}
    shared = [o for o in catalogue if o.obj_id in theirs]
    ratios = [theirs[o.obj_id] / o.diameter for o in shared]
    return bool(ratios) and bool(np.allclose(ratios, 1.0, rtol=0, atol=SAME_DIAMETER))


def _models_of(images: Path) -> Path | None:
    try:
        return find_scenes(images).models
    except CopeError:  # a plain folder of images
        return None


def _mesh_file(folder: Path, item: ObjectModel) -> Path:
    meshes = folder / "meshes" if (folder / "meshes").is_dir() else folder
    return meshes / f"obj_{item.obj_id:06d}.ply"


def _cuboid(item: ObjectModel) -> EvalObject:
    box = trimesh.creation.box(bounds=[item.corners.min(axis=0), item.corners.max(axis=0)])
    return EvalObject(item, box.vertices, box.faces, symmetry_transforms(item))
