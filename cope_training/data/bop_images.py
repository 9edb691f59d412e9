"""The images of a BOP scene folder: which are there, colour, instance masks, depth.

Everything that reads photographs reads them here, so that training, evaluation and demo see the
same pixels: those stored in the file, whatever its EXIF orientation says.
"""

import logging
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from cope_ros.core.catalogue import MM
from cope_ros.core.errors import CopeError
from cope_training.data.bop_json import image_number

log = logging.getLogger(__name__)

# In order of preference where a number has several files; compared in lower case.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
COLOR_FOLDERS = ("rgb", "gray")
ORIENTATION = 0x0112  # EXIF's tag; 1 is upright
# What Pillow raises for files that are no images, or broken ones.
IMAGE_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)


def is_image_name(path: Path) -> bool:
    """Whether a file's name is that of an image; files of the desktop such as ._a.jpg are not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def list_images(scene: Path, folders: Iterable[str] = COLOR_FOLDERS) -> dict[int, Path]:
    """The images of a scene by number, ascending: those of the first folder that has any.

    Files whose names are no numbers, or that are no images, are left out with a note.
    """
    for name in folders:
        found, strays = _numbered_files(scene / name)
        if strays:
            log.warning(
                "%s: %d files are no images of the scene and left out, such as %s",
                *(scene / name, len(strays), min(strays)),
            )
        if found:
            return dict(sorted(found.items()))
    return {}


def _numbered_files(folder: Path) -> tuple[dict[int, Path], list[str]]:
    found: dict[int, Path] = {}
    strays = []
    for path in folder.iterdir() if folder.is_dir() else ():
        number = image_number(path.stem)
        if number is None or not is_image_name(path):
            strays.append(path.name)
        elif path.is_file() and (number not in found or _rank(path) < _rank(found[number])):
            found[number] = path
    return found, strays


def _rank(path: Path) -> tuple[bool, int, str]:
    """Which of two files of one number is meant: BOP's six digits, then PNG, then the others."""
    return len(path.stem) != 6, SUFFIXES.index(path.suffix.lower()), path.name


def numbered_file(folder: Path, stem: str) -> Path | None:
    """The image of that name in a folder, with whatever suffix; None where there is none."""
    for suffix in SUFFIXES:
        for name in (stem + suffix, stem + suffix.upper()):
            if (folder / name).is_file():
                return folder / name
    return None


def depth_file(scene: Path, image_id: int) -> Path | None:
    """Where an image's depth lies; None where there is none."""
    folder = scene / "depth"
    return numbered_file(folder, f"{image_id:06d}") or numbered_file(folder, str(image_id))


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) px as stored, from the file's first bytes alone.

    Raises:
        CopeError: it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except IMAGE_ERRORS as error:
        raise CopeError(f"{path}: cannot be read as an image ({error})") from error


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
    try:
        with Image.open(path) as image:
            _note_orientation(image, path)
            return _rgb(image, path)
    except CopeError:
        raise
    except IMAGE_ERRORS as error:
        raise CopeError(f"{path}: cannot be read as an image ({error})") from error


def _rgb(image: Image.Image, path: Path) -> np.ndarray:
    """Pillow gives gray images of 16 bits as I;16 or I, and would clip them at 255."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise CopeError(f"{path}: expected 8 or 16 bits per channel, got other numbers")
        return np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def _note_orientation(image: Image.Image, path: Path) -> None:
    if image.getexif().get(ORIENTATION, 1) != 1 and str(path.parent) not in _noted:
        _noted.add(str(path.parent))
        log.warning(
            "%s: says by EXIF that it is to be turned; the pixels are taken as stored", path
        )


_noted: set[str] = set()  # folders about which the word was said


def read_instances(
    folder: Path, image_id: int, rows: np.ndarray, shape: tuple[int, int]
) -> np.ndarray | None:
    """(H, W) int16 from mask_visib, -1 where no known object is seen; None without masks."""
    if not (folder / "mask_visib").is_dir():
        return None
    labels = np.full(shape, -1, dtype=np.int16)
    for number, row in enumerate(rows):
        stem = f"{image_id:06d}_{row:06d}"
        path = numbered_file(folder / "mask_visib", stem)
        if path is None:
            raise CopeError(f"{folder / 'mask_visib' / stem}.png: the mask is missing")
        mask = read_image(path).any(axis=2)
        if mask.shape != shape:
            raise CopeError(f"{path}: expected {shape[1]} x {shape[0]} px, got {mask.shape[::-1]}")
        labels[mask] = number
    return labels


def read_depth(path: Path, scale: float, size: tuple[int, int] | None = None) -> np.ndarray:
    """(H, W) float64 m along z, 0 where unknown.

    Args:
        path: of a gray image of 8, 16 or 32 bits.
        scale: mm per unit of the image.
        size: (width, height) px that it must have.

    Raises:
        CopeError: it is no image, has several channels, or another size.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "I", "F") and not image.mode.startswith("I;16"):
                raise CopeError(f"{path}: expected a depth image of one channel, got {image.mode}")
            depth = np.asarray(image, dtype=np.float64) * (scale * MM)
    except CopeError:
        raise
    except IMAGE_ERRORS as error:
        raise CopeError(f"{path}: cannot be read as a depth image ({error})") from error
    if size is not None and depth.shape[::-1] != size:
        raise CopeError(
            f"{path}: expected {size[0]} x {size[1]} px as its colour image, got "
            f"{depth.shape[1]} x {depth.shape[0]}"
        )
    return np.where(np.isfinite(depth), depth, 0.0)
