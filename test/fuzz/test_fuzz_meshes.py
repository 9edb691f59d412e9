"""Random meshes with one random defect each: the right size and colour, or one line."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import trimesh
from defects import FUZZ, damage, outcome
from hypothesis import given
from hypothesis import strategies as st

from cope_training.object import main as add_object
from cope_training.rendering.files.reader import MeshFile, read_mesh

BINARY = ("glb", "stl")
FORMATS = ("ply", "ply_ascii", "obj", "off", *BINARY)
COLORED = ("ply", "ply_ascii", "glb")
SIZES = st.floats(15.0, 400.0)
SIDES = st.tuples(SIZES, SIZES, SIZES)
COLORS = st.tuples(*[st.integers(0, 255)] * 3)
# Changes after which a file still says the same.
HARMLESS = ("nothing", "unused vertex", "crlf", "comment", "trailing line", "upper-case suffix")
# Changes that a file with such a content cannot mean.
HARMFUL = ("nan", "index", "empty", "header alone")


def box(sides: tuple[float, float, float], color: tuple[int, int, int]) -> trimesh.Trimesh:
    mesh = trimesh.creation.box(sides)
    mesh.visual.vertex_colors = np.tile([*color, 255], (len(mesh.vertices), 1))
    return mesh


def exported(mesh: trimesh.Trimesh, kind: str) -> bytes:
    if kind.startswith("ply"):
        encoding = "ascii" if kind == "ply_ascii" else "binary_little_endian"
        content = mesh.export(file_type="ply", encoding=encoding)
    else:
        content = mesh.export(file_type=kind)
    return content.encode() if isinstance(content, str) else content


def write(folder: Path, mesh: trimesh.Trimesh, kind: str, suffix: str | None = None) -> Path:
    path = folder / f"part.{suffix or kind.partition('_')[0]}"
    path.write_bytes(exported(mesh, kind))
    return path


def srgb(color: tuple[int, int, int]) -> np.ndarray:
    """Linear colours as bytes to sRGB ones (IEC 61966-2-1)."""
    c = np.array(color) / 255
    return 255 * np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)


def check(found: MeshFile, sides: tuple[float, float, float], unit: float = 1.0) -> None:
    used = found.vertices[np.unique(found.faces)]
    assert np.allclose(np.ptp(used, axis=0) * unit, sides, rtol=1e-4, atol=1e-3)


@FUZZ
@given(SIDES, COLORS, st.sampled_from(FORMATS), st.sampled_from(HARMLESS))
def test_what_changes_nothing_is_read_right(sides, color, kind, change) -> None:
    mesh = box(sides, color)
    if change == "unused vertex" and kind != "stl":
        far = np.vstack([mesh.vertices, [[1e6, -1e6, 1e6]]])
        colors = np.vstack([mesh.visual.vertex_colors, [[1, 2, 3, 255]]])
        mesh = trimesh.Trimesh(far, mesh.faces, vertex_colors=colors, process=False)
    with TemporaryDirectory() as folder:
        suffix = kind.partition("_")[0].upper() if change == "upper-case suffix" else None
        path = write(Path(folder), mesh, kind, suffix)
        content = path.read_bytes()
        if kind in ("ply_ascii", "obj", "off"):
            if change == "crlf":
                content = content.replace(b"\n", b"\r\n")
            elif change == "trailing line":
                content += b"\n"
            elif change == "comment" and kind == "obj":
                content = "# Größe: 3 Stück\n".encode("latin-1") + content
            elif change == "comment" and kind == "ply_ascii":
                comment = "comment Größe: 3 Stück\nelement".encode("latin-1")
                content = content.replace(b"element", comment, 1)
        path.write_bytes(content)
        found = read_mesh(path)
    check(found, sides)
    if kind in COLORED:
        expected = srgb(color) if kind == "glb" else np.array(color)  # glTF's are linear
        assert np.abs(found.colors.astype(int) - expected).max() <= 1


@FUZZ
@given(SIDES, COLORS, st.sampled_from(("ply_ascii", "obj", "off")), st.sampled_from(HARMFUL),
       st.data())  # fmt: skip
def test_what_no_mesh_can_be_is_refused(sides, color, kind, change, data) -> None:
    mesh = box(sides, color)
    if change == "nan":
        mesh.vertices[data.draw(st.integers(0, 7)), data.draw(st.integers(0, 2))] = np.nan
    with TemporaryDirectory() as folder:
        path = write(Path(folder), mesh, kind)
        lines = path.read_text().splitlines()
        if change == "empty":
            lines = []
        elif change == "header alone":
            lines = lines[: 1 + data.draw(st.integers(0, 1))]
        elif change == "index":
            wrong = data.draw(st.sampled_from(["8", "99", "-9", "4294967296"]))
            last = next(i for i in reversed(range(len(lines))) if lines[i].strip())
            words = lines[last].split()
            place = 1 if kind == "obj" else data.draw(st.integers(1, 3))
            words[place] = (
                wrong if kind != "obj" else wrong.replace("8", "9") if wrong == "8" else wrong
            )
            lines[last] = " ".join(words)
        path.write_text("\n".join(lines))
        assert outcome(lambda: read_mesh(path), (path.name,)) is None


@FUZZ
@given(SIDES, COLORS, st.sampled_from(FORMATS), st.data())
def test_damaged_bytes_are_refused_or_give_a_finite_mesh(sides, color, kind, data) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder), box(sides, color), kind)
        path.write_bytes(damage(path.read_bytes(), data))
        found = outcome(lambda: read_mesh(path), (path.name,))
    if found is not None:
        assert len(found.faces)
        assert found.faces.min() >= 0
        assert found.faces.max() < len(found.vertices)
        assert np.isfinite(found.vertices[np.unique(found.faces)]).all()


@FUZZ
@given(SIDES, st.sampled_from(FORMATS), st.data())
def test_an_object_is_added_whole_or_not_at_all(sides, kind, data) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = write(folder, box(sides, (200, 100, 0)), kind)
        if data.draw(st.booleans()):
            path.write_bytes(damage(path.read_bytes(), data))
        out = folder / "models"
        code = add_object([str(path), "--out", str(out), "--name", "part", "--no-preview"])
        assert code in (0, 1)
        left = sorted(p.name for p in out.rglob("*") if p.is_file())
        if code == 0:
            assert left == ["models_info.json", "obj_000001.ply"]
        else:
            assert left == []
