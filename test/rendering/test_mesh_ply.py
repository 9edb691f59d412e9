"""Colours of PLY files by any name and type; pictures of any depth; text in any encoding."""

import numpy as np
import pytest
from mesh_files import POINTS, UV, all_near, looks, obj_text, ply_bytes, png
from PIL import Image

from cope_training.rendering.files.reader import read_mesh

ORANGE = [255, 128, 0]
RGB = ("red", "green", "blue")
FIVE = (len(POINTS), 1)


@pytest.mark.parametrize(
    "names", [("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), "rgb"]
)
@pytest.mark.parametrize(
    ("kind", "values"),
    [("uchar", ORANGE), ("ushort", [65535, 32768, 0]), ("float", [1.0, 0.5, 0.0]),
     ("float", ORANGE), ("int", ORANGE)],
)  # fmt: skip
@pytest.mark.parametrize("uv", [False, True])
def test_ply_colors_by_any_name_and_type(tmp_path, names, kind, values, uv):
    columns = {n: (kind, np.full(5, v)) for n, v in zip(names, values, strict=True)}
    if uv:  # without a texture, texture points say nothing
        columns |= {n: ("float", UV[:, i]) for i, n in enumerate("st")}
    (tmp_path / "a.ply").write_bytes(ply_bytes(columns))
    assert all_near(looks(tmp_path / "a.ply"), ORANGE)


def test_ply_texture_stands_above_its_colors(tmp_path):
    columns = {c: ("uchar", np.full(5, 40)) for c in RGB}
    columns |= {n: ("float", UV[:, i]) for i, n in enumerate("uv")}
    (tmp_path / "tex.png").write_bytes(png((10, 200, 30)))
    (tmp_path / "a.ply").write_bytes(ply_bytes(columns, ["TextureFile tex.png"]))
    assert all_near(looks(tmp_path / "a.ply"), [10, 200, 30])
    assert "vertex colours are not" in read_mesh(tmp_path / "a.ply").notes[0]


def test_ply_texture_points_of_faces(tmp_path):
    halves = np.zeros((4, 64, 3), np.uint8)
    halves[:, :32], halves[:, 32:] = (250, 0, 0), (0, 0, 250)
    Image.fromarray(halves).save(tmp_path / "t.png")
    rows = ["3 0 1 2 6 .1 .5 .2 .5 .1 .6", "4 0 1 2 3 8 .7 .5 .8 .5 .7 .6 .7 .7"]
    text = (
        "ply\nformat ascii 1.0\ncomment TextureFile t.png\nelement vertex 4\nproperty float x\n"
        "property float y\nproperty float z\nelement face 2\n"
        "property list uchar int vertex_indices\nproperty list uchar float texcoord\nend_header\n"
        "0 0 0\n1 0 0\n1 1 0\n0 1 1\n"
    )
    (tmp_path / "a.ply").write_text(text + "\n".join(rows) + "\n")
    assert all_near(looks(tmp_path / "a.ply"), [[250, 0, 0], [0, 0, 250], [0, 0, 250]])


def test_ply_colors_of_faces(tmp_path):
    text = (
        "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\n"
        "property float z\nelement face 2\nproperty list uchar int vertex_index\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
        "0 0 0\n1 0 0\n1 1 0\n0 1 1\n3 0 1 2 255 128 0\n3 0 2 3 1 2 3\n"
    )
    (tmp_path / "a.ply").write_text(text)
    assert all_near(looks(tmp_path / "a.ply"), [ORANGE, [1, 2, 3]])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_and_other_textures(tmp_path, suffix):
    deep = Image.fromarray(np.full((4, 4), 40000, np.uint16))
    modes = {
        "deep": deep,
        "gray": Image.new("L", (4, 4), 156),
        "palette": Image.new("RGB", (4, 4), (156, 156, 156)).quantize(2),
        "rgba": Image.new("RGBA", (4, 4), (156, 156, 156, 0)),
    }
    for name, image in modes.items():
        image.save(tmp_path / f"{name}{suffix}")
        (tmp_path / "a.mtl").write_text(f"newmtl m\nmap_Kd {name}{suffix}\n")
        (tmp_path / "a.obj").write_text(obj_text("m"))
        assert all_near(looks(tmp_path / "a.obj"), [156] * 3), name


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "gbk", "utf-16"])
def test_comments_and_names_in_any_encoding(tmp_path, encoding):
    word = {"latin-1": "Gehäuse größe", "gbk": "红色\\"}.get(encoding, "红色 größe")
    name = {"latin-1": "größe", "gbk": "红色"}.get(encoding, "红色")
    (tmp_path / "a.mtl").write_bytes(f"# {word}\nnewmtl {name}\nKd 1 .5 0\n".encode(encoding))
    text = f"# {word}\n" + obj_text(name, uv=False)
    (tmp_path / "a.obj").write_bytes(text.encode(encoding))
    assert all_near(looks(tmp_path / "a.obj"), ORANGE)
