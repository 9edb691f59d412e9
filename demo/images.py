"""The demonstration's input: a folder of images with intrinsics, or BOP scene folders.

K (3, 3) in pixels, pixel centres at integers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cope_ros.core.errors import CopeError

SUFFIXES = (".png", ".jpg", ".jpeg")
SCENE_CAMERA = "scene_camera.json"


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
        image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if image is None:
            raise CopeError(f"{self.path}: expected a PNG or JPEG image, cannot decode it")
        found = (image.shape[1], image.shape[0])
        if self.size is not None and found != self.size:
            raise CopeError(f"{self.path}: expected {self.size} as in camera.json, got {found}")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_folder(folder: Path, camera: Path | None = None) -> list[CameraImage]:
    """Lists the images of a folder in order of their names.

    Args:
        folder: a BOP scene (``rgb/``, ``scene_camera.json``, perhaps ``scene_gt.json``), a
            folder of BOP scenes, or a plain folder of PNG or JPEG files.
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
        raise CopeError(f"{folder}: expected PNG or JPEG images, found none")
    return images


def read_camera(path: Path) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Reads a camera.json: ``{fx, fy, cx, cy}`` or ``{cam_K}``, perhaps ``width``, ``height``.

    Returns:
        K (3, 3) in pixels, and (width, height) or None where the file does not say.

    Raises:
        CopeError: with the file, the key, what was expected and what was found.
    """
    data = _read_json(path)
    K = intrinsics(data, str(path))
    if "width" not in data and "height" not in data:
        return K, None
    sides = [data.get("width"), data.get("height")]
    whole = [int(s) for s in sides if isinstance(s, int | float) and s == s // 1 > 0]
    if len(whole) != 2:
        raise CopeError(f"{path}: width, height: expected two positive integers, got {sides}")
    return K, (whole[0], whole[1])


def intrinsics(data: Mapping[str, Any], source: str) -> np.ndarray:
    """K (3, 3) in pixels from the keys of BOP's camera.json or scene_camera.json.

    Raises:
        CopeError: keys are missing, no numbers, not finite, or a focal length is not positive.
    """
    try:
        if "cam_K" in data:
            K = np.array(data["cam_K"], dtype=float).reshape(3, 3)
        else:
            fx, fy, cx, cy = (float(data[key]) for key in ("fx", "fy", "cx", "cy"))
            K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    except KeyError as error:
        raise CopeError(f"{source}: expected fx, fy, cx, cy or cam_K, missing {error}") from error
    except (TypeError, ValueError) as error:
        raise CopeError(f"{source}: expected numbers for the intrinsics ({error})") from error
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise CopeError(f"{source}: expected finite K, focal lengths over 0, got {K.tolist()}")
    if not np.array_equal(K[2], [0, 0, 1]):
        raise CopeError(f"{source}: expected 0 0 1 as last row of cam_K, got {K[2].tolist()}")
    return K


def _read_plain(
    folder: Path, given: tuple[np.ndarray, tuple[int, int] | None] | None
) -> list[CameraImage]:
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
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
    cameras = _read_json(scene / SCENE_CAMERA)
    scene_id = int(scene.name) if scene.name.isdecimal() else 0
    folder = next((scene / name for name in ("rgb", "gray") if (scene / name).is_dir()), scene)
    images = []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
        if not path.stem.isdecimal():
            raise CopeError(f"{path}: expected a number as the name of an image of a BOP scene")
        im_id = int(path.stem)
        if str(im_id) not in cameras:
            raise CopeError(f"{scene / SCENE_CAMERA}: no entry {im_id} for {path.name}")
        source = f"{scene / SCENE_CAMERA}: {im_id}"
        K, size = given or (intrinsics(cameras[str(im_id)], source), None)
        images.append(CameraImage(path, K, (scene_id, im_id), size))
    return images


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CopeError(f"{path}: expected readable JSON ({error})") from error
    if not isinstance(data, dict):
        raise CopeError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data
