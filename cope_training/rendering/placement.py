"""Where instances lie: floating in a heap, or resting on a plane."""

import numpy as np


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """(3, 3) uniform over all rotations (QR of a normal matrix, sign-corrected)."""
    Q, upper = np.linalg.qr(rng.standard_normal((3, 3)))
    Q = Q * np.sign(np.diag(upper))
    return Q if np.linalg.det(Q) > 0 else Q[:, [1, 0, 2]]


def rotation_about(axis: int, angle: float) -> np.ndarray:
    """(3, 3) rotation about a coordinate axis, in radians."""
    c, s = np.cos(angle), np.sin(angle)
    R = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R[i, i] = R[j, j] = c
    R[i, j], R[j, i] = -s, s
    return R


def upright_rotations() -> np.ndarray:
    """(6, 3, 3): each side of the object's box turned down in turn."""
    turns = [rotation_about(0, k * np.pi / 2) for k in range(4)]
    turns += [rotation_about(1, k * np.pi / 2) for k in (1, 3)]
    return np.array(turns)


def push_apart(
    centers: np.ndarray, radii: np.ndarray, factor: float, rounds: int = 6
) -> np.ndarray:
    """Moves points until the balls around them, shrunk by ``factor``, hardly overlap.

    Args:
        centers: (N, D) m; the first stays where it is.
        radii: (N,) m.
        factor: share of the radii that has to stay free of others.
        rounds: of moving all pairs at once.
    """
    centers = centers.copy()
    if len(centers) < 2:
        return centers
    need = factor * (radii[:, None] + radii[None])
    np.fill_diagonal(need, 0.0)
    for _ in range(rounds):
        gaps = centers[:, None] - centers[None]
        distance = np.linalg.norm(gaps, axis=2)
        np.fill_diagonal(distance, 1.0)
        lack = np.maximum(need - distance, 0.0)
        if not lack.any():
            break
        push = (gaps / np.maximum(distance, 1e-6)[..., None] * lack[..., None] * 0.5).sum(axis=1)
        push[0] = 0.0
        centers += push
    return centers


def rays(pixels: np.ndarray, K: np.ndarray) -> np.ndarray:
    """(N, 3) points at z = 1 seen at (N, 2) pixels."""
    homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
    return homogeneous @ np.linalg.inv(K).T


def heap(
    rng: np.random.Generator,
    first: np.ndarray,
    pixels: np.ndarray,
    radii: np.ndarray,
    K: np.ndarray,
    depth_sigma: float,
) -> np.ndarray:
    """(N, 4, 4) poses of floating objects, evenly distributed rotations.

    Args:
        first: (3,) m, centre of the first object.
        pixels: (N, 2) where the centres are wanted; the first row is not used.
        radii: (N,) m, half the diameters.
        K: (3, 3).
        depth_sigma: standard deviation of the logarithm of the depth.
    """
    depth = first[2] * np.exp(rng.normal(0.0, depth_sigma, len(pixels)))
    centers = rays(pixels, K) * depth[:, None]
    centers[0] = first
    centers = push_apart(centers, radii, factor=0.6)
    poses = np.tile(np.eye(4), (len(centers), 1, 1))
    for pose, center in zip(poses, centers, strict=True):
        pose[:3, :3], pose[:3, 3] = random_rotation(rng), center
    return poses


def table_frame(rng: np.random.Generator, elevation: float, roll_sigma: float) -> np.ndarray:
    """(3, 3) rotation from the table's frame (z up) to the camera's.

    Args:
        elevation: radians from looking along the table (0) to looking straight down.
        roll_sigma: radians, standard deviation of the camera's turn about its axis.
    """
    # The camera looks along +z; at elevation 0 the table's up is the image's -y.
    to_camera = rotation_about(0, np.pi / 2 + elevation)
    roll = rotation_about(2, rng.normal(0.0, roll_sigma))
    return roll @ to_camera @ rotation_about(2, rng.uniform(0, 2 * np.pi))


def resting(
    rng: np.random.Generator,
    first: np.ndarray,
    pixels: np.ndarray,
    vertices: list[np.ndarray],
    K: np.ndarray,
    R_cam_table: np.ndarray,
    upright_share: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Objects standing or lying on a plane through ``first``, some leaning.

    Args:
        first: (3,) m, where the first object touches the plane, about.
        pixels: (N, 2) where the others are wanted.
        vertices: N arrays (V, 3), the objects' points.
        K: (3, 3).
        R_cam_table: (3, 3) from ``table_frame``.
        upright_share: of objects that stand with their z axis up; the others on any side of
            their box.

    Returns:
        (N, 4, 4) poses, and (4, 4) T_cam_table whose plane z = 0 the objects touch.
    """
    up = R_cam_table[:, 2]
    way = rays(pixels, K)
    slope = way @ up
    reach = np.where(np.abs(slope) > 1e-3, (first @ up) / np.where(slope == 0, 1e-9, slope), 0.0)
    reach = np.where((reach > 0.6 * first[2]) & (reach < 2.5 * first[2]), reach, first[2])
    spots = ((way * reach[:, None]) - first) @ R_cam_table
    spots[0] = 0.0
    sides = upright_rotations()
    rotations, radii, heights = [], [], []
    for points in vertices:
        side = sides[0] if rng.random() < upright_share else sides[rng.integers(len(sides))]
        R = rotation_about(2, rng.uniform(0, 2 * np.pi)) @ side
        if rng.random() < 0.2:
            R = rotation_about(int(rng.integers(2)), rng.normal(0.0, 0.4)) @ R
        turned = points @ R.T
        rotations.append(R)
        radii.append(np.abs(turned[:, :2]).max())
        heights.append(-turned[:, 2].min())
    flat = push_apart(spots[:, :2], np.array(radii), factor=0.85)
    poses = np.tile(np.eye(4), (len(vertices), 1, 1))
    for pose, R, spot, height in zip(poses, rotations, flat, heights, strict=True):
        pose[:3, :3] = R_cam_table @ R
        pose[:3, 3] = first + R_cam_table @ np.array([spot[0], spot[1], height])
    T_cam_table = np.eye(4)
    T_cam_table[:3, :3], T_cam_table[:3, 3] = R_cam_table, first
    return poses, T_cam_table
