"""The demonstration's input: a folder of images with intrinsics, or BOP scene folders.

K (3, 3) in pixels, pixel centres at integers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_ros.camera_file import read_camera
from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import intrinsics
from cope_training.data.bop_images import COLOR_FOLDERS, is_image_name, list_images, read_image
from cope_training.data.bop_json import image_number, read_by_image
from cope_training.data.bop_scene import SCENE_CAMERA


@dataclass(frozen=True)
class CameraImage:
    """One image on disk with its intrinsics."""

    path: Path
    K: np.ndarray  # (3, 3) float64, px
    key: tuple[int, int] | None = None  # BOP's scene_id and im_id; None in a plain folder
    size: tuple[int, int] | None = None  # width, height the intrinsics are for; None if not said

    def read(self) -> np.ndarray:
        """Returns the image, (H, W, 3) uint8 RGB.

        Raises:
            CopeError: the file is no image, or not of the size its intrinsics are for.
        """
        image = read_image(self.path)
        found = (image.shape[1], image.shape[0])
        if self.size is not None and found != self.size:
            raise CopeError(f"{self.path}: expected {self.size} as in camera.json, got {found}")
        return image


def read_folder(folder: Path, camera: Path | None = None) -> list[CameraImage]:
    """Lists the images of a folder in order of their names.

    Args:
        folder: a BOP scene (``rgb/``, ``scene_camera.json``, perhaps ``scene_gt.json``), a
            folder of BOP scenes, or a plain folder of images.
        camera: a camera.json; by default the scene's own intrinsics, or ``camera.json``
            inside a plain folder. Where given it stands for every image.

    Raises:
        CopeError: the folder is missing or holds no image, or a JSON file is at fault.
    """
    if not folder.is_dir():
        raise CopeError(f"{folder}: expected a folder of images, found none")
    scenes = [s for s in (folder, *sorted(folder.iterdir())) if (s / SCENE_CAMERA).is_file()]
    given = read_camera(camera) if camera is not None else None
    if scenes:
        images = [image for scene in scenes for image in _read_scene(scene, given)]
    else:
        images = _read_plain(folder, given)
    if not images:
        raise CopeError(f"{folder}: expected images, found none")
    return images


def _read_plain(
    folder: Path, given: tuple[np.ndarray, tuple[int, int] | None] | None
) -> list[CameraImage]:
    paths = sorted(p for p in folder.iterdir() if is_image_name(p) and p.is_file())
    if not paths:
        return []
    if given is None:
        beside = folder / "camera.json"
        if not beside.is_file():
            raise CopeError(f"{beside}: no such file; give the intrinsics with --camera FILE")
        given = read_camera(beside)
    K, size = given
    return [CameraImage(path, K, None, size) for path in paths]


def _read_scene(
    scene: Path, given: tuple[np.ndarray, tuple[int, int] | None] | None
) -> list[CameraImage]:
    """The images of a BOP scene that are there (public copies often hold a part)."""
    cameras = read_by_image(scene / SCENE_CAMERA)
    scene_id = image_number(scene.name) or 0
    images = []
    for im_id, path in list_images(scene, (*COLOR_FOLDERS, ".")).items():
        if im_id not in cameras:
            raise CopeError(f"{scene / SCENE_CAMERA}: no entry {im_id} for {path.name}")
        source = f"{scene / SCENE_CAMERA}: image {im_id}"
        K, size = given or (intrinsics(cameras[im_id], source), None)
        images.append(CameraImage(path, K, (scene_id, im_id), size))
    return images
