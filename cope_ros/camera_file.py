"""Intrinsics from a file: BOP's camera.json, or the YAML that ROS's calibration writes.

K (3, 3) in pixels, pixel centres at integers. Needs no ROS.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import intrinsics, read_json, whole_number

YAML_SUFFIXES = (".yaml", ".yml")
SIZE_KEYS = ("width", "height")


def read_camera(path: Path) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Reads a camera.json: ``{fx, fy, cx, cy}`` or ``{cam_K}``, perhaps ``width``, ``height``.

    Returns:
        K (3, 3) in pixels, and (width, height) or None where the file does not say.

    Raises:
        CopeError: with the file, the key, what was expected and what was found.
    """
    data = read_json(path)
    K = intrinsics(data, str(path))
    if not any(key in data for key in SIZE_KEYS):
        return K, None
    width, height = (whole_number(data, key, str(path)) for key in SIZE_KEYS)
    if min(width, height) < 1:
        raise CopeError(f"{path}: width, height: expected over 0, got {width}, {height}")
    return K, (width, height)


def camera_info(path: Path, size: tuple[int, int]) -> Any:
    """What a sensor_msgs/CameraInfo would say of images of ``size`` (width, height).

    Args:
        path: a camera.json of a camera without distortion, or a calibration YAML
            (``camera_matrix``, ``distortion_coefficients``, ``distortion_model``).

    Raises:
        CopeError: the file is at fault.
    """
    if path.suffix.lower() in YAML_SUFFIXES:
        return _calibration(path)
    K, said = read_camera(path)
    return make_info(K, said or size)


def make_info(K: np.ndarray, size: tuple[int, int]) -> Any:
    """The fields of a sensor_msgs/CameraInfo of a rectified image."""
    return SimpleNamespace(
        width=size[0], height=size[1], distortion_model="plumb_bob", d=[],
        k=K.reshape(9), p=np.zeros(12), binning_x=0, binning_y=0,
        roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    )  # fmt: skip


def _calibration(path: Path) -> Any:
    try:
        data = yaml.safe_load(path.read_text())
        K = np.array(data["camera_matrix"]["data"], dtype=float).reshape(3, 3)
        info = make_info(K, (int(data["image_width"]), int(data["image_height"])))
        info.d = [float(value) for value in data["distortion_coefficients"]["data"]]
        info.distortion_model = str(data.get("distortion_model", "plumb_bob"))
        if "projection_matrix" in data:
            info.p = np.array(data["projection_matrix"]["data"], dtype=float).reshape(12)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CopeError(f"{path}: cannot be read ({error})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise CopeError(
            f"{path}: expected a calibration with image_width, image_height, camera_matrix and "
            f"distortion_coefficients ({type(error).__name__}: {error})"
        ) from error
    return info
