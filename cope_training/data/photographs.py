"""Image files as people have them: any suffix, mode and depth; the one reader of photographs.

Training, evaluation, backgrounds and demo read pixels here, so that all see the same: those
stored in the file, whatever its EXIF orientation says.
"""

import logging
import struct
import warnings
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from cope_ros.core.errors import CopeError
from cope_training.data.heif import is_heif, teach_pillow
from cope_training.data.notes import note_once
from cope_training.rendering.files.pictures import rgb_pixels

log = logging.getLogger(__name__)

# In order of preference where a number has several files; compared in lower case.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
ORIENTATION = 0x0112  # EXIF's tag; 1 is upright
# What Pillow raises for files that are no images, or broken ones.
IMAGE_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, struct.error, zlib.error),
    Image.DecompressionBombError,
)
# First bytes of what often lies in an image's place.
STAND_INS = {b"version https://git-lfs": "a Git LFS pointer", b"<": "a web page or other markup"}


def is_image_name(path: Path) -> bool:
    """Whether a file's name is that of an image; files of the desktop such as ._a.jpg are not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


@contextmanager
def opened(path: Path) -> Generator[Image.Image, None, None]:
    """An image file open in Pillow, which decodes it when its pixels are asked for.

    Raises:
        CopeError: it cannot be opened, or decoded inside the block; names it and says why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of palettes, odd tags and many pixels
            with _open(path) as image:
                yield image
    except CopeError:
        raise
    except IMAGE_ERRORS as error:
        reason = _why_unreadable(path, error)
        raise CopeError(f"{path}: cannot be read as an image ({reason})") from error


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        if not is_heif(path):
            raise
        teach_pillow(path)
        return Image.open(path)


def _why_unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"expected at most {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels"  # Pillow's limit
    if not isinstance(error, UnidentifiedImageError):
        return getattr(error, "strerror", None) or str(error)
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if not start:
        return "the file is empty"
    found = [name for first, name in STAND_INS.items() if start.startswith(first)]
    return f"it is {found[0]}" if found else "no known format, or its start is broken"


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) px as stored, from the file's first bytes alone.

    Raises:
        CopeError: it cannot be read.
    """
    with opened(path) as image:
        return image.size


def read_image(path: Path | None, where: str = "") -> np.ndarray:
    """(H, W, 3) uint8 RGB: gray is repeated, 16 bits become 8, transparency is ignored.

    Args:
        path: of the file; None where it is missing.
        where: names the image in that case.

    Raises:
        CopeError: there is no such file or it is no image; names it.
    """
    if path is None:
        raise CopeError(f"{where}: no image file")
    with opened(path) as image:
        if image.getexif().get(ORIENTATION, 1) != 1:
            note_once(
                log,
                "%s: images say by EXIF that they are to be turned; pixels are taken as stored",
                path.parent,
            )
        return np.array(rgb_pixels(image))
