"""The pinhole camera as matrices: pixel centres at integers, +z forward, x right, y down."""

import numpy as np

NEAR, FAR = 0.02, 60.0  # m; nothing nearer or farther is drawn
MIN_DEPTH = 1e-3  # m; points nearer than this cannot be projected into a box


def clip_from_cam(K: np.ndarray, width: int, height: int) -> np.ndarray:
    """(4, 4) projection from camera frame to GL clip space, image row 0 at GL's row 0."""
    P = np.zeros((4, 4))
    P[0, :3] = 2.0 * K[0] / width
    P[1, :3] = 2.0 * K[1] / height
    P[0, 2] += 1.0 / width - 1.0
    P[1, 2] += 1.0 / height - 1.0
    P[2, 2] = (FAR + NEAR) / (FAR - NEAR)
    P[2, 3] = -2.0 * FAR * NEAR / (FAR - NEAR)
    P[3, 2] = 1.0
    return P


def project_box(points: np.ndarray, T_cam_obj: np.ndarray, K: np.ndarray) -> np.ndarray:
    """(4,) x1 y1 x2 y2 in pixels around the projections of (V, 3) points."""
    p_cam = points @ T_cam_obj[:3, :3].T + T_cam_obj[:3, 3]
    uvw = p_cam @ K.T
    uv = uvw[:, :2] / np.maximum(uvw[:, 2:], MIN_DEPTH)
    return np.concatenate([uv.min(axis=0), uv.max(axis=0)])
