"""Depth camera noise: what a sensor makes of true depth.

The figures are the first Kinect's, a structured-light camera and the most thoroughly measured
one. Noise along the ray and across it: Nguyen, Izadi and Lovell 2012, "Modeling Kinect sensor
noise for improved 3D reconstruction and tracking", equations 1 to 3. Focal length, baseline and
the eighth of a pixel of disparity: Khoshelham and Elberink 2012, "Accuracy and resolution of
Kinect depth data for indoor mapping applications". Nearest and farthest depth: its data sheet.
The shares of holes and flying pixels at edges, and what counts as dark or shiny, are ours: no
source gives them as numbers.
"""

from dataclasses import dataclass

import numpy as np

AXIAL_REFERENCE = 0.4  # m, of Nguyen's equation 2
GRAZING_NOISE = np.deg2rad(60.0)  # beyond it noise grows with the angle (equation 3)
BLOCK = 9  # px, side of the blocks that such a camera matches: their noise is one


@dataclass(frozen=True)
class DepthSensor:
    """A depth camera's faults; lengths in metres."""

    axial: tuple[float, float] = (0.0012, 0.0019)  # sigma: first + second * (z - 0.4 m)^2
    axial_grazing: float = 0.0001  # sigma beyond 60 degrees: more by this / sqrt(z) * angle term
    lateral: tuple[float, float] = (0.8, 0.035)  # px, sigma: first + second * a / (90 deg - a)
    focal: float = 580.0  # px of its own image
    baseline: float = 0.075  # between camera and projector
    disparity_step: float = 0.125  # px
    nearest: float = 0.4
    farthest: float = 6.0
    unit: float = 0.001  # of the numbers it sends
    jump: float = 0.02  # larger steps between neighbours are edges
    edge_holes: float = 0.35  # share of the pixels at edges that stay unknown
    flying: float = 0.2  # share of them that lies between both sides
    grazing: float = float(np.deg2rad(78.0))  # surfaces seen more obliquely give nothing
    dark: int = 26  # sRGB in all channels below which too little light comes back
    shiny: int = 248  # sRGB in all channels above which a highlight blinds
    lost: float = 0.7  # share of dark or shiny pixels that stay unknown


KINECT = DepthSensor()


def measured_depth(
    depth: np.ndarray,
    image: np.ndarray,
    K: np.ndarray,
    rng: np.random.Generator,
    sensor: DepthSensor = KINECT,
) -> np.ndarray:
    """Simulates the depth image of a sensor in the camera's place.

    Args:
        depth: (H, W) m true depth, 0 where there is nothing.
        image: (H, W, 3) uint8, tells what is dark or shiny.
        K: (3, 3) px.

    Returns:
        (H, W) float32 m in steps of the sensor's unit, 0 where it knows nothing.
    """
    angle = incidence(depth, K)
    low, high = _neighbours(depth)
    edge = high - low > sensor.jump
    chance = rng.random(depth.shape)
    share = rng.random(depth.shape)
    flying = edge & (chance < sensor.flying)
    seen = _shifted(depth, _over_right_angle(angle), rng, sensor)
    seen = np.where(flying, low + share * (high - low), seen)
    lost = edge & (chance > 1.0 - sensor.edge_holes)
    lost |= (angle > sensor.grazing) & ~edge
    lost |= projector_shadow(depth, K[0, 0] * sensor.baseline)
    lost |= _unreflective(image, rng, sensor)
    noise = axial_sigma(seen, angle, sensor) * _smooth_noise(rng, depth.shape)
    seen = quantize(seen + noise, sensor)
    known = (depth > 0) & ~lost & (seen > sensor.nearest) & (seen < sensor.farthest)
    return np.where(known, seen, 0.0).astype(np.float32)


def axial_sigma(depth: np.ndarray, angle: np.ndarray, sensor: DepthSensor = KINECT) -> np.ndarray:
    """Standard deviation (m) along the ray at a depth (m) and an angle of incidence (rad)."""
    depth = np.maximum(depth, sensor.nearest)
    first, second = sensor.axial
    more = sensor.axial_grazing / np.sqrt(depth) * np.square(_over_right_angle(angle))
    oblique = np.where(angle > GRAZING_NOISE, more, 0.0)
    return first + second * np.square(depth - AXIAL_REFERENCE) + oblique


def incidence(depth: np.ndarray, K: np.ndarray) -> np.ndarray:
    """(H, W) rad between the surface's normal and the ray to it, from differences of depth."""
    rows, columns = np.indices(depth.shape)
    ray = np.stack(
        ((columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones(depth.shape)), -1
    )
    point = ray * depth[..., None]
    normal = np.cross(np.gradient(point, axis=1), np.gradient(point, axis=0))
    scale = np.linalg.norm(normal, axis=2) * np.linalg.norm(ray, axis=2)
    cosine = np.abs((normal * ray).sum(2)) / np.maximum(scale, 1e-12)
    return np.arccos(np.clip(cosine, 0.0, 1.0))


def projector_shadow(depth: np.ndarray, focal_baseline: float) -> np.ndarray:
    """(H, W) bool: hidden from a projector to the right, by what is nearer in the same row.

    Args:
        focal_baseline: px m, the disparity of a depth of 1 m.
    """
    with np.errstate(divide="ignore"):
        disparity = np.where(depth > 0, focal_baseline / depth, 0.0)
    place = np.arange(depth.shape[1]) - disparity
    before = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    return place > before + 0.5


def quantize(depth: np.ndarray, sensor: DepthSensor = KINECT) -> np.ndarray:
    """Depth (m) in whole steps of disparity, then of the unit it is sent in."""
    constant = sensor.focal * sensor.baseline / sensor.disparity_step
    steps = np.maximum(np.rint(constant / np.maximum(depth, sensor.unit)), 1.0)
    return np.rint(constant / steps / sensor.unit) * sensor.unit


def _over_right_angle(angle: np.ndarray) -> np.ndarray:
    """a / (90 degrees - a), the growth of noise where a surface is seen obliquely."""
    return angle / np.maximum(np.pi / 2 - angle, 0.05)


def _shifted(
    depth: np.ndarray, oblique: np.ndarray, rng: np.random.Generator, sensor: DepthSensor
) -> np.ndarray:
    """The true depth beside each pixel, where its lateral noise takes it."""
    sigma = sensor.lateral[0] + sensor.lateral[1] * oblique
    rows, columns = np.indices(depth.shape)
    height, width = depth.shape
    rows = np.rint(rows + sigma * _smooth_noise(rng, depth.shape)).clip(0, height - 1)
    columns = np.rint(columns + sigma * _smooth_noise(rng, depth.shape)).clip(0, width - 1)
    return depth[rows.astype(int), columns.astype(int)].astype(float)


def _unreflective(image: np.ndarray, rng: np.random.Generator, sensor: DepthSensor) -> np.ndarray:
    """(H, W) bool: too dark or too shiny to be measured, in patches of four pixels a side."""
    height, width = image.shape[:2]
    coarse = rng.random((height // 4 + 1, width // 4 + 1))
    chance = coarse.repeat(4, axis=0).repeat(4, axis=1)[:height, :width]
    hard = (image.min(axis=2) > sensor.shiny) | (image.max(axis=2) < sensor.dark)
    return hard & (chance < sensor.lost)


def _neighbours(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest depth among each pixel and its eight neighbours."""
    padded = np.pad(depth.astype(float), 1, mode="edge")
    height, width = depth.shape
    shifted = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.minimum.reduce(shifted), np.maximum.reduce(shifted)


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal noise of deviation one, as smooth as the matching of blocks makes it."""
    noise = rng.standard_normal(shape)
    half = BLOCK // 2
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / (BLOCK / 4.5)) ** 2)
    kernel /= np.linalg.norm(kernel)
    for axis in range(2):
        parts = (np.roll(noise, i - half, axis) * weight for i, weight in enumerate(kernel))
        noise = sum(parts, np.zeros(shape))
    return noise
