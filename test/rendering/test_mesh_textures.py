"""Colours and textures of OBJ and PLY files, and textures that people have moved or lost."""

import base64
import json

import numpy as np
import pytest
from mesh_files import POINTS, UV, Glb, all_near, looks, obj_text, ply_bytes, png

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.reader import read_mesh
from cope_training.rendering.meshes import load_mesh

ORANGE = [255, 128, 0]
RGB = ("red", "green", "blue")
FIVE = (len(POINTS), 1)


@pytest.mark.parametrize(
    ("colors", "wanted"),
    [([1.0, 0.5, 0.0], ORANGE), ([255, 128, 0], ORANGE), ([254.6, 128.2, 0.0], ORANGE)],
)
@pytest.mark.parametrize("kd", ["", "Kd 0.8 0.8 0.8"])
def test_vertex_colors_of_obj(tmp_path, colors, wanted, kd):
    (tmp_path / "a.mtl").write_text(f"newmtl m\n{kd}\n")
    text = obj_text("m" if kd else "", uv=False, colors=np.tile(colors, FIVE))
    (tmp_path / "a.obj").write_text(text)
    assert all_near(looks(tmp_path / "a.obj"), wanted)


def test_one_kd_is_the_color(tmp_path):
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl other\nKd 0 .5 0\n")
    (tmp_path / "a.obj").write_text(obj_text("red", uv=False))
    assert all_near(looks(tmp_path / "a.obj"), [255, 0, 0])
    (tmp_path / "a.obj").write_text(obj_text("other", uv=True))
    assert all_near(looks(tmp_path / "a.obj"), [0, 128, 0])


def test_black_surfaces_of_obj_show_their_own_light(tmp_path):
    (tmp_path / "t.png").write_bytes(png((255, 200, 100)))
    for lines, wanted in (
        ("Kd 0 0 0\nKe 1 0 0", [255, 0, 0]),
        ("Kd 0 0 1\nKe 1 0 0", [0, 0, 255]),
        ("Kd 0 0 0\nKe 1 1 1\nmap_Ke t.png", [255, 200, 100]),
        ("Kd 0 0 0\nmap_Ke t.png", [255, 200, 100]),
    ):
        (tmp_path / "a.mtl").write_text(f"newmtl m\n{lines}\n")
        (tmp_path / "a.obj").write_text(obj_text("m"))
        assert all_near(looks(tmp_path / "a.obj"), wanted)


def test_kd_multiplies_its_texture_but_black_does_not(tmp_path):
    (tmp_path / "t.png").write_bytes(png((255, 200, 100)))
    for kd, wanted in (("1 0.5 0", [255, 100, 0]), ("0 0 0", [255, 200, 100])):
        (tmp_path / "a.mtl").write_text(f"newmtl m\nKd {kd}\nmap_Kd t.png\n")
        (tmp_path / "a.obj").write_text(obj_text("m"))
        assert all_near(looks(tmp_path / "a.obj"), wanted)


def test_two_white_textures_red_and_blue_in_obj(tmp_path):
    (tmp_path / "t.png").write_bytes(png((255, 255, 255)))
    both = "newmtl r\nKd 1 0 0\nmap_Kd t.png\nnewmtl b\nKd 0 0 1\nmap_Kd t.png\n"
    (tmp_path / "a.mtl").write_text(both)
    lines = obj_text("r").splitlines()
    lines.insert(-3, "usemtl b")
    (tmp_path / "a.obj").write_text("\n".join(lines))
    found = looks(tmp_path / "a.obj")
    assert all_near(found[:3], [255, 0, 0])
    assert all_near(found[3:], [0, 0, 255])


@pytest.mark.parametrize(
    ("named", "lies"),
    [
        ("tex.png", "tex.png"),
        (r"C:\Users\me\tex.png", "tex.png"),
        (r"t\tex.png", "tex.png"),
        (r"t\tex.png", "t/tex.png"),
        ("Tex.PNG", "tex.png"),
        ("tex.png", "TEX.PNG"),
        ("-s 1 1 1 tex.png", "tex.png"),
        ("-bm 0.2 -s 1 1 1 -o 0 0 0 -clamp on my tex.png", "my tex.png"),
        ('"tex.png"', "tex.png"),
        ("/home/me/work/tex.png", "tex.png"),
        ("tex.png", "textures/tex.png"),
        ("maps/old/tex.png", "textures/deep/tex.png"),
        ("my%20tex.png", "my tex.png"),
        ("été.png", "été.png"),
    ],
)
def test_textures_are_found_as_people_move_them(tmp_path, named, lies):
    (tmp_path / lies).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / lies).write_bytes(png((10, 200, 30)))
    (tmp_path / "a.mtl").write_text(f"newmtl m\nmap_Kd {named}\n")
    (tmp_path / "a.obj").write_text(obj_text("m"))
    assert all_near(looks(tmp_path / "a.obj"), [10, 200, 30])


def test_an_absolute_texture_is_read_where_it_lies(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.png").write_bytes(png((10, 200, 30)))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.mtl").write_text(f"newmtl m\nmap_Kd {elsewhere / 'x.png'}\n")
    (mine / "a.obj").write_text(obj_text("m"))
    assert all_near(looks(mine / "a.obj"), [10, 200, 30])


def test_of_two_textures_of_one_name_the_named_folder_decides(tmp_path):
    for folder, color in (("old", (1, 1, 1)), ("new", (10, 200, 30))):
        (tmp_path / "maps" / folder).mkdir(parents=True)
        (tmp_path / "maps" / folder / "tex.png").write_bytes(png(color))
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd D:\\work\\new\\tex.png\n")
    (tmp_path / "a.obj").write_text(obj_text("m"))
    assert all_near(looks(tmp_path / "a.obj"), [10, 200, 30])


BROKEN = [None, b"", b"\x89PNG\r\n\x1a\n broken", b"<html>404</html>", png((1, 2, 3))[:40]]


@pytest.mark.parametrize("content", BROKEN)
@pytest.mark.parametrize("kind", ["obj", "ply", "gltf"])
def test_missing_and_broken_textures_are_named(tmp_path, content, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "obj":
        (tmp_path / "a.mtl").write_text("newmtl m\nKd 1 .5 0\nmap_Kd tex.png\n")
        path.write_text(obj_text("m"))
    elif kind == "ply":
        columns = {c: ("uchar", np.full(5, v)) for c, v in zip(RGB, ORANGE, strict=True)}
        columns |= {n: ("float", UV[:, i]) for i, n in enumerate(("texture_u", "texture_v"))}
        path.write_bytes(ply_bytes(columns, ["TextureFile tex.png"]))
    else:
        glb = Glb()
        glb.mesh(material=glb.material((1, 0.2159, 0), png((1, 2, 3))), uv=UV)
        glb.tree["images"][0] = {"uri": "tex.png"}
        data = base64.b64encode(glb.chunk).decode()
        glb.tree["buffers"] = [{"byteLength": len(glb.chunk), "uri": f"data:;base64,{data}"}]
        path.write_text(json.dumps({k: v for k, v in glb.tree.items() if v != []}))
    if content is not None:
        (tmp_path / "tex.png").write_bytes(content)
    with pytest.raises(CopeError, match=rf"a\.{kind}: texture .*tex\.png"):
        load_mesh(path)
    assert all_near(looks(path, allow_missing_texture=True), ORANGE)
    assert "tex.png" in read_mesh(path, allow_missing_texture=True).notes[0]


def test_missing_material_file_and_material(tmp_path):
    (tmp_path / "a.obj").write_text(obj_text("m"))
    with pytest.raises(CopeError, match=r"a\.obj: material file 'a\.mtl' is missing"):
        load_mesh(tmp_path / "a.obj")
    assert all_near(looks(tmp_path / "a.obj", allow_missing_texture=True), [160] * 3)
    (tmp_path / "a.mtl").write_text("newmtl n\nKd 1 0 0\n")
    with pytest.raises(CopeError, match="'m' is in none"):
        load_mesh(tmp_path / "a.obj")
