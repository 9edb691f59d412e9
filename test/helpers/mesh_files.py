"""Writers of small mesh files, as other programs write them: GLB by hand, OBJ, PLY."""

import io
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cope_training.rendering.files.reader import read_mesh
from cope_training.rendering.meshes import Mesh, load_mesh

Rgb = Sequence[float]
# A unit square in two triangles in the plane z = 0, closed by a point above it: a pyramid.
POINTS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]], dtype=float)
FACES = np.array([[0, 2, 1], [0, 3, 2], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
UV = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75], [0.5, 0.5]])
_COMPONENTS = {"u1": 5121, "i1": 5120, "u2": 5123, "i2": 5122, "u4": 5125, "f4": 5126}


def png(color: Rgb, size: tuple[int, int] = (4, 4)) -> bytes:
    """A PNG of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, tuple(int(c) for c in color)).save(out, "png")
    return out.getvalue()


class Glb:
    """Collects meshes and materials and writes a GLB."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {
            "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}], "nodes": [],
            "meshes": [], "materials": [], "accessors": [], "bufferViews": [], "images": [],
            "textures": [], "samplers": [],
        }  # fmt: skip
        self.chunk = b""

    def view(self, data: bytes) -> int:
        """A buffer view of bytes."""
        self.chunk += b"\0" * (-len(self.chunk) % 4)
        entry = {"buffer": 0, "byteOffset": len(self.chunk), "byteLength": len(data)}
        self.tree["bufferViews"].append(entry)
        self.chunk += data
        return len(self.tree["bufferViews"]) - 1

    def accessor(self, values: np.ndarray, kind: str, normalized: bool = False) -> int:
        """An accessor of rows."""
        values = np.asarray(values).astype("<" + kind)
        width = 1 if values.ndim == 1 else values.shape[1]
        entry = {
            "bufferView": self.view(values.tobytes()), "count": len(values),
            "componentType": _COMPONENTS[kind],
            "type": {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[width],
        }  # fmt: skip
        if normalized:
            entry["normalized"] = True
        self.tree["accessors"].append(entry)
        return len(self.tree["accessors"]) - 1

    def material(
        self, factor: Rgb | None = None, image: bytes | None = None, **sampler: int
    ) -> int:
        """A material of a linear factor and a texture."""
        pbr: dict[str, Any] = {}
        if factor is not None:
            pbr["baseColorFactor"] = [*factor, 1.0]
        if image is not None:
            self.tree["images"].append({"bufferView": self.view(image), "mimeType": "image/png"})
            self.tree["samplers"].append(sampler)
            source = {"source": len(self.tree["images"]) - 1}
            self.tree["textures"].append(source | {"sampler": len(self.tree["samplers"]) - 1})
            pbr["baseColorTexture"] = {"index": len(self.tree["textures"]) - 1}
        self.tree["materials"].append({"pbrMetallicRoughness": pbr})
        return len(self.tree["materials"]) - 1

    def mesh(
        self,
        points: np.ndarray = POINTS,
        faces: np.ndarray = FACES,
        material: int | None = None,
        colors: int | None = None,
        uv: np.ndarray | None = None,
        **node: Any,
    ) -> dict[str, Any]:
        """A node with a mesh of one primitive, which is given back."""
        attributes = {"POSITION": self.accessor(points, "f4")}
        if colors is not None:
            attributes["COLOR_0"] = colors
        if uv is not None:
            attributes["TEXCOORD_0"] = self.accessor(uv, "f4")
        indices = self.accessor(np.asarray(faces).reshape(-1), "u4")
        primitive: dict[str, Any] = {"attributes": attributes, "indices": indices}
        if material is not None:
            primitive["material"] = material
        self.tree["meshes"].append({"primitives": [primitive]})
        self.tree["nodes"].append({"mesh": len(self.tree["meshes"]) - 1, **node})
        self.tree["scenes"][0]["nodes"].append(len(self.tree["nodes"]) - 1)
        return primitive

    def save(self, path: Path) -> Path:
        """Writes the file."""
        tree = {key: value for key, value in self.tree.items() if value != []}
        tree["buffers"] = [{"byteLength": len(self.chunk)}]
        text = json.dumps(tree).encode()
        text += b" " * (-len(text) % 4)
        chunk = self.chunk + b"\0" * (-len(self.chunk) % 4)
        body = struct.pack("<I4s", len(text), b"JSON") + text
        body += struct.pack("<I4s", len(chunk), b"BIN\0") + chunk
        path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)
        return path


def obj_text(
    material: str = "", uv: bool = True, colors: np.ndarray | None = None, library: str = "a.mtl"
) -> str:
    """The pyramid as OBJ text."""
    lines = [f"mtllib {library}"] if material else []
    for i, point in enumerate(POINTS):
        extra = "" if colors is None else " " + " ".join(str(c) for c in colors[i])
        lines.append("v " + " ".join(str(c) for c in point) + extra)
    lines += [f"vt {u} {v}" for u, v in UV] if uv else []
    lines += [f"usemtl {material}"] if material else []
    for face in FACES + 1:
        lines.append("f " + " ".join(f"{i}/{i}" if uv else str(i) for i in face))
    return "\n".join(lines) + "\n"


def ply_bytes(
    columns: dict[str, tuple[str, np.ndarray]],
    comments: Sequence[str] = (),
    faces: Sequence[Sequence[int]] = tuple(map(tuple, FACES)),
    points: np.ndarray = POINTS,
    order: str = "<",
) -> bytes:
    """The pyramid as binary PLY with more vertex columns: name -> (type in PLY, values)."""
    kinds = {"float": "f4", "double": "f8", "uchar": "u1", "ushort": "u2", "int": "i4"}
    all_columns = {a: ("double", points[:, i]) for i, a in enumerate("xyz")} | columns
    name = "little" if order == "<" else "big"
    head = ["ply", f"format binary_{name}_endian 1.0", *(f"comment {c}" for c in comments)]
    head.append(f"element vertex {len(points)}")
    head += [f"property {kind} {name}" for name, (kind, _) in all_columns.items()]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    table = np.zeros(len(points), [(n, order + kinds[k]) for n, (k, _) in all_columns.items()])
    for name, (_, values) in all_columns.items():
        table[name] = values
    rows = b"".join(struct.pack("B", len(f)) + np.array(f, order + "i4").tobytes() for f in faces)
    return ("\n".join(head) + "\n").encode() + table.tobytes() + rows


def shades(mesh: Mesh) -> np.ndarray:
    """(F, 3) what each face looks like in the middle: colours times texture, sRGB to 255."""
    colors = mesh.colors[mesh.faces].astype(float).mean(axis=1)
    if mesh.uv is None or mesh.texture is None:
        return colors
    height, width = mesh.texture.shape[:2]
    uv = mesh.uv[mesh.faces].mean(axis=1) % 1.0
    column = np.floor(uv[:, 0] * width).astype(int).clip(0, width - 1)
    row = np.floor((1.0 - uv[:, 1]) * height).astype(int).clip(0, height - 1)
    return colors * mesh.texture[row, column] / 255.0


def looks(path: Path, **options: bool) -> np.ndarray:
    """(F, 3) shades of a file's faces."""
    return shades(load_mesh(path, 1.0, **options))


def all_near(found: np.ndarray, wanted: list[int], within: float = 1.0) -> bool:
    """Whether all shades are the wanted one, up to rounding."""
    return bool(np.abs(found - np.array(wanted)).max() <= within)


def corners(path: Path) -> np.ndarray:
    """(F, 3, 3) of the triangles, sorted."""
    content = read_mesh(path)
    found = np.round(content.vertices[content.faces].reshape(-1, 9), 6)
    first = found[np.lexsort(found.T)]
    return first.reshape(-1, 3, 3)


def same_shape(path: Path, points: np.ndarray = POINTS, faces: np.ndarray = FACES) -> bool:
    """Whether the file holds these triangles, their corners in any order."""
    wanted = np.sort(np.round(points[faces], 6).view().reshape(len(faces), 3, 3), axis=1)
    found = np.sort(corners(path), axis=1)
    return bool(
        len(found) == len(wanted)
        and np.allclose(found[np.lexsort(found.reshape(-1, 9).T)],
                        wanted[np.lexsort(wanted.reshape(-1, 9).T)], atol=1e-5)
    )  # fmt: skip
