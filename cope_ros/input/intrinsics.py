"""camera_info -> the pinhole camera of the pixels at hand, and undistortion.

Conventions: pixel centres at integers; ``K`` (3, 3) maps optical-frame coordinates to pixels of
the image as received (after binning and region of interest).
Source: sensor_msgs/CameraInfo, whose K, D and P describe the full-resolution image.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cope_ros.input.drops import Cause, FrameError

FISHEYE_MODELS = ("equidistant", "fisheye")
OPENCV_MODELS = ("plumb_bob", "rational_polynomial", "")
OPENCV_COEFFICIENTS = (4, 5, 8, 12, 14)  # the numbers of coefficients OpenCV knows
FISHEYE_COEFFICIENTS = 4


@dataclass(frozen=True)
class Camera:
    """The pinhole camera of one image."""

    K: np.ndarray  # (3, 3) float64, px
    size: tuple[int, int]  # width, height, px
    distortion: tuple[float, ...]  # D, empty where the image has none (left)
    fisheye: bool


def image_size(info: Any) -> tuple[int, int]:
    """(width, height) in px of the images that a camera_info describes."""
    width = info.roi.width or info.width
    height = info.roi.height or info.height
    return width // max(info.binning_x, 1), height // max(info.binning_y, 1)


def camera_from_info(info: Any, rectified: bool) -> Camera:
    """Reads a sensor_msgs/CameraInfo.

    Args:
        info: the message.
        rectified: whether the image is rectified already: then P counts (K where P is all
            zero) and D does not.

    Raises:
        FrameError: (cause INTRINSICS) no usable intrinsics, with the reason.
    """
    K_full = _full_resolution_matrix(info, rectified)
    K = _crop_and_bin(K_full, info)
    if rectified:
        return Camera(K, image_size(info), (), False)
    fisheye = info.distortion_model in FISHEYE_MODELS
    return Camera(K, image_size(info), _distortion(info, fisheye), fisheye)


def _full_resolution_matrix(info: Any, rectified: bool) -> np.ndarray:
    P = np.array(info.p, dtype=float).reshape(3, 4)
    if rectified and P.any():
        name, K = "P", P[:, :3].copy()
    else:
        name, K = "K", np.array(info.k, dtype=float).reshape(3, 3)
    if not np.isfinite(K).all():
        _refuse(f"expected finite numbers in {name}, got {K.reshape(9).tolist()}")
    if not K.any():
        _refuse("K is all zero: the camera is not calibrated")
    if K[0, 0] <= 0 or K[1, 1] <= 0:
        _refuse(f"expected positive focal lengths in {name}, got {K[0, 0]} and {K[1, 1]}")
    if not np.allclose(K[2], (0, 0, 1)) or K[1, 0] != 0:
        _refuse(f"expected {name} to be upper triangular with last row 0 0 1, got {K.tolist()}")
    return K


def _crop_and_bin(K: np.ndarray, info: Any) -> np.ndarray:
    """Moves K from the full-resolution image to the transmitted one.

    A binned pixel u' covers the pixels b u' .. b u' + b - 1, whose middle lies at
    u = b u' + (b - 1) / 2; hence c' = (c + 1/2) / b - 1/2.
    """
    K = K.copy()
    K[0, 2] -= info.roi.x_offset
    K[1, 2] -= info.roi.y_offset
    for row, binning in enumerate((max(info.binning_x, 1), max(info.binning_y, 1))):
        K[row, :2] /= binning
        K[row, 2] = (K[row, 2] + 0.5) / binning - 0.5
    return K


def _distortion(info: Any, fisheye: bool) -> tuple[float, ...]:
    D = tuple(float(value) for value in info.d)
    if not any(D):  # NaN counts as non-zero
        return ()
    if not np.isfinite(D).all():
        _refuse(f"expected finite numbers in D, got {list(D)}")
    if not fisheye and info.distortion_model not in OPENCV_MODELS:
        known = ", ".join(OPENCV_MODELS[:2] + FISHEYE_MODELS[:1])
        _refuse(f"expected a distortion_model out of {known}; got '{info.distortion_model}'")
    expected = (FISHEYE_COEFFICIENTS,) if fisheye else OPENCV_COEFFICIENTS
    if len(D) not in expected:
        _refuse(f"expected D to have one of {expected} coefficients, got {len(D)}")
    return D


def _refuse(message: str) -> None:
    raise FrameError(Cause.INTRINSICS, f"camera_info: {message}")


class Undistorter:
    """Removes lens distortion; the maps are computed once per camera."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._maps: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, image: np.ndarray, camera: Camera) -> np.ndarray:
        """(H, W, 3) uint8 as received -> (H, W, 3) uint8 that follows ``camera.K`` alone."""
        if not camera.distortion:
            return image
        key = (camera.K.tobytes(), camera.size, camera.distortion, camera.fisheye)
        if key != self._key or self._maps is None:
            self._maps = _undistortion_maps(camera)
            self._key = key
        return cv2.remap(image, *self._maps, cv2.INTER_LINEAR)


def _undistortion_maps(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    D = np.array(camera.distortion)
    # Fixed-point maps: half the memory and three times the speed of float32 ones.
    if camera.fisheye:
        maps = cv2.fisheye.initUndistortRectifyMap(
            camera.K, D, np.eye(3), camera.K, camera.size, cv2.CV_16SC2
        )
    else:
        maps = cv2.initUndistortRectifyMap(
            camera.K, D, np.eye(3), camera.K, camera.size, cv2.CV_16SC2
        )
    return maps[0], maps[1]
