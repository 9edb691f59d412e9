"""Lens distortion: the models' many names, their coefficients, and undistortion."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from cope_ros.input.drops import Cause, FrameError

# Names of drivers and calibration tools, in small letters without separators.
NONE = frozenset({"", "none", "pinhole", "perspective", "rectilinear", "undistorted", "rectified"})
OPENCV = frozenset(
    {
        *("plumbbob", "rationalpolynomial", "rational", "thinprism", "tilted", "opencv"),
        *("radtan", "radialtangential", "radialtan", "brownconrady", "brown", "polynomial"),
    }
)
FISHEYE = frozenset(
    {
        *("equidistant", "equi", "fisheye", "opencvfisheye", "kannalabrandt", "kannalabrandt4"),
        *("kannalabrandt8", "kb", "kb4", "kb8"),
    }
)
KNOWN = "plumb_bob, rational_polynomial, equidistant or another name of these"
OPENCV_COEFFICIENTS = (4, 5, 8, 12, 14)  # the numbers of coefficients OpenCV takes
FISHEYE_COEFFICIENTS = (4,)


class Distortion(NamedTuple):
    """What OpenCV needs to know of a lens."""

    coefficients: tuple[float, ...]  # empty where the image has no distortion
    fisheye: bool


def read_distortion(model: str, d: Sequence[float]) -> Distortion:
    """Reads distortion_model and D of a camera_info.

    Zeros beyond a model's coefficients are ignored, missing ones are zeros. A fisheye lens
    distorts with zeros as well: angles from its axis become lengths.

    Raises:
        FrameError: (cause INTRINSICS) an unknown model, too many coefficients, or not finite.
    """
    D = [float(value) for value in d]
    fisheye = is_fisheye(model)
    if not np.isfinite(D).all():
        raise _refusal(f"expected finite numbers in D, got {D}")
    while D and D[-1] == 0:
        D.pop()
    if not D and not fisheye:
        return Distortion((), False)
    if not fisheye and _plain(model) not in OPENCV | NONE:
        raise _refusal(f"expected a distortion_model out of {KNOWN}; got '{model[:40]}'")
    lengths = FISHEYE_COEFFICIENTS if fisheye else OPENCV_COEFFICIENTS
    length = next((n for n in lengths if n >= len(D)), None)
    if length is None:
        expected = f"expected D to have at most {lengths[-1]} coefficients for '{model[:40]}'"
        raise _refusal(f"{expected}, got {len(D)}")
    return Distortion((*D, *[0.0] * (length - len(D))), fisheye)


def is_fisheye(model: str) -> bool:
    """Whether a distortion_model is the equidistant one (Kannala and Brandt)."""
    return _plain(model) in FISHEYE


def is_distorted(info: Any) -> bool:
    """Whether a camera_info speaks of a lens whose raw image is not a pinhole camera's."""
    return is_fisheye(info.distortion_model) or any(info.d)  # NaN counts as non-zero


def is_known(model: str) -> bool:
    """Whether a distortion_model is among the names understood here."""
    return _plain(model) in NONE | OPENCV | FISHEYE


def _plain(model: str) -> str:
    return re.sub(r"[^a-z0-9]", "", model.lower())


def _refusal(message: str) -> FrameError:
    return FrameError(Cause.INTRINSICS, f"camera_info: {message}")


class Undistorter:
    """Removes lens distortion; the maps are computed once per camera."""

    def __init__(self, interpolation: int = cv2.INTER_LINEAR) -> None:
        """Depth wants cv2.INTER_NEAREST: between two surfaces there is none."""
        self._interpolation = interpolation
        self._key: tuple[Any, ...] | None = None
        self._maps: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, image: np.ndarray, camera: Any) -> np.ndarray:
        """(H, W, ...) as received -> (H, W, ...) alike that follows ``camera.K`` alone."""
        if not camera.distortion:
            return image
        key = (camera.K.tobytes(), camera.size, camera.distortion, camera.fisheye)
        if key != self._key or self._maps is None:
            self._maps = _undistortion_maps(
                camera.K, camera.size, np.array(camera.distortion), camera.fisheye
            )
            self._key = key
        return cv2.remap(image, *self._maps, self._interpolation)


def _undistortion_maps(
    K: np.ndarray, size: tuple[int, int], D: np.ndarray, fisheye: bool
) -> tuple[np.ndarray, np.ndarray]:
    model = cv2.fisheye if fisheye else cv2
    # Fixed-point maps: half the memory and three times the speed of float32 ones.
    maps = model.initUndistortRectifyMap(K, D, np.eye(3), K, size, cv2.CV_16SC2)
    return maps[0], maps[1]
