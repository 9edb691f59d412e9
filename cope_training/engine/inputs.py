"""What a training will read, looked at before anything that takes long."""

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.network.presets import get_preset
from cope_training.data.sources import build_source, check_recorded
from cope_training.engine.configuration import TrainConfig
from cope_training.engine.finishing_config import EXPORT, THRESHOLD, TRAINING, VALIDATION
from cope_training.rendering.backgrounds import load_photographs
from cope_training.rendering.scene_config import make_scene_config
from cope_training.rendering.settling import import_mujoco
from cope_training.rendering.studio import load_objects
from cope_training.rendering.things import load_things


def check_inputs(config: TrainConfig, catalogue: Catalogue) -> None:
    """Reads once what the training and its stages will read: their faults come at the start.

    Raises:
        CopeError: a mesh, a folder of photographs or of everyday meshes, the ground truth of a
            BOP set or a value of the configuration is at fault; names the file or the key.
    """
    build_source(config, catalogue)
    check_recorded(config, catalogue)
    if _renders(config):
        _check_scenes(config)
    elif _needs_meshes(config):
        load_objects(config.data.path("meshes"), max_faces=0)
    if config.validation.wanted or {THRESHOLD, VALIDATION} & set(config.stages):
        import_mujoco()
    if THRESHOLD in config.stages and config.finishing.negatives:
        load_photographs(config.finishing.negatives_path, 1, np.random.default_rng(0))


def _renders(config: TrainConfig) -> bool:
    """Whether scenes are rendered, for the training, its validation or the stages after it."""
    recorded = bool(config.data.bop.folder) and config.data.bop.share >= 1
    measured = bool(set(config.stages) - {TRAINING, EXPORT})
    return not recorded or measured or config.validation.wanted


def _needs_meshes(config: TrainConfig) -> bool:
    layers = get_preset(config.preset)
    return layers.refiner is not None or layers.contour_fit is not None


def _check_scenes(config: TrainConfig) -> None:
    data, rng = config.data, np.random.default_rng(config.seed)
    load_objects(data.path("meshes"), max_faces=0)  # simplifying takes longer than reading
    backgrounds = data.path("backgrounds")
    if backgrounds:
        load_photographs(backgrounds, 1, rng)
    scene = make_scene_config(data.scene, models=data.path("meshes"))
    if scene.clutter_meshes:
        load_things(scene.clutter_meshes, rng)
