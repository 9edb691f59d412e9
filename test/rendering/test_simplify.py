"""Simplification for rendering: texture seams and colours kept, the deviation measured."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest

from cope_training.rendering.meshes import Mesh, models_info_entry, save_ply, vertex_normals
from cope_training.rendering.simplify import simplify
from cope_training.rendering.studio import load_objects


def globe(rings: int, sectors: int) -> Mesh:
    """A ball whose red and green are its texture's points, and whose blue tells above from below.

    Its texture has a seam from pole to pole.
    """
    theta, phi = np.mgrid[0 : np.pi : (rings + 1) * 1j, 0 : 2 * np.pi : (sectors + 1) * 1j]
    x, y, z = np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)
    vertices = 0.5 * np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32)
    uv = np.stack([phi / (2 * np.pi), theta / np.pi], axis=-1).reshape(-1, 2).astype(np.float32)
    a = (np.arange(rings)[:, None] * (sectors + 1) + np.arange(sectors)).reshape(-1)
    b, c, d = a + 1, a + sectors + 1, a + sectors + 2
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]).astype(np.int32)
    colors = np.repeat(np.where(vertices[:, 2:] > 0, 250, 20), 3, axis=1).astype(np.uint8)
    texture = np.zeros((256, 256, 3), np.uint8)
    texture[..., 0], texture[..., 1] = np.arange(256), np.arange(256)[::-1, None]
    return Mesh(vertices, faces, vertex_normals(vertices, faces), colors, uv, texture)


def test_simplify_keeps_texture_seams_and_colors_and_says_how_far_it_goes():
    fine = globe(80, 125)  # 20,000 triangles
    coarse = simplify(fine, 2000, 0.01)
    mesh = coarse.mesh
    assert 1000 < len(mesh.faces) <= 2000
    assert mesh.texture is fine.texture
    corners = mesh.vertices[mesh.faces]
    middles = 0.5 * (corners + np.roll(corners, 1, axis=1))  # of edges, the most sunk of them all
    sunk = np.abs(0.5 - np.linalg.norm(middles, axis=2)).max()  # an independent measure
    assert 0.7 * sunk < coarse.deviation < 2.0 * sunk
    phi = np.arctan2(mesh.vertices[:, 1], mesh.vertices[:, 0]) / (2 * np.pi) % 1.0
    away = np.abs(mesh.uv[:, 0] - phi)
    inner = np.linalg.norm(mesh.vertices[:, :2], axis=1) > 0.1  # about the poles phi means little
    assert np.minimum(away, 1.0 - away)[inner].max() < 0.02
    spans = np.ptp(mesh.uv[mesh.faces, 0], axis=1)[inner[mesh.faces].all(axis=1)]
    assert spans.max() < 0.2  # no triangle reaches across the seam
    assert ((mesh.colors[:, 2] == 250) == (mesh.vertices[:, 2] > 0))[
        np.abs(mesh.vertices[:, 2]) > 0.02
    ].all()
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-5)


def test_simplify_stays_within_its_bound_rather_than_its_count():
    fine = globe(40, 60)
    few = simplify(fine, 200, 0.1)
    assert len(few.mesh.faces) <= 200
    near = simplify(fine, 200, 0.02)
    assert 200 < len(near.mesh.faces) < len(fine.faces)
    assert near.deviation <= 0.02 < few.deviation
    assert simplify(fine, 200, 1e-6).mesh is fine
    assert simplify(fine, len(fine.faces), 0.1).mesh is fine
    with pytest.raises(ValueError, match="max_faces"):
        simplify(fine, 3, 0.1)


def test_a_mesh_of_loose_triangles_stays_as_it_is():
    corners = np.random.default_rng(0).normal(size=(500, 3, 3)).astype(np.float32)
    vertices, faces = corners.reshape(-1, 3), np.arange(1500, dtype=np.int32).reshape(-1, 3)
    colors = np.full(vertices.shape, 9, np.uint8)
    loose = Mesh(vertices, faces, vertex_normals(vertices, faces), colors)
    assert len(simplify(loose, 100, 0.1).mesh.faces) == 500


def test_objects_are_simplified_by_default_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fine = globe(60, 80)
    entry = models_info_entry(fine, "globe")
    (tmp_path / "models_info.json").write_text(json.dumps({"1": entry}))
    save_ply(tmp_path / "obj_000001.ply", fine)
    before = (tmp_path / "obj_000001.ply").read_bytes()
    with caplog.at_level(logging.WARNING):
        mesh = load_objects(tmp_path).meshes[0]
    said = re.search(r"drawn with (\d+) of 9600 triangles, at most (\d+\.\d+) mm", caplog.text)
    assert said is not None
    assert int(said[1]) == len(mesh.faces) <= 8000
    assert 0 < float(said[2]) <= 0.002 * entry["diameter"]
    assert mesh.texture is not None
    assert (tmp_path / "obj_000001.ply").read_bytes() == before
    assert len(load_objects(tmp_path, max_faces=0).meshes[0].faces) == 9600
