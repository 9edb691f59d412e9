"""What a path tracer adds to a scene: environment light, lamps with an area, a lens, motion."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_ros.core.errors import CopeError

HDR_SUFFIXES = (".hdr", ".exr")
DEFOCUS_DEPTH = 1.2  # of the focal distance, where the blur is measured


@dataclass(frozen=True)
class Look:
    """How one scene is lit and photographed; what it holds is the ``Shot``'s."""

    environment: Path | None  # equirectangular HDR picture, None: the shot's sky and ground
    show_environment: bool  # behind the scene, instead of the shot's background
    environment_scale: float  # of its mean radiance over the shot's sky
    yaw: float  # rad, the environment about the vertical
    lamp_size: float  # m, side of the square lamps; also the sun's angle over 5 degrees
    defocus: float  # px, diameter of the blur at DEFOCUS_DEPTH times the focal distance, 0: none
    smear: np.ndarray  # (2,) px that the scene moves during the exposure, 0: none
    seed: int  # of the path tracer's noise

    @classmethod
    def plain(cls) -> "Look":
        """Sharp, under the shot's own light: as the raster renderer draws."""
        return cls(None, False, 1.0, 0.0, 0.05, 0.0, np.zeros(2), 0)


def environments(folder: Path | None) -> list[Path]:
    """The HDR pictures of a folder, by name.

    Raises:
        CopeError: there are none.
    """
    if folder is None:
        return []
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in HDR_SUFFIXES)
    if not found:
        raise CopeError(f"{folder}: expected HDR pictures ({' '.join(HDR_SUFFIXES)}), found none")
    return found


def random_look(rng: np.random.Generator, pictures: list[Path]) -> Look:
    """Three of four scenes under an environment picture, where there are any; many soft."""
    lit = bool(pictures) and rng.random() < 0.75
    angle = rng.uniform(0, 2 * np.pi)
    smear = rng.uniform(0.0, 3.0) if rng.random() < 0.3 else 0.0
    return Look(
        environment=pictures[rng.integers(len(pictures))] if lit else None,
        show_environment=lit and rng.random() < 0.3,
        environment_scale=float(np.exp(rng.normal(0.0, 0.25))),
        yaw=float(rng.uniform(0, 2 * np.pi)),
        lamp_size=float(np.exp(rng.uniform(np.log(0.03), np.log(0.8)))),
        defocus=float(rng.uniform(0.0, 2.5)) if rng.random() < 0.5 else 0.0,
        smear=smear * np.array([np.cos(angle), np.sin(angle)]),
        seed=int(rng.integers(2**31 - 1)),
    )
