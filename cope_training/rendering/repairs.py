"""Scans repaired: holes that they closed, ends that they thickened, lids that they fastened.

LM-O's can is a watering can, open on the side of its handle, where its scan has a lid: a network
that only saw the lid takes the dark opening for the other side of the can. The driller's chuck is a
black cone; its scan is a thick one in the colour of the body, and looks like the driller's back.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from cope_training.rendering.meshes import Mesh, vertex_normals

SIZES = (0.75, 1.1)  # of an opening's radius, and of its way sideways in radii:
SHIFT = 0.15
POWERS = (0.2, 1.5)  # of the share of its radius that an end has at its tip
SHADES = (0.35, 1.1)  # of the sRGB colours of a thinned end
TINT_SIGMA = 0.3  # of the logarithm of the others', each channel on its own


def opened(mesh: Mesh, ball: Sequence[float], rng: np.random.Generator) -> Mesh:
    """The mesh without the triangles whose middles lie in a ball about as large as the one given.

    Args:
        mesh: stays as it is.
        ball: x, y, z and radius, m.
        rng: of its size and place.
    """
    center, radius = np.array(ball[:3]), ball[3]
    center = center + rng.uniform(-SHIFT, SHIFT, 3) * radius
    radius *= rng.uniform(*SIZES)
    middles = mesh.vertices[mesh.faces].astype(np.float64).mean(axis=1)
    kept = np.linalg.norm(middles - center, axis=1) > radius
    return replace(mesh, faces=mesh.faces[kept])


def thinned(mesh: Mesh, end: Sequence[float], rng: np.random.Generator) -> Mesh:
    """The mesh with one end thinner and darker, the rest in other colours.

    Args:
        mesh: stays as it is.
        end: see ``with_thin_end``.
        rng: of how much thinner, and of the colours.
    """
    thin = with_thin_end(mesh, end, rng.uniform(*POWERS))
    tint = np.exp(rng.normal(0.0, TINT_SIGMA, 3))
    factor = np.where(_along(mesh, end) > 0, rng.uniform(*SHADES), tint)
    colors = np.rint((mesh.colors * factor).clip(0, 255)).astype(np.uint8)
    return replace(thin, colors=colors)


def with_thin_end(mesh: Mesh, end: Sequence[float], power: float = 1.0) -> Mesh:
    """The mesh with one end thinner, more and more towards its tip.

    Args:
        mesh: stays as it is.
        end: x, y, z, m, where it begins; x, y, z of its tip; the share of its radius there.
        power: of that share.
    """
    start, tip = np.array(end[:3]), np.array(end[3:6])
    along = _along(mesh, end)
    axis = start + along * (tip - start)
    share = 1.0 + along.clip(0.0, 1.0) * (end[6] ** power - 1.0)
    vertices = (axis + share * (mesh.vertices - axis)).astype(np.float32)
    return replace(mesh, vertices=vertices, normals=vertex_normals(vertices, mesh.faces))


def turned(mesh: Mesh, end: Sequence[float], rng: np.random.Generator) -> Mesh:
    """The mesh with one end, a lid or a cap, turned about its axis by any angle.

    Triangles across the beginning turn with the end, so that nothing is torn.

    Args:
        mesh: stays as it is.
        end: x, y, z, m, where it begins on its axis; x, y, z of its tip.
        rng: of the angle.
    """
    start, axis = np.array(end[:3]), np.subtract(end[3:6], end[:3])
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * rng.uniform(0.0, 2.0 * np.pi))
    turns = (_along(mesh, end)[mesh.faces, 0] > 0).any(axis=1)
    own = np.unique(mesh.faces[turns])
    moved = np.full(len(mesh.vertices), -1)
    moved[own] = len(mesh.vertices) + np.arange(len(own))
    faces = np.where(turns[:, None], moved[mesh.faces], mesh.faces).astype(mesh.faces.dtype)
    vertices = turn.apply(mesh.vertices[own] - start) + start
    return replace(
        mesh,
        vertices=np.concatenate((mesh.vertices, vertices.astype(np.float32))),
        faces=faces,
        normals=np.concatenate((mesh.normals, turn.apply(mesh.normals[own]).astype(np.float32))),
        colors=np.concatenate((mesh.colors, mesh.colors[own])),
        uv=None if mesh.uv is None else np.concatenate((mesh.uv, mesh.uv[own])),
    )


def _along(mesh: Mesh, end: Sequence[float]) -> np.ndarray:
    """(V, 1) zero where an end begins, one at its tip."""
    start, way = np.array(end[:3]), np.subtract(end[3:6], end[:3])
    return np.asarray(((mesh.vertices - start) @ way / (way @ way))[:, None])
