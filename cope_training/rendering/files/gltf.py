"""glTF 2.0 files, GLB and JSON: nodes, triangles, colours, materials.

Colours of vertices and factors of materials are linear, textures sRGB (glTF 2.0, 3.9.2, 3.7.2.1).
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.accessors import Buffers
from cope_training.rendering.files.assets import Assets, decode_text
from cope_training.rendering.files.gltf_materials import Materials
from cope_training.rendering.files.parts import Part, Reading, check_indices, srgb_from_linear

Json = dict[str, Any]
TRIANGLES, STRIP, FAN = 4, 5, 6
# Extensions that change shape or colours and are not read, and what helps.
_COMPRESSED = {
    "KHR_draco_mesh_compression": "export without Draco compression",
    "EXT_meshopt_compression": "export without meshopt compression",
    "KHR_meshopt_compression": "export without meshopt compression",
    "KHR_texture_basisu": "export with PNG or JPEG textures",
    "EXT_mesh_gpu_instancing": "export with instances as nodes",
}
_HARMLESS = ("KHR_mesh_quantization", "KHR_texture_transform", "EXT_texture_webp")


def read_gltf(data: bytes, assets: Assets) -> Reading:
    """Reads a glTF file: all meshes of its scene, where their nodes place them.

    Raises:
        CopeError: it is broken, compressed in a way that is not read, or a texture is missing.
    """
    try:
        tree, chunk = _open(data)
        _check_extensions(tree, assets.source)
        buffers = Buffers(tree, chunk, assets)
        reading = Reading(assets, unit=1.0, unit_source="glTF files are in metres")
        materials = Materials(tree, buffers, assets)
        for mesh, T, weights in _placed_meshes(tree, assets.source):
            for number, primitive in enumerate(tree["meshes"][mesh].get("primitives", [])):
                part = _part(primitive, T, weights, buffers, materials, reading)
                if part is not None:
                    part.place = f"mesh {mesh}, primitive {number}"
                    reading.parts.append(part)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error) as error:
        if isinstance(error, CopeError):
            raise
        what = f"{type(error).__name__}: {error}"
        raise CopeError(f"{assets.source}: expected a glTF 2.0 mesh, got {what}") from error
    return reading


def _open(data: bytes) -> tuple[Json, bytes | None]:
    """The JSON tree, and the binary chunk of a GLB."""
    if data[:4] != b"glTF":
        return json.loads(decode_text(data)), None
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise ValueError(f"version {version}")
    if length > len(data):
        raise ValueError(f"a file that ends early ({len(data)} of {length} bytes)")
    tree: Json | None = None
    chunk = None
    at = 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<I4s", data, at)
        content = data[at + 8 : at + 8 + size]
        if kind == b"JSON" and tree is None:
            tree = json.loads(decode_text(content))
        elif kind == b"BIN\0" and chunk is None:
            chunk = content
        at += 8 + size
    if tree is None:
        raise ValueError("no JSON chunk")
    return tree, chunk


def _check_extensions(tree: Json, source: Path) -> None:
    version = str(tree.get("asset", {}).get("version", "2.0"))
    if not version.startswith("2"):
        raise CopeError(f"{source}: expected glTF 2.0, got version {version}")
    required = set(tree.get("extensionsRequired", []))
    for name in sorted(required | set(tree.get("extensionsUsed", []))):
        decides = name in required or name == "EXT_mesh_gpu_instancing"
        if name in _COMPRESSED and decides:
            raise CopeError(f"{source}: {name} is not read: {_COMPRESSED[name]}")
        known = name in _HARMLESS or name.startswith("KHR_materials_")
        if name in required and not known:
            raise CopeError(f"{source}: requires {name}, which is not read")


def _placed_meshes(tree: Json, source: Path) -> list[tuple[int, np.ndarray, list[float]]]:
    """Mesh index, (4, 4) placement and morph weights of every node of the scene with a mesh."""
    nodes = tree.get("nodes", [])
    if not nodes:  # nothing is placed: every mesh where it is
        meshes = enumerate(tree.get("meshes", []))
        return [(i, np.eye(4), mesh.get("weights", [])) for i, mesh in meshes]
    if tree.get("scenes"):
        roots = tree["scenes"][tree.get("scene", 0)].get("nodes", [])
    else:
        children = {c for node in nodes for c in node.get("children", [])}
        roots = [i for i in range(len(nodes)) if i not in children]
    placed, waiting, visits = [], [(root, np.eye(4)) for root in roots][::-1], 0
    while waiting:
        index, T_parent = waiting.pop()
        visits += 1
        if visits > len(nodes):
            raise ValueError("nodes that contain themselves")
        node = nodes[index]
        T = T_parent @ _node_transform(node)
        if "mesh" in node:
            if "skin" in node:  # joints, not nodes, say where its vertices are
                raise CopeError(
                    f"{source}: node {index} has a skin (armature): apply it, then export"
                )
            default = tree["meshes"][node["mesh"]].get("weights", [])
            placed.append((node["mesh"], T, node.get("weights", default)))
        waiting += [(child, T) for child in node.get("children", [])][::-1]
    return placed


def _node_transform(node: Json) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), dtype=np.float64)
    n = x * x + y * y + z * z + w * w
    s = 2.0 / n if n > 0 else 0.0
    R = np.eye(3) - s * np.array([
        [y * y + z * z, w * z - x * y, -x * z - w * y],
        [-x * y - w * z, x * x + z * z, w * x - y * z],
        [w * y - x * z, -y * z - w * x, x * x + y * y],
    ])  # fmt: skip
    T = np.eye(4)
    T[:3, :3] = R * np.array(node.get("scale", (1, 1, 1)), dtype=np.float64)
    T[:3, 3] = node.get("translation", (0, 0, 0))
    return T


def _part(
    primitive: Json, T: np.ndarray, weights: list[float], buffers: Buffers, materials: Materials,
    reading: Reading,
) -> Part | None:  # fmt: skip
    """One primitive as placed; None for points and lines."""
    for name in primitive.get("extensions", {}):
        if name in _COMPRESSED:
            raise CopeError(f"{reading.assets.source}: {name} is not read: {_COMPRESSED[name]}")
    mode = primitive.get("mode", TRIANGLES)
    if mode not in (TRIANGLES, STRIP, FAN):
        reading.notes.append("points and lines are left out")
        return None
    attributes = primitive["attributes"]
    vertices = buffers.read(attributes["POSITION"])
    for weight, target in zip(weights, primitive.get("targets", []), strict=False):
        if weight and "POSITION" in target:
            vertices = vertices + weight * buffers.read(target["POSITION"])
    vertices = vertices @ T[:3, :3].T + T[:3, 3]
    if "indices" in primitive:
        order = buffers.read(primitive["indices"], scale=False).reshape(-1).astype(np.int64)
    else:
        order = np.arange(len(vertices))
    faces = _triangles(order, mode)
    check_indices(faces, len(vertices), str(reading.assets.source))
    if np.linalg.det(T[:3, :3]) < 0:
        faces = faces[:, ::-1]
    material = materials.get(primitive.get("material"))
    if material.holes:
        reading.notes.append("what a texture leaves transparent is drawn closed")
    part = Part(vertices, faces)
    colors = None
    if "COLOR_0" in attributes:
        colors = buffers.read(attributes["COLOR_0"], colors=True)[:, :3]
    uv_name = f"TEXCOORD_{material.uv_set}"
    if material.texture is not None and uv_name in attributes:
        part.texture = material.texture
        part.uv = material.placed(buffers.read(attributes[uv_name]))
    elif material.factor is not None:  # with a texture, it has the factor already
        white = np.ones((len(vertices), 3)) if colors is None else colors
        colors = white * material.factor
    part.colors = None if colors is None else srgb_from_linear(colors)
    return part


def _triangles(order: np.ndarray, mode: int) -> np.ndarray:
    if mode == TRIANGLES:
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    if mode == FAN:
        first = np.full(max(len(order) - 2, 0), order[0])
        return np.stack([first, order[1:-1], order[2:]], axis=1)
    rows = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    rows[1::2] = rows[1::2][:, [1, 0, 2]]
    solid = (rows != np.roll(rows, 1, axis=1)).all(axis=1)
    return rows[solid]
