"""Colours and textures of mesh files: what other programs write comes out as it looks there."""

import io

import numpy as np
import pytest
from mesh_files import FACES, POINTS, UV, Glb, all_near, looks, png, shades
from PIL import Image

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.reader import read_mesh
from cope_training.rendering.meshes import load_mesh, save_ply

ORANGE = [255, 128, 0]
RGB = ("red", "green", "blue")
FIVE = (len(POINTS), 1)


# What a linear 0.214 looks like is 127 in sRGB; the square root of it would be 118.
@pytest.mark.parametrize("with_material", [False, True])
@pytest.mark.parametrize(
    ("kind", "values"),
    [("f4", [1.0, 0.214, 0.0]), ("u2", [65535, 14025, 0]), ("u1", [255, 55, 0])],
)
def test_vertex_colors_of_glb_are_linear(tmp_path, kind, values, with_material):
    glb = Glb()
    material = glb.material() if with_material else None
    colors = glb.accessor(np.tile(values, FIVE), kind, normalized=kind != "f4")
    glb.mesh(colors=colors, material=material)
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [255, 127, 0], 1.0)


def test_sixteen_bit_colors_of_glb(tmp_path):
    glb = Glb()
    colors = glb.accessor(np.tile([65535, 14060, 0, 65535], FIVE), "u2", normalized=True)
    glb.mesh(colors=colors)
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [255, 127, 0])


@pytest.mark.parametrize(("linear", "srgb"), [(0.214, 127), (1.0, 255), (0.0, 0), (0.0023, 8)])
def test_a_factor_without_texture_is_the_color(tmp_path, linear, srgb):
    glb = Glb()
    glb.mesh(material=glb.material((linear, linear, linear)))
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [srgb] * 3)


def test_a_factor_multiplies_vertex_colors(tmp_path):
    glb = Glb()
    colors = glb.accessor(np.tile([1.0, 0.5, 1.0], FIVE), "f4")
    glb.mesh(material=glb.material((1.0, 0.428, 0.0)), colors=colors)
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [255, 127, 0])


def test_a_factor_multiplies_the_texture(tmp_path):
    glb = Glb()
    glb.mesh(material=glb.material((1.0, 0.214, 0.0), png((255, 255, 200))), uv=UV)
    path = glb.save(tmp_path / "a.glb")
    assert all_near(looks(path), [255, 127, 0])
    assert "texture" in read_mesh(path).appearance


def test_vertex_colors_multiply_the_texture(tmp_path):
    glb = Glb()
    colors = glb.accessor(np.tile([1.0, 0.214, 1.0], FIVE), "f4")
    glb.mesh(material=glb.material(None, png((255, 255, 0))), uv=UV, colors=colors)
    path = glb.save(tmp_path / "a.glb")
    assert all_near(looks(path), [255, 127, 0])
    save_ply(tmp_path / "own.ply", load_mesh(path, 1.0))  # and so they do in our own files
    assert all_near(shades(load_mesh(tmp_path / "own.ply")), [255, 127, 0])


def test_two_materials_of_one_texture_keep_their_factors(tmp_path):
    glb = Glb()
    white = png((255, 255, 255))
    glb.mesh(material=glb.material((1, 0, 0), white), uv=UV)
    glb.mesh(material=glb.material((0, 0, 1), white), uv=UV, translation=[3, 0, 0])
    found = looks(glb.save(tmp_path / "a.glb"))
    assert all_near(found[: len(FACES)], [255, 0, 0])
    assert all_near(found[len(FACES) :], [0, 0, 255])


def test_textured_and_colored_parts_share_an_atlas(tmp_path):
    glb = Glb()
    glb.mesh(material=glb.material(None, png((10, 200, 30), (64, 32))), uv=UV)
    colors = glb.accessor(np.tile([1.0, 0.214, 0.0], FIVE), "f4")
    glb.mesh(colors=colors, translation=[3, 0, 0])
    glb.mesh(material=glb.material(None, png((0, 0, 250), (16, 128))), uv=UV * 2.5 - 1)
    glb.mesh(translation=[6, 0, 0])
    path = glb.save(tmp_path / "a.glb")
    found = looks(path).reshape(4, len(FACES), 3)
    wanted = [[10, 200, 30], [255, 127, 0], [0, 0, 250], [160, 160, 160]]
    for part, color in zip(found, wanted, strict=True):
        assert all_near(part, color)
    assert read_mesh(path).parts == 4


def test_repeats_survive_the_atlas(tmp_path):
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, :32] = (250, 0, 0)
    stripes[:, 32:] = (0, 0, 250)
    out = io.BytesIO()
    Image.fromarray(stripes).save(out, "png")
    glb = Glb()
    # three triangles a repeat apart: in the red half, the blue half, the red half
    points = np.array([[i, j, k] for i in range(3) for j, k in ((0, 0), (0.5, 0), (0, 0.5))], float)
    uv = np.array([[0.2, 0.5], [0.3, 0.5], [0.25, 0.6]])
    uv = np.concatenate([uv, uv + np.array([-2.5, 7]), uv + np.array([5, -2])])
    glb.mesh(points, np.arange(9).reshape(3, 3), glb.material(None, out.getvalue()), uv=uv)
    glb.mesh(material=glb.material((0, 1, 0)))
    found = looks(glb.save(tmp_path / "a.glb"))
    assert all_near(found[:3], [[250, 0, 0], [0, 0, 250], [250, 0, 0]])
    assert all_near(found[3:], [0, 255, 0])


def test_mirrored_repeats_and_edges_that_go_on(tmp_path):
    halves = np.zeros((4, 64, 3), np.uint8)
    halves[:, :32] = (250, 0, 0)
    halves[:, 32:] = (0, 0, 250)
    out = io.BytesIO()
    Image.fromarray(halves).save(out, "png")
    points = POINTS[:3]
    uv = np.array([[1.2, 0.4], [1.3, 0.4], [1.25, 0.6]])  # mirrored: the blue half
    for wrap, wanted in ((33648, [0, 0, 250]), (33071, [0, 0, 250]), (10497, [250, 0, 0])):
        glb = Glb()
        material = glb.material(None, out.getvalue(), wrapS=wrap)
        glb.mesh(points, np.array([[0, 1, 2]]), material, uv=uv)
        assert all_near(looks(glb.save(tmp_path / "a.glb")), wanted)


def test_texture_transform_and_second_set(tmp_path):
    glb = Glb()
    halves = np.zeros((64, 4, 3), np.uint8)
    halves[:32], halves[32:] = (250, 0, 0), (0, 0, 250)  # glTF's v runs down: red at v < 0.5
    out = io.BytesIO()
    Image.fromarray(halves).save(out, "png")
    material = glb.material(None, out.getvalue())
    info = glb.tree["materials"][material]["pbrMetallicRoughness"]["baseColorTexture"]
    primitive = glb.mesh(material=material, uv=np.full((5, 2), 0.25))
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [250, 0, 0])
    info["extensions"] = {"KHR_texture_transform": {"offset": [0, 0.5]}}
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [0, 0, 250])
    primitive["attributes"]["TEXCOORD_1"] = glb.accessor(np.full((5, 2), 0.7), "f4")
    info |= {"texCoord": 1, "extensions": {}}
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [0, 0, 250])


def test_black_surfaces_show_their_own_light(tmp_path):
    """Scans are exported so, for no lamp to shade them; a lamp on gray plastic changes nothing."""
    glb = Glb()
    lit = glb.material((0.0, 0.0, 0.0), png((255, 200, 100)))
    pbr = glb.tree["materials"][lit]["pbrMetallicRoughness"]
    glb.tree["materials"][lit]["emissiveTexture"] = pbr.pop("baseColorTexture")
    glb.mesh(material=lit, uv=UV)
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [0, 0, 0])  # its factor is 0: no light
    glb.tree["materials"][lit]["emissiveFactor"] = [1.0, 1.0, 1.0]
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [255, 200, 100])
    pbr["baseColorFactor"] = [0.214, 0.214, 0.214, 1.0]
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [127, 127, 127])


def test_holes_by_transparency_are_said(tmp_path):
    glb = Glb()
    leaf = glb.material(image=png((0, 255, 0)))
    glb.mesh(material=leaf, uv=UV)
    assert not read_mesh(glb.save(tmp_path / "a.glb")).notes
    glb.tree["materials"][leaf]["alphaMode"] = "MASK"
    assert any("transparent" in note for note in read_mesh(glb.save(tmp_path / "a.glb")).notes)


def test_no_material_at_all_is_gray_and_said(tmp_path):
    Glb().save(tmp_path / "none.glb")
    glb = Glb()
    glb.mesh()
    assert all_near(looks(glb.save(tmp_path / "a.glb")), [160, 160, 160])
    assert read_mesh(tmp_path / "a.glb").appearance == "no colours (gray)"
    with pytest.raises(CopeError, match=r"none\.glb.*triangles"):
        load_mesh(tmp_path / "none.glb")


def test_faces_mirrored_by_a_node_still_look_outwards(tmp_path):
    glb = Glb()
    glb.mesh(scale=[1, 1, -1])
    assert load_mesh(glb.save(tmp_path / "a.glb"), 1.0).is_closed
    assert len(load_mesh(tmp_path / "a.glb", 1.0).faces) == len(FACES)
