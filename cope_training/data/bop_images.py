"""The images of a BOP scene folder: pictures, instance masks, depth."""

from pathlib import Path

import numpy as np
from PIL import Image

from cope_ros.core.catalogue import MM
from cope_ros.core.errors import CopeError

IMAGE_KINDS = (("rgb", ".png"), ("rgb", ".jpg"), ("gray", ".png"), ("gray", ".tif"))


def image_path(folder: Path, image_id: int, required: bool = True) -> Path | None:
    """Where a picture lies, colour before grey; None or a CopeError where there is none."""
    for kind, suffix in IMAGE_KINDS:
        path = folder / kind / f"{image_id:06d}{suffix}"
        if path.is_file():
            return path
    if required:
        raise CopeError(f"{folder / 'rgb' / f'{image_id:06d}'}.png or .jpg: the image is missing")
    return None


def read_image(path: Path | None, mode: str) -> np.ndarray:
    """The image in one of PIL's modes; a CopeError that names a file which cannot be read."""
    assert path is not None
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert(mode)).copy()
    except OSError as error:
        raise CopeError(f"{path}: cannot be read as an image ({error})") from error


def read_instances(
    folder: Path, image_id: int, rows: np.ndarray, shape: tuple[int, int]
) -> np.ndarray | None:
    """(H, W) int16 from mask_visib, -1 where no known object is seen; None without masks."""
    if not (folder / "mask_visib").is_dir():
        return None
    labels = np.full(shape, -1, dtype=np.int16)
    for number, row in enumerate(rows):
        path = folder / "mask_visib" / f"{image_id:06d}_{row:06d}.png"
        mask = read_image(path, "L")
        if mask.shape != shape:
            raise CopeError(f"{path}: expected {shape[1]} x {shape[0]} px, got {mask.shape[::-1]}")
        labels[mask > 0] = number
    return labels


def read_depth(folder: Path, image_id: int, scale: float) -> np.ndarray | None:
    """(H, W) float32 m, 0 where unknown; None without a depth image or its scale.

    Args:
        scale: mm per unit of the image, 0 where the scene does not give it.
    """
    path = folder / "depth" / f"{image_id:06d}.png"
    if not path.is_file() or not scale:
        return None
    return read_image(path, "I").astype(np.float32) * np.float32(scale * MM)
