"""Rotations in numpy, for what runs without torch: Rodrigues' formula and its inverse."""

import numpy as np


def skew(w: np.ndarray) -> np.ndarray:
    """(..., 3) -> (..., 3, 3) with ``skew(w) @ v == cross(w, v)``."""
    W = np.zeros((*w.shape[:-1], 3, 3))
    for i, j, k in ((2, 1, 0), (0, 2, 1), (1, 0, 2)):
        W[..., i, j] = w[..., k]
        W[..., j, i] = -w[..., k]
    return W


def rotations(w: np.ndarray) -> np.ndarray:
    """Rotation vectors (..., 3) in rad -> matrices (..., 3, 3), by Rodrigues' formula."""
    angle = np.sqrt((w * w).sum(axis=-1))[..., None, None]
    W = skew(w)
    a = np.sinc(angle / np.pi)
    b = 0.5 * np.sinc(0.5 * angle / np.pi) ** 2
    return np.eye(3) + a * W + b * (W @ W)


def rotation_vectors(R: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) -> rotation vectors (..., 3) in rad, below pi."""
    twice = np.stack(
        [R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], -1
    )
    sine = 0.5 * np.linalg.norm(twice, axis=-1)
    angle = np.arctan2(sine, 0.5 * (np.trace(R, axis1=-2, axis2=-1) - 1.0))
    return twice * (0.5 * angle / np.maximum(sine, 1e-9))[..., None]


def about(axis: np.ndarray, angles: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Turns about a line.

    Args:
        axis: (3,) unit vector of the line.
        angles: (S,) rad.
        point: (3,) m, on the line.

    Returns:
        (S, 4, 4)
    """
    T = np.tile(np.eye(4), (len(angles), 1, 1))
    T[:, :3, :3] = rotations(np.asarray(angles)[:, None] * axis)
    T[:, :3, 3] = point - T[:, :3, :3] @ point
    return T


def plane_basis(axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors (3,) that span the plane across ``axis`` and turn right-handed."""
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    e1 = np.cross(axis, helper)
    e1 /= np.linalg.norm(e1)
    return e1, np.cross(axis, e1)
