"""Which pixels of the full-resolution image, which K and P describe, a driver has sent.

By sensor_msgs/CameraInfo ``width`` and ``height`` are those of the full resolution and the image
is cut (``roi``) and then binned. Drivers differ: some give the binned size or that of the region
there, some name a region of interest that they have not cut. The image's own size tells which.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cope_ros.input.drops import Cause, FrameError

Size = tuple[int, int]  # width, height, px


class Note(NamedTuple):
    """Something that was tolerated and is to be said once."""

    key: str
    text: str


OFFSET = "roi offset"  # ``Window.ignored`` of a region beyond the full resolution


class Window(NamedTuple):
    """The transmitted part of the image that K and P describe."""

    size: Size  # of the transmitted image
    offset: tuple[int, int]  # px of the full resolution
    binning: tuple[int, int]
    ignored: str = ""  # which field of the camera_info the image contradicts


def image_size(info: Any) -> Size:
    """(width, height) in px of the images that a camera_info describes, taken by its word."""
    return next(_readings(info)).size


def window_of(info: Any, size: Size) -> Window | None:
    """How an image of ``size`` came from the full resolution; None where it cannot have."""
    return next((window for window in _readings(info) if window.size == size), None)


def window_for(info: Any, size: Size) -> Window:
    """As :func:`window_of`, for an image that must have come from there.

    Raises:
        FrameError: (cause SIZE) ``info`` describes images of another size.
    """
    window = window_of(info, size)
    if window is None:
        text = "camera_info: expected size {}x{} (the image's), got {}x{} after binning and ROI"
        raise FrameError(Cause.SIZE, text.format(*size, *image_size(info)))
    return window


def note_of(window: Window, info: Any) -> Note | None:
    """What there is to say about a camera_info that does not mean what it says."""
    if not window.ignored:
        return None
    if window.ignored == OFFSET:
        text = f"camera_info: a roi at ({info.roi.x_offset}, {info.roi.y_offset}) leaves "
        text += f"{info.width}x{info.height}, which are taken as the size of the roi itself"
        return Note("resolution", text)
    stated, (width, height) = image_size(info), window.size
    text = f"camera_info: {window.ignored} taken as not to be applied any more: images are "
    text += f"{width}x{height}, not {stated[0]}x{stated[1]}"
    return Note("resolution", text)


def transmitted(matrix: np.ndarray, window: Window, info: Any) -> np.ndarray:
    """Moves a camera matrix (3, 3) from the full resolution to the transmitted image.

    A binned pixel u' covers the pixels b u' .. b u' + b - 1, whose middle lies at
    u = b u' + (b - 1) / 2; hence c' = (c + 1/2) / b - 1/2.
    """
    K = matrix.copy()
    K[:2, 2] -= window.offset
    if window.ignored == OFFSET and _of_uncut(matrix, info):
        K[:2, 2] -= _offset(info)
    binning = window.binning
    if "binning" in window.ignored and _of_unbinned(matrix, info):
        binning = _binning(info)
    for row, factor in enumerate(binning):
        K[row, :2] /= factor
        K[row, 2] = (K[row, 2] + 0.5) / factor - 0.5
    return K


def described_size(matrix: np.ndarray, window: Window, info: Any) -> Size:
    """(width, height) px of the image that a camera matrix was calibrated for."""
    if "binning" in window.ignored and _of_unbinned(matrix, info):
        x, y = _binning(info)
        return info.width * x, info.height * y
    if window.ignored == OFFSET and _of_uncut(matrix, info):
        x, y = _offset(info)
        return info.width + x, info.height + y  # at least
    return info.width, info.height


def _readings(info: Any) -> Iterator[Window]:
    """All ways to read a camera_info, the one it states first."""
    full, offset = (info.width, info.height), _offset(info)
    cut = (info.roi.width or info.width, info.roi.height or info.height)
    x, y = _binning(info)
    if cut[0] + offset[0] <= full[0] and cut[1] + offset[1] <= full[1]:
        yield Window((cut[0] // x, cut[1] // y), offset, (x, y))
        if (x, y) != (1, 1):
            yield Window(cut, offset, (1, 1), "binning")
    elif cut == full:
        yield Window((cut[0] // x, cut[1] // y), (0, 0), (x, y), OFFSET)
    if cut != full:
        yield Window((full[0] // x, full[1] // y), (0, 0), (x, y), "roi")
        yield Window(full, (0, 0), (1, 1), "roi and binning" if (x, y) != (1, 1) else "roi")


def _offset(info: Any) -> tuple[int, int]:
    return info.roi.x_offset, info.roi.y_offset


def _binning(info: Any) -> tuple[int, int]:
    return max(info.binning_x, 1), max(info.binning_y, 1)


def _of_unbinned(matrix: np.ndarray, info: Any) -> bool:
    """Whether a principal point lies nearer to the middle of the unbinned image.

    Where width and height are those of the binned image, K may still be of the unbinned one.
    """
    middle = np.array((info.width, info.height)) / 2
    return _is_nearer(matrix, middle * _binning(info), middle)


def _of_uncut(matrix: np.ndarray, info: Any) -> bool:
    """Whether a principal point lies nearer to the middle of the roi than to that of its size.

    Where width and height are those of the roi, K may still be of the sensor.
    """
    middle = np.array((info.width, info.height)) / 2
    return _is_nearer(matrix, middle + _offset(info), middle)


def _is_nearer(matrix: np.ndarray, first: np.ndarray, second: np.ndarray) -> bool:
    at = matrix[:2, 2]
    return bool(np.linalg.norm(at - first) < np.linalg.norm(at - second))
