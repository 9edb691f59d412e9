"""Photographs for backgrounds, read from a folder as people have it."""

import logging
from pathlib import Path

import numpy as np
from PIL import Image

from cope_ros.core.errors import CopeError
from cope_training.data.notes import note_once
from cope_training.data.photographs import SUFFIXES, is_image_name, opened
from cope_training.rendering.files.pictures import rgb_pixels

log = logging.getLogger(__name__)

LARGEST_SIDE = 1000  # px, to which they are made smaller: 2 MB each in every worker
THUMBNAIL_MODES = ("L", "RGB", "CMYK")  # which Pillow makes smaller as it is; others first to RGB


def load_photographs(folder: Path | str, limit: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Up to ``limit`` photographs of a folder and those in it, (H, W, 3) uint8, in random order.

    Files that cannot be read are left out with a note.

    Raises:
        CopeError: the folder is missing or holds no photograph that can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CopeError(f"{folder}: expected a folder of photographs, found none")
    paths = _image_files(folder)
    pictures: list[np.ndarray] = []
    broken: list[str] = []
    for i in rng.permutation(len(paths)):
        if len(pictures) == limit:
            break
        try:
            pictures.append(_read_small(paths[i]))
        except CopeError as error:
            broken.append(str(error))
    if not pictures and limit:
        found = f"such as {broken[0]}" if broken else "found none"
        raise CopeError(
            f"{folder}: expected photographs ({' '.join(SUFFIXES)}) for backgrounds, {found}"
        )
    if broken:
        note_once(
            log,
            "%s: photographs that cannot be read are left out (%d), such as %s",
            *(folder, len(broken), min(broken)),
        )
    return pictures


def _image_files(folder: Path) -> list[Path]:
    """All image files in a folder and its sub-folders but hidden ones, by their paths."""
    found = []
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts[:-1]
        if is_image_name(path) and not any(part.startswith(".") for part in inside):
            found.append(path)
    return sorted(path for path in found if path.is_file())


def _read_small(path: Path) -> np.ndarray:
    with opened(path) as image:
        if image.mode not in THUMBNAIL_MODES:
            image = Image.fromarray(rgb_pixels(image))
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        return rgb_pixels(image)
