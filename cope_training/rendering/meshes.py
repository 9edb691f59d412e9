"""Triangle meshes: reading, writing PLY, measuring."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cope_ros.core.catalogue import MM
from cope_training.rendering.files.ply import MODULATED
from cope_training.rendering.files.reader import MeshFile, read_mesh

WELD = 1e-5  # m; vertices nearer than this are one point of the surface
CREASE = np.deg2rad(30.0)  # an edge sharper than this is drawn sharp


@dataclass(frozen=True)
class Mesh:
    """A coloured triangle mesh in its own frame, in metres."""

    vertices: np.ndarray  # (V, 3) float32 m
    faces: np.ndarray  # (F, 3) int32, rows of vertices
    normals: np.ndarray  # (V, 3) float32, unit length
    colors: np.ndarray  # (V, 3) uint8 sRGB, multiplied with the texture where there is one
    uv: np.ndarray | None = None  # (V, 2) float32, (0, 0) at the texture's bottom left
    texture: np.ndarray | None = None  # (H, W, 3) uint8 sRGB, row 0 at the top

    @property
    def is_closed(self) -> bool:
        """Whether back faces can never be seen, so that they need not be drawn.

        On a closed surface with its normals outwards the integral of x n^T is volume times
        identity (divergence theorem); holes and turned faces break that. T-junctions do not.
        """
        corners = self.vertices[self.faces].astype(np.float64)
        areas = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        centers = corners.mean(axis=1) - corners.mean(axis=(0, 1))
        moments = centers.T @ areas
        volume = np.trace(moments) / 3.0
        return bool(volume > 0 and np.abs(moments - volume * np.eye(3)).max() < 1e-2 * volume)

    @property
    def mean_albedo(self) -> np.ndarray:
        """(3,) linear colour: mean over the vertices times mean over the texture."""
        albedo = ((self.colors / 255.0) ** 2).mean(axis=0)
        if self.texture is not None:
            albedo = albedo * ((self.texture / 255.0) ** 2).mean(axis=(0, 1))
        return np.asarray(albedo)

    @property
    def diameter(self) -> float:
        """Largest distance between two vertices, in metres."""
        return diameter(self.vertices)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals: area-weighted over the faces that meet at the point.

    Vertices at one place count as one point, so that seams of a texture do not show; faces
    that lean more than CREASE away are left out, so that edges stay sharp.
    """
    corners = vertices[faces].astype(np.float64)
    weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    own = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(own, faces[:, corner], weighted)
    _, point = np.unique(np.round(vertices / WELD).astype(np.int64), axis=0, return_inverse=True)
    point = point.reshape(-1)
    corner_point = point[faces].reshape(-1)
    order = np.argsort(corner_point, kind="stable")
    count = np.bincount(corner_point, minlength=int(point.max()) + 1)
    start = np.cumsum(count) - count
    # All pairs of a vertex and a face that meets its point.
    vertex = np.repeat(np.arange(len(vertices)), count[point])
    first = np.repeat(np.cumsum(count[point]) - count[point], count[point])
    face = order[start[point[vertex]] + np.arange(len(vertex)) - first] // 3
    along = (_unit(weighted)[face] * _unit(own)[vertex]).sum(axis=1)
    near = along > np.cos(CREASE)
    total = np.zeros_like(own)
    for axis in range(3):
        values = weighted[face[near], axis]
        total[:, axis] = np.bincount(vertex[near], weights=values, minlength=len(own))
    return _unit(np.where(total.any(axis=1, keepdims=True), total, own)).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows at unit length; rows of zeros become +z."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > 0, rows / np.maximum(length, 1e-30), [0.0, 0.0, 1.0])


def diameter(vertices: np.ndarray) -> float:
    """Largest distance between two of (V, 3) points (paper, Eq. 1), exact, in their unit."""
    points = np.unique(vertices.astype(np.float64), axis=0)
    center = 0.5 * (points.min(axis=0) + points.max(axis=0))
    radius = np.linalg.norm(points - center, axis=1)
    far = points[radius.argmax()]
    known = np.linalg.norm(points - far, axis=1).max()
    # An end of the diameter lies no nearer to the centre than this.
    points = points[radius >= known - radius.max() - 1e-9]
    largest = 0.0
    for start in range(0, len(points), 256):
        gaps = points[start : start + 256, None] - points[None, start:]
        largest = max(largest, float((gaps**2).sum(axis=2).max()))
    return float(np.sqrt(largest))


def load_mesh(path: Path | str, unit: float = MM, allow_missing_texture: bool = False) -> Mesh:
    """Reads a mesh file of any format that ``files.reader`` knows.

    Args:
        path: the file.
        unit: length of the file's unit in metres.
        allow_missing_texture: go on where a texture or material file is missing or broken.

    Raises:
        CopeError: the file is missing, unreadable, holds no triangle, or its texture is missing.
    """
    return mesh_of(read_mesh(path, allow_missing_texture), unit)


def mesh_of(content: MeshFile, unit: float, shift: np.ndarray | None = None) -> Mesh:
    """The mesh of a file, in metres.

    Args:
        content: as read.
        unit: length of its unit in metres.
        shift: (3,) in its unit, a point that becomes the origin, in double precision.
    """
    vertices = content.vertices if shift is None else content.vertices - shift
    metres = vertices * unit
    normals = vertex_normals(metres, content.faces)  # formats differ in what they keep of them
    colors, uv, texture = content.colors, content.uv, content.texture
    return Mesh(metres.astype("f4"), content.faces, normals, colors, uv, texture)


def save_ply(path: Path | str, mesh: Mesh, unit: float = MM) -> None:
    """Writes a binary PLY as BOP does, with normals and vertex colours.

    A texture is written beside it as PNG and named in the header, with ``texture_u`` and
    ``texture_v`` of every vertex.
    """
    path = Path(path)
    fields = ["x", "y", "z", "nx", "ny", "nz"]
    columns = [mesh.vertices.astype(np.float64) / unit, mesh.normals]
    header = ["ply", "format binary_little_endian 1.0"]
    if mesh.uv is not None and mesh.texture is not None:
        Image.fromarray(mesh.texture).save(path.with_suffix(".png"), optimize=True)
        header.append(f"comment TextureFile {path.with_suffix('.png').name}")
        if (mesh.colors < 255).any():
            header.append(f"comment {MODULATED}")
        fields += ["texture_u", "texture_v"]
        columns.append(mesh.uv)
    vertex_type = [(n, "<f4") for n in fields] + [(n, "u1") for n in ("red", "green", "blue")]
    values = np.concatenate([*columns, mesh.colors], axis=1)
    table = np.zeros(len(values), dtype=vertex_type)
    for column, (name, _) in enumerate(vertex_type):
        table[name] = values[:, column]
    faces = np.zeros(len(mesh.faces), dtype=[("n", "u1"), ("v", "<i4", 3)])
    faces["n"], faces["v"] = 3, mesh.faces
    kinds = {"<f4": "float", "u1": "uchar"}
    header.append(f"element vertex {len(table)}")
    header += [f"property {kinds[kind]} {name}" for name, kind in vertex_type]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    text = ("\n".join(header) + "\n").encode("ascii")
    path.write_bytes(text + table.tobytes() + faces.tobytes())


def models_info_entry(
    mesh: Mesh, name: str, symmetries: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The object's entry in BOP's models_info.json, in millimetres; symmetries as given."""
    vertices = mesh.vertices.astype(np.float64) / MM
    low, size = vertices.min(axis=0), np.ptp(vertices, axis=0)
    entry: dict[str, Any] = {"name": name, "diameter": round(diameter(vertices), 6)}
    entry |= {f"min_{axis}": round(float(v), 6) for axis, v in zip("xyz", low, strict=True)}
    entry |= {f"size_{axis}": round(float(v), 6) for axis, v in zip("xyz", size, strict=True)}
    return entry | dict(symmetries or {})
