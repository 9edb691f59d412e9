"""Intrinsics from a file: BOP's camera.json, or the YAML that ROS's calibration writes.

K (3, 3) in pixels, pixel centres at integers. Needs no ROS.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from cope_ros.core.errors import CopeError

YAML_SUFFIXES = (".yaml", ".yml")


def read_camera(path: Path) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Reads a camera.json: ``{fx, fy, cx, cy}`` or ``{cam_K}``, perhaps ``width``, ``height``.

    Returns:
        K (3, 3) in pixels, and (width, height) or None where the file does not say.

    Raises:
        CopeError: with the file, the key, what was expected and what was found.
    """
    data = read_json(path)
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


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        CopeError: it cannot be read or holds something else.
    """
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CopeError(f"{path}: expected readable JSON ({error})") from error
    if not isinstance(data, dict):
        raise CopeError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data
