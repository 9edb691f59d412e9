"""Meshes thicker and thinner than they were scanned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from cope_training.rendering.meshes import Mesh, vertex_normals
from cope_training.rendering.primitives import ball, cuboid
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.scenes import sample_crop
from cope_training.rendering.studio import SHAPES, Studio, load_objects
from cope_training.rendering.surface_offset import with_sharper_corners, with_surface_offset

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


def _fine_box(*extents: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a box with a fine surface, m."""
    solid = trimesh.creation.box(extents)
    for _ in range(5):
        solid = solid.subdivide()
    return np.asarray(solid.vertices), np.asarray(solid.faces)


def _white(points: np.ndarray, faces: np.ndarray) -> Mesh:
    points = points.astype(np.float32)
    colors = np.full((len(points), 3), 255, np.uint8)
    return Mesh(points, faces.astype(np.int32), vertex_normals(points, faces), colors)


def _rounded_box(radius: float) -> Mesh:
    """A cube of 0.1 m with edges of this radius, m."""
    points, faces = _fine_box(0.1, 0.1, 0.1)
    core = np.clip(points, -0.05 + radius, 0.05 - radius)
    way = points - core
    length = np.linalg.norm(way, axis=1, keepdims=True).clip(1e-12)
    return _white(core + way * np.minimum(1.0, radius / length), faces)


def test_corners_come_back_and_faces_stay() -> None:
    box = _rounded_box(0.012)
    far = np.linalg.norm(box.vertices, axis=1)
    corner = far > far.max() - 1e-4
    face = np.sort(np.abs(box.vertices), axis=1)[:, 1] < 0.02
    for factor, least, most in ((1.0, 0.001, 0.006), (2.0, 0.002, 0.012), (-0.5, -0.003, -0.0005)):
        moved = with_sharper_corners(box, factor)
        grown = np.linalg.norm(moved.vertices, axis=1) - far
        assert least < grown[corner].min()
        assert grown[corner].max() < most
        assert np.abs(moved.vertices - box.vertices)[face].max() < 0.2 * np.abs(grown[corner]).min()
        assert (moved.faces == box.faces).all()
    assert np.allclose(with_sharper_corners(box, 0.0).vertices, box.vertices, atol=1e-7)


def test_what_curves_alike_everywhere_and_what_has_no_fine_surface_stay() -> None:
    for mesh in (ball(), cuboid()):
        moved = with_sharper_corners(mesh, 2.0)
        assert np.abs(moved.vertices - mesh.vertices).max() < 0.01 * mesh.diameter


def test_the_other_side_of_a_thin_wall_is_not_its_neighbour() -> None:
    mesh = _white(*_fine_box(0.1, 0.1, 0.002))
    points = mesh.vertices
    moved = with_sharper_corners(mesh, 2.0)
    inner = np.abs(points[:, :2]).max(1) < 0.035
    assert np.abs(moved.vertices - points)[inner].max() < 1e-5


@pytest.mark.parametrize(
    "changes", [{"surface_offset_sigma": 0.03}, {"sharpening_min": -0.5, "sharpening_max": 2.0}]
)
def test_scenes_show_other_shapes_at_the_same_poses(changes: dict[str, float]) -> None:
    plain = SceneConfig(models=MODELS, crop_size=96)
    varied = replace(plain, **changes)
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
