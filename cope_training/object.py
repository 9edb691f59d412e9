"""``cope_object``: adds an object to a models folder, from any mesh.

Writes ``models_info.json`` (BOP's, mm), ``meshes/obj_000001.ply`` with vertex colours and, where
the mesh has a texture, ``textured/obj_000001.ply`` with it; ``previews/obj_000001.png`` shows what
was taken from six sides. Called again with the same folder it adds the next object; a BOP folder
with meshes beside its models_info.json keeps that layout.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cope_ros.core.catalogue import Catalogue, ObjectModel
from cope_ros.core.errors import CopeError
from cope_training.command import command_parser, run_command
from cope_training.data.models_folder import ModelsFolder, cleaned_name
from cope_training.progress import EVERY, ProgressBar
from cope_training.rendering.files.reader import MeshFile, read_mesh
from cope_training.rendering.files.units import UNITS, Unit, chosen_unit
from cope_training.rendering.meshes import Mesh, load_mesh, mesh_of, models_info_entry, save_ply
from cope_training.rendering.preview import save_preview
from cope_training.rendering.studio import find_mesh
from cope_training.rendering.surface_samples import texture_colors
from cope_training.rendering.symmetry_claims import claimed, spelled
from cope_training.rendering.symmetry_search import SymmetrySearch

PREVIEWS = "previews"  # sub-folder of pictures, for people
SIZES = (0.01, 2.0)  # m, diameters beyond which a unit was probably mistaken


def add_object(
    folder: Path,
    mesh_path: Path,
    name: str,
    unit: str | None = None,
    symmetry: str = "none",
    tell: Callable[[str], object] = lambda text: None,
    *,
    force: bool = False,
    allow_missing_texture: bool = False,
    progress: Callable[[str, float], object] = lambda stage, share: None,
) -> Catalogue:
    """Adds a mesh to a models folder, whole or not at all.

    Args:
        folder: made where missing.
        mesh_path: of any format that ``files.reader`` knows.
        name: of the class in the messages.
        unit: of the mesh file, one of UNITS; None: as the file states, else metres.
        symmetry: see ``claimed``.
        tell: is told what was taken of the mesh, its size and its symmetries.
        force: take sizes that look like a mistaken unit.
        progress: told which share of the work is done.

    Returns:
        The folder's catalogue; the object is its last.

    Raises:
        CopeError: the mesh or the folder's ``models_info.json`` is broken, the name is taken,
            or the size makes no sense.
    """
    models, name = ModelsFolder(folder), cleaned_name(name)
    content = read_mesh(mesh_path, allow_missing_texture)
    taken = chosen_unit(unit, content.unit, content.unit_source)
    mesh = mesh_of(content, taken.metres)
    if not force:
        check_size(mesh.diameter, taken, mesh_path)
    progress("adding", 0.3)
    search = SymmetrySearch(mesh)
    turns = claimed(symmetry, search)
    group = search.group(turns)
    entry = models_info_entry(mesh, name, group.to_dict())
    progress("adding", 0.6)
    catalogue = models.add(entry, _writers(mesh))
    tell(described(content, mesh))
    tell(str(taken))
    tell(f"symmetries taken: {spelled(turns)}")
    shown = search.propose()
    if not search.group(shown).within(group):
        tell(f"the mesh shows {spelled(shown)}; --symmetry auto takes that")
    broken = [turn for turn in search.broken_by_colors() if not search.group([turn]).within(group)]
    progress("adding", 1.0)
    if broken:
        tell(f"of the shape alone, colours tell them apart: {spelled(broken)}")
    return catalogue


def check_size(diameter: float, unit: Unit, path: Path) -> None:
    """Asks about a diameter (m) that nobody's object has.

    Raises:
        CopeError: names the units in which the size would be usual.
    """
    if SIZES[0] <= diameter <= SIZES[1]:
        return
    sizes = {name: diameter / unit.metres * scale for name, scale in UNITS.items()}
    usual = [name for name, size in sizes.items() if SIZES[0] <= size <= SIZES[1]]
    likely = " or ".join(f"{name} ({sizes[name]:.3g} m)" for name in usual)
    meant = f"did you mean {likely}? (--unit)" if usual else "no unit makes it usual"
    raise CopeError(
        f"{path}: {diameter:.4g} m across in {unit.name} ({unit.reason}); {meant}; --force takes "
        "it as it is"
    )


def described(content: MeshFile, mesh: Mesh) -> str:
    """What was taken of a mesh file."""
    colors = "texture of {}x{} px".format(*mesh.texture.shape[1::-1]) if (
        mesh.texture is not None
    ) else "vertex colours"  # fmt: skip
    shape = "closed" if mesh.is_closed else "open"
    size = " x ".join(f"{1000 * s:.1f}" for s in mesh.vertices.max(0) - mesh.vertices.min(0))
    parts = f"{content.parts} part{'s' if content.parts > 1 else ''}"
    notes = "".join(f"; {note}" for note in content.notes)
    return f"{parts}, {len(mesh.faces)} faces, {shape}, {colors}, {size} mm{notes}"


def _writers(mesh: Mesh) -> dict[str, Callable[[Path], None]]:
    """Writers of the object's files by sub-folder."""
    if mesh.texture is None or mesh.uv is None:
        return {"meshes": partial(save_ply, mesh=mesh)}
    colors = texture_colors(mesh.texture, mesh.uv)
    plain = replace(mesh, colors=colors, uv=None, texture=None)
    return {"meshes": partial(save_ply, mesh=plain), "textured": partial(save_ply, mesh=mesh)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = command_parser(
        "cope_object", __doc__ or "", "cope_object tea.glb --out models/mine --symmetry auto"
    )
    parser.add_argument("mesh", type=Path, help="PLY, OBJ, GLB, STL, 3MF, DAE, STEP ...")
    parser.add_argument(
        "--out", type=Path, required=True, help="models folder, such as models/mine"
    )
    parser.add_argument("--name", help="of the class in the messages (the file's)")
    parser.add_argument(
        "--unit", choices=list(UNITS), help="of the mesh file (as the file states; else m)"
    )
    parser.add_argument(
        "--symmetry",
        default="none",
        help="none, auto (what the mesh shows), box, or a list: z:any (revolution), z:any,x:2",
    )
    parser.add_argument("--force", action="store_true", help="take an unusual size as it is")
    parser.add_argument(
        "--allow-missing-texture", action="store_true", help="go on without a missing texture"
    )
    parser.add_argument("--no-preview", action="store_true", help="write no picture of six views")
    return run_command(parser, _add, arguments)


def _add(options: argparse.Namespace) -> None:
    name = options.name if options.name is not None else options.mesh.stem
    *_, item = add_object(
        options.out,
        options.mesh,
        name,
        options.unit,
        options.symmetry,
        print,
        force=options.force,
        allow_missing_texture=options.allow_missing_texture,
        progress=ProgressBar(least=EVERY),
    )
    print(
        f"{options.out}: object {item.obj_id} is called {item.class_id!r} in messages and "
        f"{item.class_id}_0, {item.class_id}_1 ... in TF; diameter {item.diameter:.3f} m"
    )
    if not options.no_preview:
        _show(options.out, item)


def _show(folder: Path, item: ObjectModel) -> None:
    """Writes the preview of what later commands will read; says so where nothing can be drawn."""
    path = folder / PREVIEWS / f"obj_{item.obj_id:06d}.png"
    mesh = load_mesh(find_mesh(folder, item.obj_id))
    try:
        save_preview(path, mesh, f"object {item.obj_id}: {item.class_id}")
    except CopeError as error:
        print(f"no preview: {error}")
        return
    print(f"look at {path}: shape, colours, size, axes and origin as they were taken")


if __name__ == "__main__":
    sys.exit(main())
