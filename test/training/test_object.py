"""``cope_object``: what it takes of a mesh, says and refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from cad_files import write_3mf
from PIL import Image

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.errors import CopeError
from cope_training import object
from cope_training.rendering.studio import load_objects

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def previews(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where previews would be written; they are drawn in ``test_preview.py``."""
    paths: list[Path] = []
    monkeypatch.setattr(object, "save_preview", lambda path, mesh, title: paths.append(path))
    return paths


def write_textured_box(
    path: Path, extents: tuple[float, float, float] = (0.09, 0.06, 0.12)
) -> Path:
    """A GLB in metres whose texture is red on its left and blue on its right half."""
    box = trimesh.creation.box(extents)
    box.apply_translation((0.01, 0.02, 0.03))
    uv = np.where(box.vertices[:, :2] > (0.01, 0.02), 0.9, 0.1)
    texture = Image.new("RGB", (64, 64), (200, 30, 30))
    texture.paste((30, 30, 200), (32, 0, 64, 64))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=texture)
    box.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    box.export(path)
    return path


def test_a_textured_mesh_becomes_an_object(tmp_path: Path) -> None:
    mesh = write_textured_box(tmp_path / "tea.glb")
    out = tmp_path / "mine"
    assert object.main([str(mesh), "--out", str(out), "--symmetry", "z:2"]) == 0
    objects = load_objects(out)
    item = objects.catalogue[0]
    assert item.class_id == "tea"
    assert item.box_size == pytest.approx([0.09, 0.06, 0.12], abs=1e-6)
    assert item.box_center == pytest.approx([0.01, 0.02, 0.03], abs=1e-6)
    assert item.diameter == pytest.approx(np.linalg.norm([0.09, 0.06, 0.12]))
    turned = item.symmetry.members[1] @ [0.01 + 0.045, 0.02, 0.0, 1.0]
    assert turned[:3] == pytest.approx([0.01 - 0.045, 0.02, 0.0])  # about the box's own axis
    assert objects.meshes[0].texture is not None  # what is rendered
    plain = trimesh.load(out / "meshes" / "obj_000001.ply", process=False)
    colors = plain.visual.vertex_colors[:, :3]
    right = plain.vertices[:, 0] > 10
    assert (colors[right] == [30, 30, 200]).all()
    assert (colors[~right] == [200, 30, 30]).all()


def test_objects_are_added_and_bodies_of_revolution_keep_their_axis(tmp_path: Path) -> None:
    can = trimesh.creation.cylinder(33.0, 100.0)
    can.apply_translation((5.0, 0, 0))
    can.export(tmp_path / "can.stl")
    out = tmp_path / "mine"
    box = write_textured_box(tmp_path / "tea.glb")
    assert len(object.add_object(out, box, "tea", "m", "none")) == 1
    assert len(object.add_object(out, tmp_path / "can.stl", "can", "mm", "z:any")) == 2
    catalogue = Catalogue.from_models_info(out / "models_info.json")
    assert catalogue.class_ids == ("tea", "can")
    symmetry = catalogue[1].symmetry
    assert symmetry.axis == pytest.approx([0, 0, 1])
    assert symmetry.offset[:2] == pytest.approx([5 * MM, 0], abs=1e-6)
    assert not catalogue[0].is_symmetric


def test_mistakes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    mesh, out = str(write_textured_box(tmp_path / "tea.glb")), str(tmp_path / "mine")
    assert object.main([mesh, "--out", out, "--unit", "mm"]) == 1
    assert "m across in mm (--unit stands above the file's m: glTF" in capsys.readouterr().err
    assert not Path(out).exists()
    assert object.main([mesh, "--out", out]) == 0
    assert object.main([mesh, "--out", out]) == 1
    assert "'tea' already" in capsys.readouterr().err
    assert object.main([mesh, "--out", out, "--name", "other", "--symmetry", "z:any"]) == 1
    assert "mm off itself; the mesh shows" in capsys.readouterr().err
    assert len(Catalogue.from_models_info(Path(out) / "models_info.json")) == 1


def test_what_the_mesh_shows_is_said_and_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    trimesh.creation.cylinder(33.0, 100.0, sections=96).export(tmp_path / "can.stl")
    arguments = [str(tmp_path / "can.stl"), "--unit", "mm", "--out", str(tmp_path / "mine")]
    assert object.main([*arguments, "--name", "one"]) == 0
    said = capsys.readouterr().out
    assert "symmetries taken: none" in said
    assert "the mesh shows z:any (within 0.0" in said
    assert object.main([*arguments, "--name", "two", "--symmetry", "auto"]) == 0
    assert "the mesh shows" not in capsys.readouterr().out
    one, two = Catalogue.from_models_info(tmp_path / "mine" / "models_info.json")
    assert not one.is_symmetric
    assert two.symmetry.continuous
    assert len(two.symmetry.members) == 2


def box_file(path: Path, size: float = 0.1) -> str:
    trimesh.creation.box((size, 0.6 * size, 0.8 * size)).export(path)
    return str(path)


def test_a_preview_is_written_and_what_cannot_be_drawn_is_said(
    tmp_path: Path, previews: list[Path], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    arguments = [box_file(tmp_path / "box.ply"), "--out", str(tmp_path / "mine")]
    assert object.main([*arguments, "--no-preview"]) == 0
    assert object.main([*arguments, "--name", "two"]) == 0
    assert previews == [tmp_path / "mine" / "previews" / "obj_000002.png"]
    assert "look at" in capsys.readouterr().out

    def refuse(*arguments: Any) -> None:
        raise CopeError("rendering needs EGL")

    monkeypatch.setattr(object, "save_preview", refuse)
    assert object.main([*arguments, "--name", "three"]) == 0
    assert "no preview: rendering needs EGL" in capsys.readouterr().out


def test_what_fails_leaves_no_trace(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    flat = trimesh.Trimesh([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]], [[0, 1, 2]])
    flat.export(tmp_path / "plane.ply")
    out = str(tmp_path / "mine")
    assert object.main([str(tmp_path / "plane.ply"), "--out", out]) == 1
    assert "sizes must be positive" in capsys.readouterr().err
    assert not Path(out).exists()
    assert object.main([box_file(tmp_path / "box.ply"), "--out", out]) == 0
    before = sorted(p.read_bytes() for p in Path(out).rglob("*") if p.is_file())
    assert object.main([str(tmp_path / "plane.ply"), "--out", out]) == 1
    assert sorted(p.read_bytes() for p in Path(out).rglob("*") if p.is_file()) == before


def test_a_bop_folder_keeps_its_layout_and_what_is_not_ours(tmp_path: Path) -> None:
    out = tmp_path / "models"
    out.mkdir()
    entry = {"diameter": 120.0, **{f"min_{a}": -40.0 for a in "xyz"}, "supplier": {"name": "x"}}
    entry |= {f"size_{a}": 80.0 for a in "xyz"}
    (out / "models_info.json").write_text(json.dumps({"4": entry}))
    (out / "obj_000004.ply").write_bytes(b"theirs")
    assert object.main([box_file(tmp_path / "box.ply"), "--out", str(out)]) == 0
    info = json.loads((out / "models_info.json").read_text())
    assert info["4"] == entry
    assert info["5"]["name"] == "box"
    assert (out / "obj_000005.ply").is_file()
    assert not (out / "meshes").exists()
    assert (out / "obj_000004.ply").read_bytes() == b"theirs"


def test_a_mesh_that_is_there_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "mine"
    (out / "meshes").mkdir(parents=True)
    (out / "meshes" / "obj_000001.ply").write_bytes(b"theirs")
    assert object.main([box_file(tmp_path / "box.ply"), "--out", str(out)]) == 1
    assert "obj_000001.ply: is there already" in capsys.readouterr().err
    assert (out / "meshes" / "obj_000001.ply").read_bytes() == b"theirs"
    assert not (out / "models_info.json").exists()


@pytest.mark.parametrize("name", ["", "  ", "a/b", "..", "a\nb", "a\\b", "\x00"])
def test_names_that_tf_cannot_have_are_refused(tmp_path: Path, name: str) -> None:
    arguments = [box_file(tmp_path / "box.ply"), "--out", str(tmp_path / "mine"), "--name", name]
    assert object.main(arguments) == 1
    assert not (tmp_path / "mine").exists()


def test_names_are_cleaned_said_and_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = [box_file(tmp_path / "box.ply"), "--out", str(tmp_path / "mine")]
    assert object.main([*arguments, "--name", " Tea Box "]) == 0
    said = capsys.readouterr().out
    assert "is called 'Tea Box' in messages and Tea Box_0, Tea Box_1 ... in TF" in said
    assert "12 faces, closed, vertex colours, 100.0 x 60.0 x 80.0 mm" in said
    assert object.main([*arguments, "--name", "tea box"]) == 1
    assert "an object is named 'Tea Box' already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "unit", "likely"),
    [(100.0, "m", "mm (0.141 m)"), (4.0, "m", "cm (0.0566 m) or inch (0.144 m)"),
     (0.1, "mm", "m (0.141 m)"), (1e5, "m", "no unit makes it usual")],
)  # fmt: skip
def test_sizes_that_look_like_another_unit_are_a_question(
    tmp_path: Path, capsys: pytest.CaptureFixture, size: float, unit: str, likely: str
) -> None:
    mesh, out = box_file(tmp_path / "box.ply", size), str(tmp_path / "mine")
    assert object.main([mesh, "--out", out, "--unit", unit]) == 1
    assert likely in capsys.readouterr().err
    assert object.main([mesh, "--out", out, "--unit", unit, "--force"]) == 0


@pytest.mark.parametrize(
    ("stated", "arguments", "size", "said"),
    [
        ("centimeter", [], 0.02, 'unit: cm (the file states unit="centimeter")'),
        ("centimeter", ["--unit", "cm"], 0.02, "unit: cm (--unit)"),
        ("centimeter", ["--unit", "inch"], 0.0508, "above the file's cm: the file states unit=\""),
    ],
)
def test_the_unit_that_a_file_states_is_taken_and_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    stated: str,
    arguments: list[str],
    size: float,
    said: str,
) -> None:
    write_3mf(tmp_path / "part.3mf", unit=stated)  # a pyramid of 2 x 2 x 2
    out = tmp_path / "mine"
    assert object.main([str(tmp_path / "part.3mf"), "--out", str(out), *arguments]) == 0
    assert said in capsys.readouterr().out
    item = Catalogue.from_models_info(out / "models_info.json")[0]
    assert item.box_size == pytest.approx([size] * 3)


def test_an_output_that_is_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "mine").write_text("")
    assert object.main([box_file(tmp_path / "box.ply"), "--out", str(tmp_path / "mine")]) == 1
    assert "expected a folder to write into, got a file" in capsys.readouterr().err
