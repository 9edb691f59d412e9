"""Numbers that no mesh has: named by file and element, and never a warning of numpy."""

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cad_files import write_3mf, write_dae
from mesh_files import POINTS, UV, Glb, png

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.parts import unit_colors
from cope_training.rendering.files.reader import read_mesh

HEAD = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\n"
HEAD += "property float z\n{more}element face {faces}\nproperty list {length} {index} "
HEAD += "vertex_indices\nend_header\n"
ROWS = ["0 0 0", "1 0 0", "0 1 0", "0 0 1"]
SIDES = ["3 0 2 1", "3 0 1 3", "3 1 2 3", "3 2 0 3"]
COLOR = "property float red\nproperty float green\nproperty float blue\n"


def write_ply(
    path: Path, rows=ROWS, faces=SIDES, more: str = "", length: str = "uchar", index: str = "int"
) -> None:
    head = HEAD.format(more=more, faces=len(faces), length=length, index=index)
    path.write_text(head + "\n".join([*rows, *faces]) + "\n")


def refused(path: Path) -> str:
    """The one line that refuses a mesh, warnings being errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(CopeError) as caught:
            read_mesh(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e300", "-3e12"])
def test_positions(tmp_path: Path, number: str) -> None:
    write_ply(tmp_path / "a.ply", [*ROWS[:2], f"0 {number} 0", ROWS[3]])
    assert "vertex 2: expected a position of finite numbers" in refused(tmp_path / "a.ply")
    lines = [f"v {row}" for row in ROWS] + ["v 0 0 " + number, "f 1 2 3", "f 1 2 5"]
    (tmp_path / "a.obj").write_text("\n".join(lines))
    assert "vertex 5: expected a position" in refused(tmp_path / "a.obj")
    lines = ["OFF", "4 2 0", *ROWS[:3], f"{number} 0 0", "3 0 1 2", "3 0 1 3"]
    (tmp_path / "a.off").write_text("\n".join(lines))
    assert "vertex 3: expected a position" in refused(tmp_path / "a.off")
    corners = "".join(f"vertex {row}\n" for row in (*ROWS[:2], f"0 {number} 0"))
    facet = "facet normal 0 0 1\nouter loop\n{}endloop\nendfacet\n"
    text = "solid\n" + facet.format("".join(f"vertex {row}\n" for row in ROWS[:3]))
    (tmp_path / "a.stl").write_text(text + facet.format(corners) + "endsolid\n")
    assert "facet 1: expected finite numbers" in refused(tmp_path / "a.stl")


def test_positions_of_containers(tmp_path: Path) -> None:
    points = POINTS.copy()
    points[4, 2] = np.nan
    glb = Glb()
    glb.mesh()
    glb.mesh(points)
    glb.save(tmp_path / "a.glb")
    assert "mesh 1, primitive 0: vertex 4: expected a pos" in refused(tmp_path / "a.glb")
    write_3mf(tmp_path / "a.3mf", unit='inch" odd="')
    with zipfile.ZipFile(tmp_path / "a.3mf") as archive:
        text = archive.read("3D/3dmodel.model").decode()
    with zipfile.ZipFile(tmp_path / "a.3mf", "w") as archive:
        archive.writestr("3D/3dmodel.model", text.replace('x="0.5"', 'x="nan"'))
    assert "object 1: vertex 4: expected a position" in refused(tmp_path / "a.3mf")
    with zipfile.ZipFile(tmp_path / "a.3mf", "w") as archive:
        archive.writestr("3D/3dmodel.model", text.replace('v1="0"', f'v1="{10**30}"', 1))
    refused(tmp_path / "a.3mf")
    pytest.importorskip("collada")
    write_dae(tmp_path / "a.dae")
    text = (tmp_path / "a.dae").read_text()
    (tmp_path / "a.dae").write_text(text.replace("0 0 0 1 0 0 0 1 0", "0 0 0 1 inf 0 0 1 0"))
    assert "vertex 1: expected a position" in refused(tmp_path / "a.dae")
    (tmp_path / "a.dae").write_text(text.replace("<p>0 0 1 1 2 2</p>", "<p>0 0 9 1 2 2</p>"))
    refused(tmp_path / "a.dae")


def test_what_no_face_uses_may_be_anything(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", ["nan nan nan", *ROWS[1:]], ["3 1 2 3"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_mesh(tmp_path / "a.ply").vertices) == 3


@pytest.mark.parametrize("color", ["nan 0 0", "0 inf 0"])
def test_colors(tmp_path: Path, color: str) -> None:
    rows = [f"{row} {color if i == 3 else '1 1 1'}" for i, row in enumerate(ROWS)]
    write_ply(tmp_path / "a.ply", rows, more=COLOR)
    assert "vertex 3: expected a colour of finite numbers" in refused(tmp_path / "a.ply")
    lines = [f"v {row}" for row in rows] + ["f 1 2 3", "f 1 2 4"]
    (tmp_path / "a.obj").write_text("\n".join(lines))
    assert "vertex 4: expected a colour" in refused(tmp_path / "a.obj")


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.2, 0.5, 0.0], [1.0, 0.5, 0.0]), ([2.0, 1.0, 0.0], [2 / 255, 1 / 255, 0.0]),
     ([127.5, 0.0, 255.0], [0.5, 0.0, 1.0]), ([65535.0, 0.0, 32767.5], [1.0, 0.0, 0.5]),
     ([-0.1, 0.0, 1.0], [0.0, 0.0, 1.0])],
)  # fmt: skip
def test_what_full_brightness_is(values: list[float], expected: list[float]) -> None:
    assert unit_colors(np.array([values]))[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("face", "kinds", "expected"),
    [("3 0 1 nan", {}, "face 3: vertex_indices: value 2 is nan"),
     ("3 0 1 1e30", {}, "face 3: vertex_indices: value 2 is 1e+30"),
     ("nan 0 1 2", {}, "face 3: a list of nan values"),
     ("-3 0 1 2", {}, "face 3: a list of -3 values"),
     ("1e300 0 1 2", {}, "face 3: a list of 1e+300 values"),
     ("3 0 1 nan", {"index": "float"}, "face 3: expected whole numbers"),
     ("3 0 1 0.5", {"index": "double"}, "face 3: expected whole numbers"),
     ("3 0 1 -1", {}, "face 3: expected vertices 0 to 3, got -1"),
     ("3 0 1 4", {"index": "double"}, "face 3: expected vertices 0 to 3, got 4")],
)  # fmt: skip
def test_indices(tmp_path: Path, face: str, kinds: dict[str, str], expected: str) -> None:
    write_ply(tmp_path / "a.ply", faces=[*SIDES[:3], face], **kinds)
    assert expected in refused(tmp_path / "a.ply")


def test_indices_that_no_integer_holds(tmp_path: Path) -> None:
    (tmp_path / "a.off").write_text("OFF\n3 1 0\n" + "\n".join(ROWS[:3]) + f"\n3 0 1 {10**30}\n")
    refused(tmp_path / "a.off")
    write_ply(tmp_path / "a.ply")
    text = (tmp_path / "a.ply").read_text()
    (tmp_path / "a.ply").write_text(text.replace("element face 4", f"element face {10**30}"))
    refused(tmp_path / "a.ply")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_texture_points(tmp_path: Path, value: float) -> None:
    uv = UV.copy()
    uv[3, 1] = value
    glb = Glb()
    glb.mesh(material=glb.material(image=png((1, 2, 3))), uv=uv)
    glb.save(tmp_path / "a.glb")
    assert "vertex 3: expected a texture point" in refused(tmp_path / "a.glb")
