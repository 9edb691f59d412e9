"""Where the camera of a random image looks, and how large and where its objects appear."""

from dataclasses import dataclass

import numpy as np

from cope_training.rendering.placement import rays
from cope_training.rendering.scene_config import SceneConfig

# Mean silhouette over the squared diameter: 0.51 of a 117 x 59 x 95 mm carton, 0.47 of a can, by
# Cauchy's formula (a quarter of a convex body's surface).
SILHOUETTE = 0.5
FEWEST = 2  # objects of a crop
WIDEST_EDGE = 0.4  # share of a window's side


@dataclass(frozen=True)
class Camera:
    """A whole image's camera, or that of a window in it."""

    K: np.ndarray  # (3, 3) of the window
    size: tuple[int, int]  # width, height

    @property
    def focal(self) -> float:
        return float(self.K[0, 0])


def random_camera(rng: np.random.Generator, config: SceneConfig) -> Camera:
    """The camera of a whole image."""
    focal = np.exp(rng.uniform(np.log(config.focal_min), np.log(config.focal_max)))
    cx = 0.5 * (config.image_width - 1) + rng.uniform(-15, 15)
    cy = 0.5 * (config.image_height - 1) + rng.uniform(-15, 15)
    K = np.array([[focal, 0, cx], [0, focal * rng.uniform(0.99, 1.01), cy], [0, 0, 1.0]])
    return Camera(K, (config.image_width, config.image_height))


def random_window(rng: np.random.Generator, config: SceneConfig) -> Camera:
    """The camera of a crop: a window of a whole image, its principal point shifted exactly."""
    camera = random_camera(rng, config)
    side = config.crop_size
    left = rng.integers(0, max(config.image_width - side, 0) + 1)
    top = rng.integers(0, max(config.image_height - side, 0) + 1)
    shift = np.array([[0, 0, left], [0, 0, top], [0, 0, 0]])
    return Camera(camera.K - shift, (side, side))


def most_objects(coverage: float, camera: Camera, size: float) -> int:
    """How many objects of an apparent size (px) cover that share of an image, were none hidden."""
    most = coverage * camera.size[0] * camera.size[1] / (SILHOUETTE * size**2)
    return max(int(most), FEWEST)


def first_center(
    rng: np.random.Generator,
    config: SceneConfig,
    camera: Camera,
    diameter: float,
    whole: bool,
) -> tuple[np.ndarray, float]:
    """The first object's centre, in the window and at a random depth or apparent size.

    Args:
        diameter: m.
        whole: the object lies in the window as a whole.

    Returns:
        (3,) m, and the apparent size in px.
    """
    scale = camera.focal * diameter
    if config.depth_max > 0:
        z = np.exp(rng.uniform(np.log(config.depth_min), np.log(config.depth_max)))
    else:
        z = scale / _apparent_size(rng, config)
    edge = _inner_edge(camera, scale / z) if whole else np.full(2, 0.12)
    pixel = rng.uniform(edge, 1.0 - edge) * camera.size
    return rays(pixel[None], camera.K)[0] * z, float(scale / z)


def _apparent_size(rng: np.random.Generator, config: SceneConfig) -> float:
    """px"""
    power = config.size_exponent
    if power == 0.0:
        return float(np.exp(rng.uniform(np.log(config.size_min), np.log(config.size_max))))
    return float(rng.uniform(config.size_min**power, config.size_max**power) ** (1.0 / power))


def wanted_pixels(
    rng: np.random.Generator, camera: Camera, count: int, whole_size: float = 0.0
) -> np.ndarray:
    """(N, 2) px where objects are wanted, a margin around the window included.

    Args:
        whole_size: px, of objects that are to lie within the window; 0: they need not.
    """
    low = np.full(2, -0.12 * min(160, *camera.size))
    if whole_size:
        low = _inner_edge(camera, whole_size) * camera.size
    return rng.uniform(low, np.array(camera.size) - low, (count, 2))


def _inner_edge(camera: Camera, size: float) -> np.ndarray:
    """(2,) share of the window's sides that is left free, for objects of that size in px."""
    return np.minimum(0.5 * size / np.array(camera.size), WIDEST_EDGE)
