"""Fewer triangles for a software renderer: edges collapsed, texture seams and colours kept.

The collapses are those of the library opengl_decimate (quadric error metrics, M. Garland and
P. Heckbert, SIGGRAPH 1997). Files on disk stay as they are.
"""

from dataclasses import dataclass, replace

import numpy as np
from opengl_decimate import DecimateError, SimplifyOptions, collapse_sequence

from cope_training.rendering.baking import bake_colors
from cope_training.rendering.meshes import Mesh, vertex_normals
from cope_training.rendering.surface_distance import surface_distance

FEWEST = 100  # triangles that may be asked for


@dataclass(frozen=True)
class Simplified:
    """A mesh for rendering."""

    mesh: Mesh
    deviation: float  # m, largest distance measured between its surface and the original's


def simplify(mesh: Mesh, max_faces: int, max_deviation: float) -> Simplified:
    """A mesh with about ``max_faces`` triangles, or more where fewer lie too far off.

    Where there is a texture, each vertex is one of the original's, with its texture point and
    colour; else vertices move to where the surface is kept best, and the colours of those that go
    become a texture.

    Args:
        mesh: stays as it is, and is given back if it is small enough.
        max_faces: of the result, at least FEWEST.
        max_deviation: m that the surfaces may be apart.

    Raises:
        ValueError: fewer than FEWEST triangles are asked for.
    """
    if max_faces < FEWEST:
        raise ValueError(f"max_faces: expected at least {FEWEST}, got {max_faces}")
    if len(mesh.faces) <= max_faces:
        return Simplified(mesh, 0.0)
    attributes = {"POSITION": mesh.vertices, "COLOR_0": mesh.colors}
    if mesh.uv is not None:
        attributes["TEXCOORD_0"] = mesh.uv
    corners = mesh.faces.reshape(-1).astype(np.uint32)
    textured = mesh.texture is not None  # seams then stay on their lines
    placement = "endpoint" if textured else "optimal"
    options = SimplifyOptions(target_count=max_faces, placement=placement, lock_seams=textured)
    try:
        collapses = collapse_sequence(attributes, corners, options)
    except DecimateError:  # a surface on which nothing can be collapsed
        return Simplified(mesh, 0.0)
    count = max_faces
    while count < len(mesh.faces):
        found = collapses.at(target_count=count)
        apart = _deviation(mesh, found.attributes["POSITION"], found.indices)
        if apart <= max_deviation:
            coarse = _as_mesh(mesh, found.attributes, found.indices)
            return Simplified(coarse if textured else bake_colors(coarse, mesh), apart)
        count *= 2
    return Simplified(mesh, 0.0)


def _deviation(mesh: Mesh, vertices: np.ndarray, corners: np.ndarray) -> float:
    if not len(corners):
        return np.inf
    simplified = vertices[corners.reshape(-1, 3)].astype(np.float64)
    return surface_distance(mesh.vertices[mesh.faces].astype(np.float64), simplified)


def _as_mesh(mesh: Mesh, attributes: dict[str, np.ndarray], corners: np.ndarray) -> Mesh:
    vertices = attributes["POSITION"].astype(np.float32)
    faces = corners.reshape(-1, 3).astype(np.int32)
    colors, uv = attributes["COLOR_0"].astype(np.uint8), attributes.get("TEXCOORD_0")
    normals = vertex_normals(vertices, faces)
    return replace(mesh, vertices=vertices, faces=faces, normals=normals, colors=colors, uv=uv)
