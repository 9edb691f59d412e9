"""The images of a BOP scene folder: which are there, instance masks, depth."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import MM
from cope_ros.core.errors import CopeError
from cope_training.data.bop_json import image_number
from cope_training.data.notes import note_once
from cope_training.data.photographs import SUFFIXES, is_image_name, opened

log = logging.getLogger(__name__)

COLOR_FOLDERS = ("rgb", "gray")


def list_images(scene: Path, folders: Iterable[str] = COLOR_FOLDERS) -> dict[int, Path]:
    """The images of a scene by number, ascending: those of the first folder that has any.

    Files whose names are no numbers, or that are no images, are left out with a note.
    """
    for name in folders:
        found, strays = _numbered_files(scene / name)
        if strays:
            note_once(
                log,
                "%s: files that are no images of the scene are left out (%d), such as %s",
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
            if path.is_file() and path.suffix != ".json":  # those of a scene lie beside ./
                strays.append(path.name)
        elif path.is_file() and (number not in found or _rank(path) < _rank(found[number])):
            found[number] = path
    return found, strays


def _rank(path: Path) -> tuple[bool, int, str]:
    """Which of two files of one number is meant: BOP's six digits, then PNG, then the others."""
    return len(path.stem) != 6, SUFFIXES.index(path.suffix.lower()), path.name


def numbered_file(folder: Path, stem: str) -> Path | None:
    """The image of that name in a folder, with whatever suffix; None where there is none."""
    for suffix in SUFFIXES[:2]:  # BOP's own, without listing the folder
        if (folder / (stem + suffix)).is_file():
            return folder / (stem + suffix)
    found = [path for path in folder.glob(f"{stem}.*") if is_image_name(path) and path.is_file()]
    return min(found, key=_rank, default=None)


def depth_file(scene: Path, image_id: int) -> Path | None:
    """Where an image's depth lies; None where there is none."""
    folder = scene / "depth"
    return numbered_file(folder, f"{image_id:06d}") or numbered_file(folder, str(image_id))


def note_no_scale(scene: Path) -> None:
    """Says that depth images without a scale are left out: nobody knows their unit."""
    note_once(
        log,
        "%s: depth images are left out where scene_camera.json gives no depth_scale (mm per unit)",
        scene,
    )


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
        mask = read_mask(path)
        if mask.shape != shape:
            raise CopeError(f"{path}: expected {shape[1]} x {shape[0]} px, got {mask.shape[::-1]}")
        labels[mask] = number
    return labels


def read_mask(path: Path) -> np.ndarray:
    """(H, W) bool: what is nearer to the mask's brightest value than to black.

    Masks of 0 and 1, of 0 and 255 and of 16 bits are alike, and JPEG's traces around the edges
    are left out. Transparency is ignored.

    Raises:
        CopeError: it cannot be read as an image; names it.
    """
    with opened(path) as image:
        wide = image.mode in ("I", "F") or image.mode.startswith("I;16")
        values = np.asarray(image if wide else image.convert("L"))
    return values > values.max(initial=0) // 2


def read_depth(path: Path, scale: float, size: tuple[int, int] | None = None) -> np.ndarray:
    """(H, W) float64 m along z, 0 where unknown.

    Args:
        path: of a gray image of 8, 16 or 32 bits.
        scale: mm per unit of the image.
        size: (width, height) px that it must have.

    Raises:
        CopeError: it is no image, has several channels, or another size.
    """
    with opened(path) as image:
        if image.mode not in ("L", "I", "F") and not image.mode.startswith("I;16"):
            raise CopeError(f"{path}: expected a depth image of one channel, got {image.mode}")
        depth = np.asarray(image, dtype=np.float64) * (scale * MM)
    if size is not None and depth.shape[::-1] != size:
        raise CopeError(
            f"{path}: expected {size[0]} x {size[1]} px as its colour image, got "
            f"{depth.shape[1]} x {depth.shape[0]}"
        )
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0.0)
