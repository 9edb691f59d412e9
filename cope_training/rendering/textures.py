"""Procedural pictures for backgrounds, grounds and clutter, (H, W, 3) uint8 sRGB."""

import numpy as np
from PIL import Image


def random_color(rng: np.random.Generator) -> np.ndarray:
    """A random colour; most are not saturated, as in rooms."""
    value, grey = rng.uniform(20, 245), rng.beta(2.0, 1.5)
    return np.clip(grey * value + (1 - grey) * rng.uniform(0, 255, 3), 0, 255)


def _noise(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side) float in [0, 1]: octaves of smooth noise, rough or cloudy by chance."""
    total = np.zeros((side, side))
    fall = rng.uniform(0.4, 0.9)
    for octave in range(1, 8):
        cells = min(2**octave, side)
        grid = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
        total += fall**octave * np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC))
    total -= total.min()
    return total / max(float(total.max()), 1e-9)


def _waves(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side) float in [0, 1]: stripes, checks or rings with soft or hard edges."""
    y, x = np.mgrid[:side, :side] / side
    angle, count = rng.uniform(0, np.pi), rng.uniform(1.0, 14.0)
    along = (x * np.cos(angle) + y * np.sin(angle)) * count
    across = (y * np.cos(angle) - x * np.sin(angle)) * count * rng.uniform(0.5, 2.0)
    rings = np.hypot(x - rng.uniform(), y - rng.uniform()) * 2 * count
    kind = rng.integers(3)
    if kind == 0:
        wave = np.sin(2 * np.pi * along)
    elif kind == 1:
        wave = np.sin(2 * np.pi * along) * np.sin(2 * np.pi * across)
    else:
        wave = np.sin(2 * np.pi * rings)
    return np.clip(0.5 + 0.5 * wave * rng.choice([1.0, 20.0]), 0.0, 1.0)


def _patches(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side, 3) float: rectangles of random colours over each other, like prints."""
    picture = np.tile(random_color(rng), (side, side, 1))
    for _ in range(rng.integers(4, 30)):
        w, h = (rng.uniform(0.03, 0.5, 2) ** 1.3 * side).astype(int) + 1
        x, y = rng.integers(-w // 2, side, 2)
        picture[max(y, 0) : y + h, max(x, 0) : x + w] = random_color(rng)
    return picture


def procedural_picture(rng: np.random.Generator, side: int = 256) -> np.ndarray:
    """A random picture: noise, waves, patches or a gradient, or two of them blended."""
    layers = []
    for _ in range(rng.integers(1, 3)):
        kind = rng.choice(4, p=[0.4, 0.25, 0.25, 0.1])
        if kind == 2:
            layers.append(_patches(rng, side))
            continue
        if kind == 0:
            mix = _noise(rng, side)
        elif kind == 1:
            mix = _waves(rng, side)
        else:
            y, x = np.mgrid[:side, :side] / side
            mix = np.clip(x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1) + 0.5, 0, 1)
        layers.append(random_color(rng) * mix[..., None] + random_color(rng) * (1 - mix[..., None]))
    weight = rng.uniform(0.3, 0.8)
    picture = layers[0] if len(layers) == 1 else weight * layers[0] + (1 - weight) * layers[1]
    picture = picture + rng.normal(0.0, rng.uniform(0.0, 8.0), (side, side, 1))
    return np.clip(picture, 0, 255).astype(np.uint8)


def random_crop(rng: np.random.Generator, picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A random part of a picture, mirrored by chance, (width, height) uint8, never enlarged.

    Half of the parts keep their pixels, the others are made smaller; a picture that is smaller
    than asked for goes on mirrored at its borders.
    """
    picture = _mirrored_to(picture, size)
    height, width = picture.shape[:2]
    most = min(width / size[0], height / size[1])
    scale = most ** rng.uniform() if rng.random() < 0.5 else 1.0  # pixels that become one
    w, h = min(scale * size[0], width), min(scale * size[1], height)
    x, y = (int(rng.integers(0, int(room) + 1)) for room in (width - w, height - h))
    box = (x, y, x + w, y + h)
    part = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, box)
    window = np.asarray(part)
    return window[:, ::-1] if rng.random() < 0.5 else window


def _mirrored_to(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    lack = [max(size[1] - picture.shape[0], 0), max(size[0] - picture.shape[1], 0)]
    return (
        np.pad(picture, ((0, lack[0]), (0, lack[1]), (0, 0)), "symmetric") if any(lack) else picture
    )
