"""Meshes thicker and thinner than they were scanned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cope_training.rendering.meshes import vertex_normals
from cope_training.rendering.primitives import ball, cuboid
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.scenes import sample_crop
from cope_training.rendering.studio import SHAPES, Studio, load_objects
from cope_training.rendering.surface_offset import with_surface_offset

MODELS = str(Path(__file__).resolve().parents[2] / "models" / "demo")


def test_a_ball_stays_round_about_its_middle_and_changes_as_asked() -> None:
    mesh = ball()
    radius = np.linalg.norm(mesh.vertices, axis=1).mean()
    rng = np.random.default_rng(0)
    change = []
    for _ in range(300):
        moved = with_surface_offset(mesh, rng, 0.02)
        assert (moved.faces == mesh.faces).all()
        along = (moved.vertices * mesh.normals).sum(1)
        assert np.allclose(along[:, None] * mesh.normals, moved.vertices, atol=2e-2)
        change.append(along - radius)
    got = np.std(np.concatenate(change)) / (2 * radius)
    assert got == pytest.approx(0.02 * np.sqrt(0.5), rel=0.15)  # a sine's share is one half
    # None is larger or smaller as a whole: that would be an error of depth as large.
    corners = mesh.vertices[mesh.faces]
    areas = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    means = [(areas * c[mesh.faces].mean(axis=1)).sum() / areas.sum() for c in change]
    assert np.abs(means).max() < 1e-3 * radius


def test_edges_do_not_tear() -> None:
    mesh = cuboid()  # whose corners are three vertices each
    moved = with_surface_offset(mesh, np.random.default_rng(1), 0.05)
    assert np.abs(moved.vertices - mesh.vertices).max() > 1e-3
    _, first, group = np.unique(mesh.vertices, axis=0, return_index=True, return_inverse=True)
    assert np.allclose(moved.vertices, moved.vertices[first][group.reshape(-1)], atol=1e-6)
    assert moved.is_closed
    assert vertex_normals(moved.vertices, moved.faces).shape == mesh.normals.shape


def test_scenes_show_other_shapes_at_the_same_poses() -> None:
    plain = SceneConfig(models=MODELS, crop_size=96)
    varied = replace(plain, surface_offset_sigma=0.03)
    objects = load_objects(MODELS)
    assert [len(s) for s in Studio(objects, pictures=4).shapes] == [1, 1, 1]
    studio = Studio.for_scenes(objects, varied, 0)
    handles = [h for shapes in studio.shapes for h in shapes]
    assert len(handles) == len(set(handles)) == 3 * SHAPES
    frames = [sample_crop(np.random.default_rng([3, i]), studio, varied) for i in range(6)]
    again = [sample_crop(np.random.default_rng([3, i]), studio, varied) for i in range(6)]
    for one, two in zip(frames, again, strict=True):
        assert (one.image == two.image).all()
        assert ((one.class_index >= 0) & (one.class_index < 3)).all()
        assert (one.visibility <= 1).all()
