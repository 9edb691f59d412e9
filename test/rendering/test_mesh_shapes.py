"""Shapes of mesh files: every format, and what is broken is refused in one line."""

import struct

import numpy as np
import pytest
import trimesh
from cad_files import write_3mf
from mesh_files import FACES, POINTS, Glb, obj_text, ply_bytes, same_shape

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.reader import read_mesh
from cope_training.rendering.meshes import load_mesh


@pytest.mark.parametrize("extra", [[9.0, 9.0, 9.0], [np.nan] * 3, [np.inf, 0, 0]])
@pytest.mark.parametrize("kind", ["ply", "glb", "obj", "off"])
def test_vertices_that_no_face_uses_do_not_count(tmp_path, extra, kind):
    points = np.concatenate([[extra], POINTS, [extra]])
    faces = FACES + 1
    path = tmp_path / f"a.{kind}"
    if kind == "ply":
        path.write_bytes(ply_bytes({}, faces=faces.tolist(), points=points))
    elif kind == "glb":
        glb = Glb()
        glb.mesh(points, faces)
        glb.save(path)
    else:
        rows = [" ".join(map(str, p)) for p in points]
        if kind == "obj":
            lines = [f"v {r}" for r in rows] + [f"f {a} {b} {c}" for a, b, c in faces + 1]
        else:
            lines = [f"OFF\n{len(rows)} {len(faces)} 0", *rows]
            lines += [f"3 {a} {b} {c}" for a, b, c in faces]
        path.write_text("\n".join(lines))
    assert len(read_mesh(path).vertices) == len(POINTS)
    assert same_shape(path)


def test_a_used_vertex_that_is_nan_is_refused(tmp_path):
    points = POINTS.copy()
    points[4, 1] = np.nan
    (tmp_path / "a.ply").write_bytes(ply_bytes({}, points=points))
    with pytest.raises(CopeError, match=r"a\.ply: vertex 4: expected a position of finite"):
        read_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize("wrong", [5, 99, -1])
@pytest.mark.parametrize("kind", ["ply", "glb", "off", "3mf"])
def test_faces_of_vertices_that_are_not_there_are_named(tmp_path, wrong, kind):
    faces = FACES.copy()
    faces[3, 1] = wrong
    path = tmp_path / f"a.{kind}"
    if kind == "ply":
        path.write_bytes(ply_bytes({}, faces=faces.tolist()))
    elif kind == "glb":
        glb = Glb()
        glb.mesh(faces=faces.astype(np.uint32))
        glb.save(path)
    elif kind == "3mf":
        write_3mf(path, faces=faces)
    else:
        lines = ["OFF 5 6 0", *(" ".join(map(str, p)) for p in POINTS)]
        path.write_text("\n".join([*lines, *(f"3 {a} {b} {c}" for a, b, c in faces)]))
    with pytest.raises(CopeError, match=rf"a\.{kind}: face 3: expected vertices 0 to 4"):
        read_mesh(path)


@pytest.mark.parametrize("wrong", ["0", "6", "-6", "99/1"])
def test_wrong_faces_of_obj_are_named_by_line(tmp_path, wrong):
    text = obj_text(uv=False).replace("f 3 4 5", f"f 3 {wrong} 5")
    (tmp_path / "a.obj").write_text(text)
    with pytest.raises(CopeError, match=r"a\.obj: line 10: .*face with"):
        read_mesh(tmp_path / "a.obj")


def test_obj_as_programs_write_it(tmp_path):
    """Polygons, indices from the end, tabs, continued lines, two groups, weights."""
    text = (
        "# f 1 2 3 \\\no thing\nv\t0 0 0\nv 1 0 0 1.0\nv 1 1\\\n 0\nv 0 1 0\n\ng base\nf 1 4 3 2\n"
        "v 0.5 0.5 1.0\ns off\nf -5//-1 -4// 5\n" + "f 2 3 -1 # a comment\nf 3 4 -1\nf 4 1 -1\n"
    )
    (tmp_path / "a.obj").write_text(text.replace("-5//-1", "-5").replace("-4//", "-4"))
    content = read_mesh(tmp_path / "a.obj")
    assert len(content.faces) == 6
    assert len(content.vertices) == 5
    assert load_mesh(tmp_path / "a.obj", 1.0).is_closed


@pytest.mark.parametrize("order", ["<", ">"])
def test_ply_with_polygons_in_both_byte_orders(tmp_path, order):
    faces = [[0, 3, 2, 1], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]
    (tmp_path / "a.ply").write_bytes(ply_bytes({}, faces=faces, order=order))
    assert load_mesh(tmp_path / "a.ply", 1.0).is_closed
    assert len(read_mesh(tmp_path / "a.ply").faces) == 6


def test_strips_fans_and_plain_lists_of_glb(tmp_path):
    square = POINTS[:4]
    for mode, order in ((5, [0, 1, 3, 2]), (6, [0, 1, 2, 3]), (4, [0, 1, 2, 0, 2, 3])):
        glb = Glb()
        primitive = glb.mesh(square, np.array(order))
        primitive["mode"] = mode
        content = read_mesh(glb.save(tmp_path / "a.glb"))
        normals = np.cross(*(np.diff(content.vertices[content.faces], axis=1).swapaxes(0, 1)))
        assert np.allclose(normals, [0, 0, 1])
    primitive.pop("indices")
    glb.tree["accessors"][primitive["attributes"]["POSITION"]]["count"] = 3
    assert len(read_mesh(glb.save(tmp_path / "a.glb")).faces) == 1
    primitive["mode"] = 1
    with pytest.raises(CopeError, match="triangles"):
        read_mesh(glb.save(tmp_path / "a.glb"))


def test_nodes_place_meshes(tmp_path):
    glb = Glb()
    glb.mesh(translation=[1, 2, 3])
    half = np.sqrt(0.5)
    parent = {"children": [0], "rotation": [0, 0, half, half], "scale": [2, 2, 2]}
    glb.tree["nodes"].append(parent)
    glb.tree["scenes"][0]["nodes"] = [1]
    turned = 2 * (POINTS + np.array([1, 2, 3])) @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]).T
    assert same_shape(glb.save(tmp_path / "a.glb"), turned)
    glb.tree["nodes"][0]["children"] = [1]
    with pytest.raises(CopeError, match="contain themselves"):
        read_mesh(glb.save(tmp_path / "a.glb"))


def test_morph_targets_count_by_their_weights(tmp_path):
    glb = Glb()
    primitive = glb.mesh()
    lower = np.zeros_like(POINTS)
    lower[4] = [0, 0, -1]
    primitive["targets"] = [{"POSITION": glb.accessor(lower, "f4")}]
    assert same_shape(glb.save(tmp_path / "a.glb"))
    glb.tree["meshes"][0]["weights"] = [0.5]
    assert same_shape(glb.save(tmp_path / "a.glb"), POINTS + 0.5 * lower)
    glb.tree["nodes"][0]["weights"] = [0.25]
    assert same_shape(glb.save(tmp_path / "a.glb"), POINTS + 0.25 * lower)


def test_a_mesh_that_joints_place_is_refused(tmp_path):
    glb = Glb()
    glb.mesh(skin=0)
    glb.tree["skins"] = [{"joints": [0]}]
    with pytest.raises(CopeError, match=r"a\.glb: node 0 has a skin \(armature\)"):
        read_mesh(glb.save(tmp_path / "a.glb"))


def test_quantised_glb(tmp_path):
    glb = Glb()
    steps = np.rint(POINTS * 32767)
    primitive = glb.mesh(scale=[0.1, 0.1, 0.1])
    primitive["attributes"]["POSITION"] = glb.accessor(steps, "i2", normalized=True)
    glb.tree["extensionsRequired"] = ["KHR_mesh_quantization"]
    assert same_shape(glb.save(tmp_path / "a.glb"), 0.1 * POINTS)
    primitive["attributes"]["POSITION"] = glb.accessor(np.rint(POINTS * 200), "u1")
    glb.tree["nodes"][0]["scale"] = [0.5 / 200] * 3
    assert same_shape(glb.save(tmp_path / "a.glb"), 0.5 * POINTS)


@pytest.mark.parametrize(
    "name",
    ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_texture_basisu", "ACME_shape"],
)
def test_extensions_that_are_not_read_are_named(tmp_path, name):
    glb = Glb()
    glb.mesh()
    glb.tree["extensionsRequired"] = glb.tree["extensionsUsed"] = [name]
    with pytest.raises(CopeError, match=name):
        read_mesh(glb.save(tmp_path / "a.glb"))


def stl(count: int, extra: bytes = b"") -> bytes:
    rows = b"".join(
        np.concatenate([[np.zeros(3)], POINTS[f]]).astype("<f4").tobytes() + b"\0\0" for f in FACES
    )
    return b"solid of CAD".ljust(80) + struct.pack("<I", count) + rows + extra


def test_stl_longer_than_it_says_is_read(tmp_path):
    for extra in (b"", b"\0\0\0\0", b"x" * 70):
        (tmp_path / "a.stl").write_bytes(stl(6, extra))
        assert same_shape(tmp_path / "a.stl")
        assert len(read_mesh(tmp_path / "a.stl").notes) == bool(extra)
    trimesh.Trimesh(POINTS, FACES).export(tmp_path / "b.stl", file_type="stl_ascii")
    assert same_shape(tmp_path / "b.stl")


def test_stl_that_ends_early_is_refused(tmp_path):
    whole = trimesh.Trimesh(POINTS, FACES).export(file_type="stl_ascii")
    for content in (stl(6)[:-10], stl(7), stl(6)[:50], whole[:-200], whole[:-12], b"solid x\n"):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / "a.stl").write_bytes(data)
        with pytest.raises(CopeError, match=r"a\.stl: expected"):
            read_mesh(tmp_path / "a.stl")


@pytest.mark.parametrize("suffix", [".fbx", ".usdz", ".usd", ".blend", ".txt", ""])
def test_other_formats_are_refused_with_the_known_ones(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"Kaydara FBX Binary")
    with pytest.raises(CopeError, match=r"PLY, OBJ, GLB.*cope_ros\[cad\]"):
        read_mesh(path)


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb", "gltf", "stl", "off", "3mf", "dae"])
@pytest.mark.parametrize("content", [b"", b"\0", b"nonsense\n1 2 3", b"\xff\xfe\x00\xd8" * 40])
def test_nonsense_is_refused_by_name(tmp_path, suffix, content):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(CopeError, match=rf"a\.{suffix}: "):
        read_mesh(path)


def test_every_file_cut_short_is_refused_or_whole(tmp_path):
    """No cut may give a mesh that silently lacks triangles of what its header promises."""
    glb = Glb()
    glb.mesh()
    whole = {
        "glb": glb.save(tmp_path / "w.glb").read_bytes(), "ply": ply_bytes({}), "stl": stl(6)
    }  # fmt: skip
    for suffix, data in whole.items():
        for length in range(0, len(data), 7):
            path = tmp_path / f"cut.{suffix}"
            path.write_bytes(data[:length])
            with pytest.raises(CopeError, match=rf"cut\.{suffix}"):
                read_mesh(path)
