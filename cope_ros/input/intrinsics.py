"""camera_info -> the pinhole camera of the pixels at hand.

Conventions: pixel centres at integers; ``K`` (3, 3) maps optical-frame coordinates to pixels of
the image as received (after binning and region of interest).
Source: sensor_msgs/CameraInfo, whose K, D and P describe the full-resolution image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cope_ros.input.distortion import is_distorted, is_known, read_distortion
from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.plausibility import contradiction, fault_of
from cope_ros.input.resolution import (
    Note,
    Size,
    Window,
    described_size,
    image_size,
    note_of,
    transmitted,
    window_for,
)


@dataclass(frozen=True)
class Camera:
    """The pinhole camera of one image."""

    K: np.ndarray  # (3, 3) float64, px
    size: Size  # width, height, px
    distortion: tuple[float, ...]  # D, empty where the image has none (left)
    fisheye: bool
    notes: tuple[Note, ...] = ()  # what was tolerated in the camera_info


def camera_from_info(info: Any, rectified: bool, size: Size | None = None) -> Camera:
    """Reads a sensor_msgs/CameraInfo.

    Args:
        info: the message.
        rectified: whether the image is rectified already: then P counts (K where P is all zero
            or impossible) and D does not.
        size: (width, height) px of the image; without it the camera_info is taken by its word.

    Raises:
        FrameError: no usable intrinsics (cause INTRINSICS) or images of another size (cause
            SIZE), with the reason.
    """
    window = window_for(info, size or image_size(info))
    notes = [note_of(window, info)]
    if rectified:
        matrix, note = _projection(info, window)
        notes.append(note)
        distortion: tuple[float, ...] = ()
        fisheye = False
    else:
        matrix = _calibration(info, window)
        distortion, fisheye = read_distortion(info.distortion_model, info.d)
        notes.append(_unknown_model(info.distortion_model))
    K = transmitted(matrix, window, info)
    return Camera(K, window.size, distortion, fisheye, tuple(n for n in notes if n is not None))


def unrectified_note(info: Any, topic: str) -> Note | None:
    """What there is to say where images pass for rectified although they seem not to be.

    Args:
        topic: of the images; ROS's pipelines have "rect" in the name of rectified ones.
    """
    if "rect" in topic.lower() or not is_distorted(info):
        return None
    text = (
        f"camera_info has a distortion ({info.distortion_model or 'no model'}) and {topic} does "
        "not look rectified, but image_is_rectified is true: poses are off unless it is; "
        "set image_is_rectified to false, or remap image_rect to the rectified topic"
    )
    return Note("unrectified", text)


def _projection(info: Any, window: Window) -> tuple[np.ndarray, Note | None]:
    """P's camera matrix, or K where P is none, and what is to be said about that."""
    P = np.array(info.p, dtype=float).reshape(3, 4)
    if not P.any():
        return _calibration(info, window), None
    P = P[:, :3].copy()
    K = np.array(info.k, dtype=float).reshape(3, 3)
    fault = fault_of("P", P, described_size(P, window, info))
    fault_K = fault_of("K", K, described_size(K, window, info))
    if fault is None and fault_K is None:
        fault = contradiction(P, K, is_distorted(info))
    if fault is None:
        return P, None
    if fault_K is not None:
        raise _uncalibrated(f"{fault}; {fault_K}")
    return K, Note("projection", f"camera_info: K is used in place of P: {fault}")


def _calibration(info: Any, window: Window) -> np.ndarray:
    K = np.array(info.k, dtype=float).reshape(3, 3)
    fault = fault_of("K", K, described_size(K, window, info))
    if fault is not None:
        raise _uncalibrated(fault)
    return K


def _uncalibrated(fault: str) -> FrameError:
    return FrameError(Cause.INTRINSICS, f"camera_info: the camera is not calibrated: {fault}")


def _unknown_model(model: str) -> Note | None:
    if is_known(model):
        return None
    text = f"camera_info: distortion_model '{model[:40]}' is unknown; D is zero, so none is assumed"
    return Note("distortion_model", text)
