"""Things that are no known objects, some of which look like one."""

from dataclasses import replace

import numpy as np

from cope_training.rendering import placement
from cope_training.rendering.illumination import random_clutter_material, random_material
from cope_training.rendering.scene import Material, Placement
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.studio import Studio


def solid(
    rng: np.random.Generator, studio: Studio, config: SceneConfig, T: np.ndarray
) -> list[Placement]:
    """A solid or an everyday mesh at ``T``; by chance a solid in a known object's colour."""
    solids = studio.solids
    if studio.things and rng.random() < config.clutter_mesh_share:
        return [_thing(rng, studio, T)]
    first = solids[rng.integers(len(solids))]
    if not config.alike_share or rng.random() >= config.alike_share:
        return [Placement(first, T, clutter_material(rng, studio, config))]
    color = studio.colors[rng.integers(len(studio.colors))]
    material = random_material(rng, config)
    material = replace(material, tint=material.tint * color)
    placed = [Placement(first, T, material)]
    for _ in range(int(rng.integers(0, 3))):
        part = np.eye(4)
        part[:3, :3] = placement.random_rotation(rng) * rng.uniform(0.3, 0.8)
        part[:3, 3] = rng.uniform(-0.5, 0.5, 3)
        placed.append(Placement(solids[rng.integers(len(solids))], T @ part, material))
    return placed


def _thing(rng: np.random.Generator, studio: Studio, T: np.ndarray) -> Placement:
    """An everyday mesh where the solid would be, in its own size and colours."""
    pose = T.copy()
    pose[:3, :3] = placement.random_rotation(rng) * np.exp(rng.normal(0.0, 0.1))
    plain = random_clutter_material(rng, range(1))
    material = replace(plain, tint=np.exp(rng.normal(0.0, 0.1, 3)), texture=None)
    return Placement(studio.things[rng.integers(len(studio.things))], pose, material)


def clutter_material(rng: np.random.Generator, studio: Studio, config: SceneConfig) -> Material:
    """Any colour and one of the textures, printed or not."""
    textures = studio.prints if printed(rng, config) else studio.textures
    return random_clutter_material(rng, textures)


def printed(rng: np.random.Generator, config: SceneConfig) -> bool:
    """Whether something is to be full of print, by chance."""
    return config.print_share > 0 and rng.random() < config.print_share
