"""Simple shapes of unit size for clutter: box, ball, cylinder, tapered cylinder, sheets."""

import numpy as np

from cope_training.rendering.meshes import Mesh, vertex_normals


def _white(vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray, uv: np.ndarray) -> Mesh:
    colors = np.full((len(vertices), 3), 255, dtype=np.uint8)
    return Mesh(
        vertices.astype("f4"), faces.astype(np.int32), normals.astype("f4"), colors, uv.astype("f4")
    )


def sheet(repeats: float = 1.0) -> Mesh:
    """A square of side 1 in the plane z = 0, facing +z, its texture repeated."""
    vertices = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    normals = np.tile([0.0, 0.0, 1.0], (4, 1))
    return _white(vertices, faces, normals, (vertices[:, :2] + 0.5) * repeats)


def cuboid() -> Mesh:
    """A cube of side 1, each face with the whole texture."""
    vertices, normals, uv = [], [], []
    for axis in range(3):
        for sign in (1.0, -1.0):
            normal = np.zeros(3)
            normal[axis] = sign
            u = np.roll(normal, 1) * sign
            v = np.cross(normal, u)
            square = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
            vertices += [0.5 * normal + a * u + b * v for a, b in square]
            normals += [normal] * 4
            uv += [(a + 0.5, b + 0.5) for a, b in square]
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * i for i in range(6)])
    return _white(np.array(vertices), faces, np.array(normals), np.array(uv))


def cylinder(top: float = 1.0, segments: int = 20) -> Mesh:
    """A closed cylinder of diameter and height 1 about z; ``top`` scales its upper radius."""
    angles = np.linspace(0, 2 * np.pi, segments + 1)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 0.5
    n, column = segments + 1, np.arange(segments)
    low = np.c_[circle, np.full(n, -0.5)]
    high = np.c_[circle * top, np.full(n, 0.5)]
    side = np.concatenate([low, high])
    wall = np.concatenate([
        np.stack([column, column + 1, column + n + 1], axis=1),
        np.stack([column, column + n + 1, column + n], axis=1),
    ])  # fmt: skip
    around = angles / (2 * np.pi)
    uv = np.concatenate([np.c_[around, np.zeros(n)], np.c_[around, np.ones(n)]])
    caps = np.concatenate([low, [[0, 0, -0.5]], high, [[0, 0, 0.5]]])
    first = 2 * n
    below = np.stack([column + 1, column, np.full(segments, n)], axis=1) + first
    above = np.stack([column, column + 1, np.full(segments, n)], axis=1) + first + n + 1
    slope = 0.5 * (1.0 - top)
    normals = np.c_[2 * circle, np.full(n, slope)]
    normals = np.tile(normals / np.linalg.norm(normals, axis=1, keepdims=True), (2, 1))
    cap_normals = np.repeat([[0, 0, -1.0], [0, 0, 1.0]], n + 1, axis=0)
    return _white(
        np.concatenate([side, caps]), np.concatenate([wall, below, above]),
        np.concatenate([normals, cap_normals]), np.concatenate([uv, caps[:, :2] + 0.5]),
    )  # fmt: skip


def ball(rings: int = 8, segments: int = 14) -> Mesh:
    """A ball of diameter 1."""
    u, v = np.meshgrid(np.linspace(0, 1, segments + 1), np.linspace(0, 1, rings + 1))
    theta, phi = np.pi * (1.0 - v), 2 * np.pi * u
    normals = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1
    ).reshape(-1, 3)
    row, column = np.mgrid[:rings, :segments]
    a = (row * (segments + 1) + column).reshape(-1)
    b, c, d = a + 1, a + segments + 2, a + segments + 1
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return _white(0.5 * normals, faces, normals, np.stack([u, v], axis=-1).reshape(-1, 2))


def flake(rng: np.random.Generator, corners: int = 9) -> Mesh:
    """A flat star-shaped cut-out of diameter about 1 in the plane z = 0."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = rng.uniform(0.2, 0.55, corners)
    rim = np.stack([np.cos(angles) * radius, np.sin(angles) * radius, 0 * angles], axis=1)
    vertices = np.concatenate([[[0.0, 0.0, 0.0]], rim])
    index = np.arange(corners)
    faces = np.stack([np.zeros(corners, int), index + 1, (index + 1) % corners + 1], axis=1)
    return _white(vertices, faces, vertex_normals(vertices, faces), vertices[:, :2] + 0.5)
