"""The demonstration's input: a folder of images with intrinsics, or BOP scene folders.

K (3, 3) in pixels, pixel centres at integers.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_ros.camera_file import read_camera
from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import intrinsics
from cope_training.data.bop_checks import check_camera, check_size
from cope_training.data.bop_folders import find_scene_folders
from cope_training.data.bop_images import COLOR_FOLDERS, list_images
from cope_training.data.bop_json import read_by_image
from cope_training.data.bop_scene import SCENE_CAMERA, said_size
from cope_training.data.notes import note_once
from cope_training.data.photographs import image_size, is_image_name, read_image

log = logging.getLogger(__name__)
Camera = tuple[np.ndarray, tuple[int, int] | None]  # K (3, 3) px; width, height or None


@dataclass(frozen=True)
class CameraImage:
    """One image on disk with its intrinsics."""

    path: Path
    K: np.ndarray  # (3, 3) float64, px
    key: tuple[int, int] | None = None  # BOP's scene_id and im_id; None in a plain folder
    size: tuple[int, int] | None = None  # width, height the intrinsics are for; None if not said
    source: str = "its camera file"  # where K stands, for messages

    def check(self) -> None:
        """Compares the file's size with its intrinsics, without decoding it.

        Raises:
            CopeError: the file is no image, or not of the size its intrinsics are for.
        """
        if self.size is not None:
            check_size(self.path, self.size, self.source)
        check_camera(self.K, image_size(self.path), self.path, self.source)

    def read(self) -> np.ndarray:
        """Returns the image, (H, W, 3) uint8 RGB.

        Raises:
            CopeError: the file cannot be read.
        """
        return read_image(self.path)


def read_folder(folder: Path, camera: Path | None = None) -> list[CameraImage]:
    """Lists the images of a folder in order of their names.

    Args:
        folder: a BOP scene (``rgb/``, ``scene_camera.json``, perhaps ``scene_gt.json``), a
            folder of BOP scenes, or a plain folder of images.
        camera: a camera.json; by default the scene's own intrinsics, or ``camera.json``
            inside a plain folder. Where given it stands for every image.

    Raises:
        CopeError: the folder is missing or holds no image, a JSON file is at fault, or an image
            is none or has another size than its intrinsics are for.
    """
    if not folder.is_dir():
        raise CopeError(f"{folder}: expected a folder of images, found none")
    scenes = find_scene_folders(folder, SCENE_CAMERA)
    given = read_camera(camera) if camera is not None else None
    if scenes:
        found = [_read_scene(scene_id, scene, given) for scene_id, scene in scenes.items()]
        images = [image for part in found for image in part]
    else:
        images = _read_plain(folder, given, camera or folder / "camera.json")
    if not images:
        raise CopeError(f"{folder}: expected images, found none")
    for image in images:
        image.check()
    return images


def _read_plain(folder: Path, given: Camera | None, source: Path) -> list[CameraImage]:
    paths = sorted(p for p in folder.iterdir() if is_image_name(p) and p.is_file())
    if not paths:
        return []
    if given is None:
        if not source.is_file():
            raise CopeError(f"{source}: no such file; give the intrinsics with --camera FILE")
        given = read_camera(source)
    K, size = given
    return [CameraImage(path, K, None, size, str(source)) for path in paths]


def _read_scene(scene_id: int, scene: Path, given: Camera | None) -> list[CameraImage]:
    """The images of a BOP scene that are there (public copies often hold a part)."""
    cameras = read_by_image(scene / SCENE_CAMERA)
    images, without = [], []
    for im_id, path in list_images(scene, (*COLOR_FOLDERS, ".")).items():
        if given is not None:
            images.append(CameraImage(path, given[0], (scene_id, im_id), given[1], "--camera"))
        elif im_id in cameras:
            source = f"{scene / SCENE_CAMERA}: image {im_id}"
            K, size = intrinsics(cameras[im_id], source), said_size(cameras[im_id], source)
            said = size if size[0] else None
            images.append(CameraImage(path, K, (scene_id, im_id), said, source))
        else:
            without.append(path.name)
    if without:
        note_once(
            log,
            "%s: images that it has no entry of are left out (%d), such as %s",
            *(scene / SCENE_CAMERA, len(without), without[0]),
        )
    return images
