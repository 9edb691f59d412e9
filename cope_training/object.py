"""``cope_object``: adds an object to a models folder, from any mesh.

Writes ``models_info.json`` (BOP's, mm), ``meshes/obj_000001.ply`` with vertex colours and, where
the mesh has a texture, ``textured/obj_000001.ply`` with it. Called again with the same folder it
adds the next object. Then: ``cope_train --config config/training/object.yaml --meshes FOLDER``.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.symmetry import MAX_TURNS
from cope_training.rendering.meshes import Mesh, load_mesh, models_info_entry, save_ply
from cope_training.rendering.symmetry_search import Found, SymmetrySearch, texture_colors

UNITS = {"m": 1.0, "cm": 0.01, "mm": MM}
SIZES = (0.01, 2.0)  # m, diameters beyond which a unit was probably mistaken
WRONG = 0.05  # of the diameter: what a claimed symmetry may leave between surface and itself
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def claimed(text: str, search: SymmetrySearch) -> list[Found]:
    """The turns that a user claims, each measured on the mesh.

    Args:
        text: ``none``; ``auto`` for what the mesh shows; ``box`` for half turns about x, y and z;
            or a list such as ``z:any,x:2``: a body of revolution about z that may also stand on its
            head. Axes pass through the centroid of the surface.

    Raises:
        CopeError: another text, or a turn that leaves the surface far from itself.
    """
    if text.strip().lower() == "auto":
        return search.propose()
    words = {"none": "", "box": "x:2,y:2,z:2"}.get(text.strip().lower(), text)
    found = []
    for word in filter(None, (part.strip().lower() for part in words.split(","))):
        name, _, count = word.partition(":")
        valid = count == "any" or (count.isdecimal() and 2 <= int(count) <= MAX_TURNS)
        if name not in AXES or not valid:
            raise CopeError(
                f"symmetry: expected none, auto, box, or axes with any or 2 to {MAX_TURNS} as in "
                f"z:any or x:2,z:4, got {text!r}"
            )
        order = 0 if count == "any" else int(count)
        deviation = search.turn(np.array(AXES[name]), order)
        if deviation.surface > WRONG * search.diameter:
            raise CopeError(
                f"symmetry: {word} leaves the surface {1000 * deviation.surface:.1f} mm off "
                f"itself; the mesh shows {spelled(search.propose())}"
            )
        found.append(Found(np.array(AXES[name]), order, deviation))
    return found


def spelled(found: Sequence[Found]) -> str:
    """Turns and how exact they are, for people."""
    rows = []
    for turn in found:
        names = [name for name, axis in AXES.items() if np.allclose(np.abs(turn.axis), axis)]
        axis = names[0] if names else "({:.3f} {:.3f} {:.3f})".format(*turn.axis)
        rows.append(f"{axis}:{turn.order or 'any'} (within {turn.deviation})")
    return ", ".join(rows) or "none"


def add_object(
    folder: Path,
    mesh_path: Path,
    name: str,
    unit: str,
    symmetry: str,
    tell: Callable[[str], object] = lambda text: None,
) -> int:
    """Adds a mesh to a models folder.

    Args:
        folder: made where missing.
        mesh_path: PLY, OBJ, GLB, STL: whatever trimesh reads.
        name: of the class in the messages.
        unit: of the mesh file, one of UNITS.
        symmetry: see ``claimed``.
        tell: is told what symmetries are taken, and which the mesh shows.

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
    search = SymmetrySearch(mesh)
    turns = claimed(symmetry, search)
    group = search.group(turns)
    info[str(obj_id)] = models_info_entry(mesh, name, group.to_dict())
    _write_meshes(folder, obj_id, mesh)
    info_path.write_text(json.dumps(info, indent=2) + "\n")
    tell(f"symmetries taken: {spelled(turns)}")
    shown = search.propose()
    if not search.group(shown).within(group):
        tell(f"the mesh shows {spelled(shown)}; --symmetry auto takes that")
    return obj_id


def _write_meshes(folder: Path, obj_id: int, mesh: Mesh) -> None:
    (folder / "meshes").mkdir(parents=True, exist_ok=True)
    if mesh.texture is not None and mesh.uv is not None:
        (folder / "textured").mkdir(exist_ok=True)
        save_ply(folder / "textured" / f"obj_{obj_id:06d}.ply", mesh)
        colors = texture_colors(mesh.texture, mesh.uv)
        mesh = replace(mesh, colors=colors, uv=None, texture=None)
    save_ply(folder / "meshes" / f"obj_{obj_id:06d}.ply", mesh)


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
        "--symmetry",
        default="none",
        help="none, auto (what the mesh shows), box, or a list: z:any (revolution), z:any,x:2",
    )
    options = parser.parse_args(arguments)
    name = options.name or options.mesh.stem
    try:
        obj_id = add_object(options.out, options.mesh, name, options.unit, options.symmetry, print)
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
