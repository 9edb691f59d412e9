"""Ground-truth poses of symmetric objects: all hypotheses that look the same."""

import numpy as np

from cope_ros.core.catalogue import Catalogue, ContinuousSymmetry

MAX_HYPOTHESES = 8  # discrete hypotheses per object, as published


def hypotheses(T_cam_obj: np.ndarray, class_index: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """Equivalent poses of each instance.

    A continuous axis is removed by turning the object about it until the camera lies on a
    fixed half-plane of the object's frame; each discrete symmetry gives one more pose.

    Args:
        T_cam_obj: (N, 4, 4) m.
        class_index: (N,).

    Returns:
        (N, S, 4, 4) m; rows with fewer than S symmetries repeat their first hypothesis.
    """
    count = min(MAX_HYPOTHESES, 1 + max(len(o.symmetries_discrete) for o in catalogue))
    out = np.empty((len(class_index), count, 4, 4))
    for row, (T, c) in enumerate(zip(T_cam_obj, class_index, strict=True)):
        item = catalogue[int(c)]
        base = T
        for symmetry in item.symmetries_continuous[:1]:
            base = T @ canonical_turn(T, symmetry)
        discrete = item.symmetries_discrete[: count - 1]
        out[row] = base
        out[row, 1 : 1 + len(discrete)] = base @ discrete if len(discrete) else base
    return out


def canonical_turn(T_cam_obj: np.ndarray, symmetry: ContinuousSymmetry) -> np.ndarray:
    """(4, 4) turn about the axis after which the camera lies on the half-plane of ``e1``."""
    axis, offset = symmetry.axis, symmetry.offset
    camera = -T_cam_obj[:3, :3].T @ T_cam_obj[:3, 3] - offset
    e1, e2 = plane_basis(axis)
    angle = np.arctan2(camera @ e2, camera @ e1)
    A = axis_rotation(axis, angle)
    turn = np.eye(4)
    turn[:3, :3] = A
    turn[:3, 3] = offset - A @ offset
    return turn


def plane_basis(axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors (3,) that span the plane across ``axis`` and turn right-handed."""
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    e1 = np.cross(axis, helper)
    e1 /= np.linalg.norm(e1)
    return e1, np.cross(axis, e1)


def axis_rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) rotation about a unit axis by an angle in radians (Rodrigues)."""
    x, y, z = axis
    W = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * W + (1 - np.cos(angle)) * (W @ W)
