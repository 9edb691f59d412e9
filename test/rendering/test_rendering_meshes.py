"""Mesh files, normals, simplification and packing."""

import json
import shutil

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cope_ros.core.errors import CopeError
from cope_training.rendering.meshes import (
    Mesh,
    diameter,
    load_mesh,
    models_info_entry,
    save_ply,
    vertex_normals,
)
from cope_training.rendering.packing import pack_rows
from cope_training.rendering.primitives import ball, cuboid
from cope_training.rendering.studio import load_objects
from cope_training.rendering.vertex_clustering import cluster_vertices


def colored_ball() -> Mesh:
    mesh = ball(10, 16)
    colors = (mesh.normals * 120 + 128).astype(np.uint8)
    return Mesh(mesh.vertices, mesh.faces, mesh.normals, colors)


def surface_key(mesh: Mesh) -> np.ndarray:
    """The triangles' corners in an order that does not depend on vertex numbers."""
    corners = np.round(mesh.vertices[mesh.faces].reshape(len(mesh.faces), 9), 5)
    return corners[np.lexsort(corners.T)]


def test_ply_round_trip_keeps_everything(tmp_path):
    mesh = colored_ball()
    save_ply(tmp_path / "a.ply", mesh)
    again = load_mesh(tmp_path / "a.ply")
    assert np.allclose(again.vertices, mesh.vertices, atol=1e-7)
    assert (again.faces == mesh.faces).all()
    assert (again.colors == mesh.colors).all()
    assert (again.normals * mesh.normals).sum(axis=1).min() > 0.95  # made anew from the faces
    # a foreign reader sees the same, in millimetres
    foreign = trimesh.load(tmp_path / "a.ply", process=False)
    assert np.allclose(foreign.vertices, mesh.vertices * 1000, atol=1e-3)


def test_textured_ply_round_trip(tmp_path):
    texture = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    box = cuboid()
    mesh = Mesh(box.vertices, box.faces, box.normals, box.colors, box.uv, texture)
    save_ply(tmp_path / "a.ply", mesh)
    again = load_mesh(tmp_path / "a.ply")
    assert (again.texture == texture).all()
    assert np.allclose(surface_key(again), surface_key(mesh), atol=1e-5)
    for corner in range(0, len(again.vertices), 5):  # the same place has the same texture point
        near = np.linalg.norm(mesh.vertices - again.vertices[corner], axis=1) < 1e-5
        gaps = np.abs(mesh.uv[near] - again.uv[corner]).sum(axis=1)
        assert gaps.min() < 1e-5


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_other_formats_are_read(tmp_path, suffix):
    shape = trimesh.creation.box((100.0, 60.0, 40.0))
    picture = Image.fromarray(np.full((8, 8, 3), (200, 10, 10), np.uint8))
    uv = shape.vertices[:, :2] / 100 + 0.5
    shape.visual = trimesh.visual.TextureVisuals(
        uv, material=trimesh.visual.material.SimpleMaterial(image=picture)
    )
    shape.export(tmp_path / f"a{suffix}")
    mesh = load_mesh(tmp_path / f"a{suffix}")
    assert np.allclose(np.ptp(mesh.vertices, axis=0), [0.1, 0.06, 0.04], atol=1e-6)
    assert mesh.is_closed
    assert mesh.texture is not None
    assert np.abs(mesh.texture.reshape(-1, 3).mean(0) - [200, 10, 10]).max() < 3


def test_unit_scales_the_mesh(tmp_path):
    save_ply(tmp_path / "a.ply", cuboid())
    assert np.ptp(load_mesh(tmp_path / "a.ply", unit=1.0).vertices) == pytest.approx(1000.0)


@pytest.mark.parametrize("content", [b"", b"ply\nnonsense", b"\x00\x01\x02 not a mesh"])
def test_broken_files_are_refused_by_name(tmp_path, content):
    (tmp_path / "bad.ply").write_bytes(content)
    with pytest.raises(CopeError, match=r"bad\.ply"):
        load_mesh(tmp_path / "bad.ply")


def test_missing_and_pointlike_meshes_are_refused(tmp_path):
    with pytest.raises(CopeError, match=r"none\.ply"):
        load_mesh(tmp_path / "none.ply")
    points = cuboid()
    save_ply(
        tmp_path / "p.ply", Mesh(points.vertices, points.faces[:0], points.normals, points.colors)
    )
    with pytest.raises(CopeError, match=r"p\.ply"):
        load_mesh(tmp_path / "p.ply")


def test_normals_of_a_ball_are_radial_and_of_a_cube_flat():
    mesh = ball(40, 60)
    smooth = vertex_normals(mesh.vertices, mesh.faces)
    assert (smooth * mesh.normals).sum(axis=1).min() > 0.99
    box = cuboid()
    assert np.allclose(vertex_normals(box.vertices, box.faces), box.normals, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 300))
def test_diameter_is_the_largest_distance(seed, count):
    points = np.random.default_rng(seed).standard_normal((count, 3)) * [1.0, 0.3, 2.0]
    naive = max(float(np.linalg.norm(p - q)) for p in points[:60] for q in points)
    got = diameter(points)
    assert got >= naive - 1e-9
    if count <= 60:
        assert got == pytest.approx(naive)


def test_models_info_of_a_cube():
    entry = models_info_entry(cuboid(), "cube")
    assert entry["diameter"] == pytest.approx(1000 * np.sqrt(3))
    assert [entry[f"min_{a}"] for a in "xyz"] == [-500] * 3
    assert [entry[f"size_{a}"] for a in "xyz"] == [1000] * 3


def test_clustering_keeps_the_shape():
    fine = ball(200, 300)
    coarse = cluster_vertices(fine, 3000)
    assert 1000 < len(coarse.faces) <= 3000
    radius = np.linalg.norm(coarse.vertices, axis=1)
    assert 0.495 < radius.min() <= radius.max() <= 0.505
    assert radius.mean() == pytest.approx(0.5, abs=0.001)
    assert coarse.is_closed
    assert cluster_vertices(coarse, 3000) is coarse
    with pytest.raises(ValueError, match="max_faces"):
        cluster_vertices(fine, 3)


def test_clustering_keeps_corners_sharp():
    box = trimesh.creation.box((1.0, 0.6, 0.3))
    for _ in range(6):
        box = box.subdivide()
    turned = box.apply_transform(trimesh.transformations.euler_matrix(0.4, 0.3, 0.2))
    vertices, faces = turned.vertices.astype(np.float32), turned.faces.astype(np.int32)
    colors = np.full(vertices.shape, 128, np.uint8)
    fine = Mesh(vertices, faces, vertex_normals(vertices, faces), colors)
    coarse = cluster_vertices(fine, 3000)
    assert len(coarse.faces) <= 3000
    corners = turned.bounding_box_oriented.vertices
    gap = np.linalg.norm(coarse.vertices[:, None] - corners, axis=2).min(axis=0)
    assert gap.max() < 1e-3
    solid = trimesh.Trimesh(coarse.vertices, coarse.faces)
    assert solid.volume == pytest.approx(0.18, rel=4e-3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 64), st.integers(1, 64)), min_size=1, max_size=60))
def test_packing_never_overlaps(sizes):
    sheets = pack_rows(np.array(sizes), 64, 64)
    seen = []
    for tiles in sheets:
        taken = np.zeros((64, 64), dtype=int)
        for index, x, y, width, height in tiles:
            assert (width, height) == sizes[index]
            assert x + width <= 64
            assert y + height <= 64
            taken[y : y + height, x : x + width] += 1
            seen.append(index)
        assert taken.max() == 1
    assert sorted(seen) == list(range(len(sizes)))


def test_model_folders_in_both_layouts(tmp_path):
    flat = tmp_path / "models"
    flat.mkdir()
    save_ply(flat / "obj_000004.ply", colored_ball())
    (flat / "models_info.json").write_text(json.dumps({"4": models_info_entry(ball(), "ball")}))
    assert load_objects(flat).catalogue.class_ids == ("ball",)
    nested = tmp_path / "nested"
    (nested / "meshes").mkdir(parents=True)
    shutil.copy(flat / "models_info.json", nested)
    with pytest.raises(CopeError, match="obj_000004"):
        load_objects(nested)
    shutil.copy(flat / "obj_000004.ply", nested / "meshes")
    assert len(load_objects(nested).meshes[0].faces) == len(colored_ball().faces)
