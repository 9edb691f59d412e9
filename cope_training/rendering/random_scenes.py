"""Whole images of the random scenes that a training's crops are cut from, of another seed."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cope_training.data.bop_writer import BopSceneWriter
from cope_training.data.frames import Frame
from cope_training.rendering.scene import Rendering
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.scenes import compose_scene, take
from cope_training.rendering.studio import ObjectSet, Studio, load_objects

INSTANCES = (3, 16)  # of an image
JPEG_QUALITY = 90


def random_images(
    objects: ObjectSet, config: SceneConfig, seed: int, count: int
) -> Iterator[tuple[Frame, Rendering]]:
    """``count`` whole images; image i depends on the seed and i alone."""
    studio = Studio.for_scenes(objects, config, seed)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        instances = int(rng.integers(INSTANCES[0], INSTANCES[1] + 1))
        yield take(studio, compose_scene(rng, studio, config, instances))


def write_random_images(config: SceneConfig, scene: Path, seed: int, count: int) -> None:
    """Writes such images as a scene folder of a BOP set.

    Raises:
        CopeError: a mesh is missing or broken, or a folder of the configuration is.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's; set before the context opens
    objects = load_objects(config.models, config.max_faces)
    writer = BopSceneWriter(scene, objects.catalogue, JPEG_QUALITY)
    for frame, drawn in random_images(objects, config, seed, count):
        writer.add(frame, drawn.pixels)
    writer.close()
