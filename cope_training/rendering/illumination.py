"""Random lights and materials."""

from dataclasses import replace

import numpy as np

from cope_training.rendering.scene import Light, Lighting, Material, Pattern
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.shadows import SIDES

OCCLUSION = (0.3, 0.9)  # share of the light that the narrowest gaps lose


def random_lighting(rng: np.random.Generator, up: np.ndarray, center: np.ndarray) -> Lighting:
    """One to three lights above or around the scene, and light from all sides.

    Args:
        up: (3,) unit vector away from the ground, camera frame.
        center: (3,) m, what the lights shine on.
    """
    exposure = np.exp(rng.normal(-0.05, 0.28))
    ambient = rng.uniform(0.2, 0.85)
    count = rng.integers(1, 4)
    shares = rng.dirichlet(np.full(count, 0.8)) * (1.15 - ambient)
    lights = []
    for share in shares:
        way = rng.normal(size=3) + 0.8 * up
        way[2] -= 0.4  # more from the camera's side, or most lights would leave faces dark
        way /= np.linalg.norm(way)
        color = exposure * 1.5 * share * _white(rng)
        if rng.random() < 0.4:
            position = center + way * rng.uniform(0.4, 3.0)
            lights.append(Light(np.append(position, 1.0), color))
        else:
            lights.append(Light(np.append(way, 0.0), color))
    sky = exposure * ambient * _white(rng)
    ground = sky * rng.uniform(0.35, 1.0) * _white(rng, 0.08)
    shadow = rng.uniform(0.4, 1.0) if rng.random() < 0.7 else 0.0
    return Lighting(tuple(lights), up, sky, ground, float(shadow), int(rng.choice(SIDES)))


def with_occlusion(rng: np.random.Generator, light: Lighting, config: SceneConfig) -> Lighting:
    """By chance with darker gaps."""
    if not config.occlusion_share:
        return light
    chance, strength = rng.random(), float(rng.uniform(*OCCLUSION))
    return replace(light, occlusion=strength) if chance < config.occlusion_share else light


def _white(rng: np.random.Generator, spread: float = 0.06) -> np.ndarray:
    """(3,) a lamp's colour, between bluish and reddish white."""
    return np.exp(rng.normal(0.0, spread) * np.array([1.0, 0.0, -1.0]) + rng.normal(0, 0.02, 3))


def random_material(rng: np.random.Generator, config: SceneConfig) -> Material:
    """A known object's surface: its own colours, more or less off, matt to glossy.

    A scanned mesh's colours are not those that another camera sees, and its patches may be
    the scanner's; a network that relies on either does not know the object in a photograph.
    """
    brightness = rng.normal(0.0, config.brightness_sigma)
    tint = np.exp(brightness + rng.normal(0.0, config.tint_sigma, 3))
    gloss, shininess = float(rng.beta(1.0, 3.0) * 0.5), float(np.exp(rng.uniform(1.5, 4.5)))
    fades = config.fade_min, config.fade_max
    fade = float(rng.uniform(*fades)) if any(fades) else 0.0
    vivid = (
        float(np.exp(rng.normal(0.0, config.saturation_sigma))) if config.saturation_sigma else 1.0
    )
    pattern = None
    if config.pattern_share and rng.random() < config.pattern_share:
        pattern = random_pattern(rng, config.pattern_contrast)
    return Material(tint, gloss, shininess, fade=fade, vivid=vivid, pattern=pattern)


def random_pattern(rng: np.random.Generator, contrast: float) -> Pattern:
    """Stripes of 1.5 to 15 cm in any direction, mostly grey, from soft to hard."""
    ways = rng.normal(size=(3, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    lengths = np.exp(rng.uniform(np.log(0.015), np.log(0.15), (3, 1)))
    phases = rng.uniform(0, 2 * np.pi, (3, 1))
    grey, color = rng.normal(size=(3, 1)), rng.normal(0, 0.4, (3, 3))
    colors = rng.uniform(0, contrast) * (grey + color)
    waves = np.concatenate([2 * np.pi / lengths * ways, phases], axis=1)
    return Pattern(waves, colors, float(np.exp(rng.uniform(0, np.log(8.0)))))


def random_clutter_material(rng: np.random.Generator, textures: range) -> Material:
    """Any colour, one of the textures."""
    tint = np.exp(rng.normal(-0.1, 0.3)) * rng.uniform(0.5, 1.2, 3)
    gloss = float(rng.beta(1.0, 3.0) * 0.5)
    return Material(tint, gloss, float(np.exp(rng.uniform(1.5, 4.5))), _one_of(rng, textures))


def _one_of(rng: np.random.Generator, values: range) -> int:
    return int(rng.integers(values.start, values.stop))
