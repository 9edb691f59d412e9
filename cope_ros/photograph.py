"""A photograph and the pinhole camera it was taken with, as far as it is known. Needs no ROS.

Pixels, pixel centres at integers.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from cope_training.data.photographs import opened
from cope_training.rendering.files.pictures import rgb_pixels

DIAGONAL_35MM = math.hypot(36.0, 24.0)  # mm; "35 mm equivalent" compares diagonals (CIPA DCG-001)
MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}  # EXIF's FocalPlaneResolutionUnit
UPRIGHT = 1  # EXIF's Orientation of pixels that are stored as they are shown


class Photograph(NamedTuple):
    """A decoded photograph."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB
    focal: float | None  # px, from its EXIF; None where that does not tell
    turned: bool  # whether it was stored otherwise than it is shown


def read_photograph(path: Path, upright: bool) -> Photograph:
    """Reads any image format that Pillow knows.

    Args:
        upright: turn it as EXIF's orientation says; else the pixels stay as they are stored.

    Raises:
        CopeError: the file cannot be read as an image.
    """
    with opened(path) as image:
        exif = image.getexif()
        focal = focal_length(exif, image.size)
        turned = exif.get(ExifTags.Base.Orientation, UPRIGHT) != UPRIGHT
        shown = ImageOps.exif_transpose(image) if upright and turned else image
        pixels = np.array(rgb_pixels(shown))
    return Photograph(pixels, focal, turned)


def focal_length(exif: Image.Exif, size: tuple[int, int]) -> float | None:
    """Focal length in px of an image of ``size`` (width, height), None where EXIF has none."""
    details = exif.get_ifd(ExifTags.IFD.Exif)
    equivalent = _positive(details.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if equivalent is not None:
        return equivalent * math.hypot(*size) / DIAGONAL_35MM
    length = _positive(details.get(ExifTags.Base.FocalLength))
    density = _positive(details.get(ExifTags.Base.FocalPlaneXResolution))
    unit = MM_PER_UNIT.get(details.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    taken = _positive(details.get(ExifTags.Base.ExifImageWidth)) or size[0]
    if length is None or density is None or unit is None:
        return None
    return length * density / unit * size[0] / taken  # the file may be smaller than the sensor


def pinhole(
    size: tuple[int, int], fx: float, fy: float | None, center: tuple[float | None, float | None]
) -> np.ndarray:
    """K (3, 3) of an image of ``size`` (width, height); its middle where no centre is given."""
    cx, cy = ((side - 1) / 2 if c is None else c for side, c in zip(size, center, strict=True))
    return np.array([[fx, 0.0, cx], [0.0, fx if fy is None else fy, cy], [0.0, 0.0, 1.0]])


def focal_of_view(degrees: float, width: int) -> float:
    """Focal length in px of a horizontal field of view."""
    return width / 2 / math.tan(math.radians(degrees) / 2)


def _positive(value: object) -> float | None:
    """A number over zero, None for anything else; EXIF holds ratios, some of them 0/0."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None
