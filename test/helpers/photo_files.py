"""Photographs with EXIF, and cope_pose on them; for tests."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from cope_ros import pose

FOCAL_35MM, FOCAL, RESOLUTION, UNIT, WIDTH, ORIENTATION = 41989, 37386, 41486, 41488, 40962, 274


def photo(path: Path, size=(400, 300), orientation: int | None = None, **tags: object) -> Path:
    image = Image.new("RGB", size, (90, 90, 90))
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({int(name[1:]): value for name, value in tags.items()})
    if orientation is not None:
        exif[ORIENTATION] = orientation
    image.save(path, exif=exif)
    return path


def run(*arguments: object) -> int:
    return pose.main([str(argument) for argument in arguments])
