"""The camera of a photograph from what the command line or EXIF tells, refused where it cannot be.

Pixels, pixel centres at integers.
"""

import argparse
import logging
import math

import numpy as np

from cope_ros.camera_file import camera_info
from cope_ros.core.errors import CopeError
from cope_ros.input.distortion import Undistorter
from cope_ros.input.drops import FrameError
from cope_ros.input.intrinsics import camera_from_info
from cope_ros.input.plausibility import ASPECT, LEAST_VIEW, OFF_CENTRE, WIDEST_VIEW, fault_of
from cope_ros.photograph import Photograph, focal_of_view, pinhole

log = logging.getLogger(__name__)

SQUARE = 1.05  # greatest usual ratio of the focal lengths: a photograph's pixels are square
USUAL = 0.35, 0.65  # of a side: where the principal point of a photograph that is not cut out lies


def camera_of(options: argparse.Namespace, photo: Photograph) -> tuple[np.ndarray, np.ndarray, str]:
    """Pixels without distortion, their K (3, 3), and where it comes from.

    Args:
        options: with ``photo``, ``camera``, ``fx``, ``fy``, ``fov``, ``cx``, ``cy``.

    Raises:
        CopeError: nobody tells the focal length, or what was told cannot be; names the option.
    """
    size = (photo.pixels.shape[1], photo.pixels.shape[0])
    if options.camera is not None:
        pixels, K = _of_file(options, photo, size)
        return pixels, K, f"intrinsics from {options.camera}"
    focal, source = options.fx, "--fx"
    if options.fov is not None:
        focal, source = focal_of_view(options.fov, size[0]), f"--fov {options.fov:g}"
    elif focal is None:
        focal, source = photo.focal, "its EXIF, lens distortion unknown"
    if focal is None:
        raise CopeError(
            f"{options.photo}: no focal length in its EXIF; give --fx (px), --fov (degrees) or "
            "--camera FILE"
        )
    from_exif = options.fov is None and options.fx is None
    name = f"{options.photo}: EXIF's focal length (give --fx)" if from_exif else "--fx"
    K = pinhole(size, focal, options.fy, (options.cx, options.cy))
    check_options(K, size, name)
    said = f"focal length {focal:.0f} px for {size[0]}x{size[1]} px (from {source})"
    return photo.pixels, K, said


def check_options(K: np.ndarray, size: tuple[int, int], focal_name: str = "--fx") -> None:
    """Refuses intrinsics that no camera has, and notes those that few have.

    Args:
        K: (3, 3) px.
        size: (width, height) px of the photograph.
        focal_name: what the horizontal focal length is called in messages.

    Raises:
        CopeError: names the option and the plausible range.
    """
    of = f"of a photograph of {size[0]}x{size[1]} px"
    for axis, name in enumerate((focal_name, "--fy")):
        low, high = focal_range(size, axis)
        if not low <= K[axis, axis] <= high:
            raise CopeError(
                f"{name}: expected {low:.0f} to {high:.0f} px {of} (a view of 170 to 5 degrees), "
                f"got {K[axis, axis]:g}"
            )
    ratio = K[0, 0] / K[1, 1]
    if not 1 / ASPECT <= ratio <= ASPECT:
        raise CopeError(f"--fy: expected {1 / ASPECT:g} to {ASPECT:g} times fx, {_two(K)}")
    for axis, name in enumerate(("--cx", "--cy")):
        side, at = size[axis], K[axis, 2]
        low, high = -OFF_CENTRE * side, (1 + OFF_CENTRE) * side
        if not low <= at <= high:
            raise CopeError(f"{name}: expected {low:.0f} to {high:.0f} px {of}, got {at:g}")
    fault = fault_of("K", K, size)
    if fault is not None:
        raise CopeError(f"--fx, --fy, --cx, --cy: {fault}")
    _note_unusual(K, size, of)


def focal_range(size: tuple[int, int], axis: int) -> tuple[float, float]:
    """Least and greatest focal length, px, along an axis (0: x) of an image (width, height).

    The longer side tells the greatest: strips see next to nothing along the shorter one.
    """
    least = size[axis] / 2 / math.tan(WIDEST_VIEW / 2)
    return least, max(size) / 2 / math.tan(LEAST_VIEW / 2)


def _note_unusual(K: np.ndarray, size: tuple[int, int], of: str) -> None:
    ratio = K[0, 0] / K[1, 1]
    if not 1 / SQUARE <= ratio <= SQUARE:
        log.warning(
            "--fy: expected nearly fx (within 5 %%), as pixels of photographs are square, %s",
            _two(K),
        )
    for axis, name in enumerate(("--cx", "--cy")):
        low, high = (share * size[axis] for share in USUAL)
        if not low <= K[axis, 2] <= high:
            log.warning(
                "%s: expected about %.0f to %.0f px %s unless that is cut out of another, got %g",
                *(name, low, high, of, K[axis, 2]),
            )


def _two(K: np.ndarray) -> str:
    return f"got {K[1, 1]:g} px beside {K[0, 0]:g} px"


def _of_file(
    options: argparse.Namespace, photo: Photograph, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    given = [name for name in ("fy", "cx", "cy") if getattr(options, name) is not None]
    if given:
        raise CopeError(f"--{given[0]}: not with --camera, whose file holds all intrinsics")
    info = camera_info(options.camera, size)
    if (info.width, info.height) != size:
        told = f"{info.width}x{info.height}"
        raise CopeError(f"{options.camera}: is for images of {told}, got {size[0]}x{size[1]}")
    try:
        camera = camera_from_info(info, rectified=False)
    except FrameError as error:
        raise CopeError(f"--camera {options.camera}: {error}") from error
    return Undistorter()(photo.pixels, camera), camera.K
