"""``cope_object``: adds an object to a models folder, from any mesh.

Writes ``models_info.json`` (BOP's, mm), ``meshes/obj_000001.ply`` with vertex colours and, where
the mesh has a texture, ``textured/obj_000001.ply`` with it. Called again with the same folder it
adds the next object. Then: ``cope_train --config config/training/object.yaml --meshes FOLDER``.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.errors import CopeError
from cope_training.rendering.meshes import Mesh, load_mesh, models_info_entry, save_ply
from cope_training.tasks.symmetries import MAX_HYPOTHESES, axis_rotation

UNITS = {"m": 1.0, "cm": 0.01, "mm": MM}
SIZES = (0.01, 2.0)  # m, diameters beyond which a unit was probably mistaken
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def symmetries(text: str, center: np.ndarray) -> dict[str, Any]:
    """BOP's symmetry entries, in mm.

    Args:
        text: ``none``, ``z:any`` for a body of revolution about the z axis, or ``z:4`` for one
            that looks the same after every quarter turn; x and y alike.
        center: (3,) mm, a point of the axis.

    Raises:
        CopeError: another text.
    """
    if text == "none":
        return {}
    axis, _, count = text.partition(":")
    valid = count == "any" or (count.isdigit() and 2 <= int(count) <= MAX_HYPOTHESES)
    if axis not in AXES or not valid:
        raise CopeError(
            f"symmetry: expected none, or an axis and any or 2 to {MAX_HYPOTHESES} as in z:any "
            f"or z:2, got {text!r}"
        )
    if count == "any":
        return {"symmetries_continuous": [{"axis": AXES[axis], "offset": center.tolist()}]}
    rows = []
    for turn in range(1, int(count)):
        T = np.eye(4)
        T[:3, :3] = axis_rotation(np.array(AXES[axis]), 2 * np.pi * turn / int(count))
        T[:3, 3] = center - T[:3, :3] @ center
        rows.append(np.round(T, 9).reshape(-1).tolist())
    return {"symmetries_discrete": rows}


def add_object(folder: Path, mesh_path: Path, name: str, unit: str, symmetry: str) -> int:
    """Adds a mesh to a models folder.

    Args:
        folder: made where missing.
        mesh_path: PLY, OBJ, GLB, STL: whatever trimesh reads.
        name: of the class in the messages.
        unit: of the mesh file, one of UNITS.
        symmetry: see ``symmetries``.

    Returns:
        The object's obj_id.

    Raises:
        CopeError: the mesh or the folder's ``models_info.json`` is broken, the name is taken,
            or the size makes no sense.
    """
    mesh = load_mesh(mesh_path, UNITS[unit])
    if not SIZES[0] <= mesh.diameter <= SIZES[1]:
        raise CopeError(
            f"{mesh_path}: expected a diameter of {SIZES[0]} to {SIZES[1]} m, got "
            f"{mesh.diameter:.4g} m; is the unit {unit}? (--unit)"
        )
    info_path = folder / "models_info.json"
    info = Catalogue.from_models_info(info_path).to_dict() if info_path.exists() else {}
    if name in {entry["name"] for entry in info.values()}:
        raise CopeError(f"{info_path}: an object is named {name!r} already")
    obj_id = max((int(key) for key in info), default=0) + 1
    center = 0.5 * (mesh.vertices.min(0) + mesh.vertices.max(0)).astype(float) / MM
    info[str(obj_id)] = models_info_entry(mesh, name, symmetries(symmetry, np.round(center, 6)))
    _write_meshes(folder, obj_id, mesh)
    info_path.write_text(json.dumps(info, indent=2) + "\n")
    return obj_id


def _write_meshes(folder: Path, obj_id: int, mesh: Mesh) -> None:
    (folder / "meshes").mkdir(parents=True, exist_ok=True)
    if mesh.texture is not None and mesh.uv is not None:
        (folder / "textured").mkdir(exist_ok=True)
        save_ply(folder / "textured" / f"obj_{obj_id:06d}.ply", mesh)
        colors = texture_colors(mesh.texture, mesh.uv)
        mesh = replace(mesh, colors=colors, uv=None, texture=None)
    save_ply(folder / "meshes" / f"obj_{obj_id:06d}.ply", mesh)


def texture_colors(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(V, 3) uint8: the (H, W, 3) texture at each vertex, (0, 0) at its bottom left."""
    height, width = texture.shape[:2]
    column = np.floor((uv[:, 0] % 1.0) * width).astype(int).clip(0, width - 1)
    row = np.floor((1.0 - uv[:, 1] % 1.0) * height).astype(int).clip(0, height - 1)
    return texture[row, column]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="cope_object", description=__doc__)
    parser.add_argument("mesh", type=Path, help="PLY, OBJ, GLB or STL")
    parser.add_argument(
        "--out", type=Path, required=True, help="models folder, such as models/mine"
    )
    parser.add_argument("--name", help="of the class in the messages (the file's)")
    parser.add_argument("--unit", choices=list(UNITS), default="m", help="of the mesh file (m)")
    parser.add_argument(
        "--symmetry", default="none", help="none, z:any (revolution), z:2 (half turn), x:4 ..."
    )
    options = parser.parse_args(arguments)
    name = options.name or options.mesh.stem
    try:
        obj_id = add_object(options.out, options.mesh, name, options.unit, options.symmetry)
        added = Catalogue.from_models_info(options.out / "models_info.json")
    except CopeError as error:
        print(f"cope_object: {error}", file=sys.stderr)
        return 1
    item = added[added.index_of(obj_id)]
    size = " x ".join(f"{1e3 * s:.0f}" for s in item.box_size)
    print(f"{options.out}: object {obj_id} is {name}, {size} mm, diameter {item.diameter:.3f} m")
    return 0


if __name__ == "__main__":
    sys.exit(main())
