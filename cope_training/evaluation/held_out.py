"""Whole images of scenes that no training saw: rendered from another seed, or of a data set."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.frames import Frame
from cope_training.data.photographs import read_image
from cope_training.evaluation.metrics.detection import with_boxes
from cope_training.evaluation.metrics.ground_truth import read_available
from cope_training.evaluation.metrics.objects import load_objects
from cope_training.evaluation.metrics.scenes import find_scenes
from cope_training.rendering.scene_config import SceneConfig


def rendered(config: SceneConfig, catalogue: Catalogue, seed: int, count: int) -> Iterator[Frame]:
    """``count`` whole images of random scenes; image i depends on the seed and i alone.

    Raises:
        CopeError: the meshes are missing, or are of other objects than the catalogue's.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's; set before the context opens
    from cope_training.rendering.random_scenes import random_images
    from cope_training.rendering.studio import load_objects

    objects = load_objects(config.models, config.max_faces)
    expected, got = _identities(catalogue), _identities(objects.catalogue)
    if expected != got:
        raise CopeError(f"{config.models}: expected the objects {expected}, got {got}")
    for frame, _ in random_images(objects, config, seed, count):
        yield frame


def _identities(catalogue: Catalogue) -> list[str]:
    """Number and size of each object; BOP's own files of objects have no names."""
    return [f"{o.obj_id} ({1e3 * o.diameter:.0f} mm)" for o in catalogue]


def recorded(data: Path, model: Path, catalogue: Catalogue) -> Iterator[Frame]:
    """The images of a BOP data set.

    Raises:
        CopeError: data, images or meshes are missing.
    """
    scenes = find_scenes(data).with_models(model)
    objects = load_objects(scenes.models_folder)
    gts = with_boxes(read_available(scenes), objects)
    index = {item.obj_id: c for c, item in enumerate(catalogue)}
    for key in gts.images:
        rows = (gts.scene_id == key[0]) & (gts.im_id == key[1])
        rows &= np.isin(gts.obj_id, list(index))
        T = np.tile(np.eye(4), (int(rows.sum()), 1, 1))
        T[:, :3, :3], T[:, :3, 3] = gts.R[rows], gts.t[rows]
        classes = np.array([index[i] for i in gts.obj_id[rows].tolist()], dtype=np.int64)
        image = read_image(scenes.image_path(*key), str(scenes.root))
        visibility = gts.visibility[rows].astype(np.float32)
        boxes = gts.boxes[rows].astype(np.float32)
        yield Frame(image, gts.K[key], classes, T, visibility, None, boxes)
