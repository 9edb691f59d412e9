"""Meshes without the errors of their scans."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from contour_scene import as_mesh
from scipy.spatial.transform import Rotation
from test_contour import save_models

from cope_training.rendering.meshes import Mesh
from cope_training.rendering.repairs import POWERS, SHADES, opened, thinned, turned, with_thin_end
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.studio import SHAPES, ObjectSet, Studio
from cope_training.tasks.refiner.surface_points import surface_points

END = (0.02, 0.0, 0.0, 0.06, 0.0, 0.0, 0.5)  # of the rod
BALL = (0.06, 0.0, 0.0, 0.012)


@pytest.fixture
def rod() -> Mesh:
    """Of 120 mm along x and a radius of 10 mm, with a ring of vertices each 20 mm."""
    rings = trimesh.creation.revolve([[0.01, -0.06 + 0.02 * i] for i in range(7)], sections=24)
    along_x = trimesh.transformations.rotation_matrix(np.pi / 2, (0, 1, 0))
    return as_mesh(rings.apply_transform(along_x))


def radii(mesh: Mesh) -> dict[float, float]:
    """By x in mm, in mm."""
    x, radius = mesh.vertices[:, 0], np.linalg.norm(mesh.vertices[:, 1:], axis=1)
    return {
        round(1e3 * float(value)): 1e3 * float(radius[np.isclose(x, value)].mean())
        for value in np.unique(x.round(5))
    }


def test_what_lies_in_the_ball_is_open() -> None:
    mesh = as_mesh(trimesh.creation.icosphere(4, radius=0.05))
    hole = opened(mesh, (0.0, 0.0, 0.05, 0.02), np.random.default_rng(0))
    assert mesh.is_closed
    assert not hole.is_closed
    middles = hole.vertices[hole.faces].mean(1)
    far = np.linalg.norm(middles - (0.0, 0.0, 0.05), axis=1)
    assert far.min() > 0.6 * 0.02  # 0.75 of the radius, 0.15 of it to the side
    whole = np.linalg.norm(mesh.vertices[mesh.faces].mean(1) - (0.0, 0.0, 0.05), axis=1)
    assert (far > 0.03).sum() == (whole > 0.03).sum()
    holes = {len(opened(mesh, (0, 0, 0.05, 0.02), np.random.default_rng(i)).faces) for i in (1, 2)}
    assert len(holes) == 2


def test_an_end_is_as_thin_as_its_tip_says(rod: Mesh) -> None:
    thin = radii(with_thin_end(rod, END, 1.0))
    assert thin == pytest.approx(
        {-60: 10, -40: 10, -20: 10, 0: 10, 20: 10, 40: 7.5, 60: 5}, abs=0.01
    )
    assert radii(with_thin_end(rod, END, 0.0)) == pytest.approx(radii(rod), abs=0.01)


def test_thin_ends_are_dark_and_vary(rod: Mesh) -> None:
    tips, shades = set(), set()
    for seed in range(20):
        thin = thinned(rod, END, np.random.default_rng(seed))
        tip = thin.vertices[:, 0] > 0.03
        shade = np.unique(thin.colors[tip] / 160)
        assert len(shade) == 1  # grey as before
        assert SHADES[0] - 0.01 < shade[0] < SHADES[1] + 0.01
        rest = thin.colors[~tip]
        assert (rest == rest[0]).all()
        assert len(np.unique(rest[0])) > 1  # but no longer grey
        tips.add(round(radii(thin)[60], 3))
        shades.add(float(shade[0]))
    assert len(tips) == 20
    assert len(shades) > 15
    assert min(tips) >= 10 * 0.5 ** POWERS[1]
    assert max(tips) <= 10 * 0.5 ** POWERS[0]


def test_a_lid_is_turned_about_its_axis_and_nothing_is_torn(rod: Mesh) -> None:
    angle = np.arctan2(rod.vertices[:, 2], rod.vertices[:, 1])
    colors = np.repeat(np.rint(angle / (2 * np.pi) * 200 + 120)[:, None], 3, 1).astype(np.uint8)
    marked = replace(rod, colors=colors, uv=np.stack((angle, rod.vertices[:, 0]), 1))
    turns = set()
    for seed in range(8):
        mesh = turned(marked, END, np.random.default_rng(seed))
        assert len(mesh.faces) == len(rod.faces)
        assert radii(mesh) == pytest.approx(radii(rod), abs=0.01)
        end = (mesh.vertices[mesh.faces][..., 0] > 0.021).any(axis=1)
        assert np.array_equal(mesh.faces[~end], rod.faces[~end])
        corners, normals = mesh.vertices[mesh.faces[end]], mesh.normals[mesh.faces[end]]
        before = marked.vertices[marked.faces[end]]
        assert np.array_equal(mesh.colors[mesh.faces[end]], marked.colors[marked.faces[end]])
        assert np.array_equal(mesh.uv[mesh.faces[end]], marked.uv[marked.faces[end]])
        turn, rest = Rotation.align_vectors(corners.reshape(-1, 3), before.reshape(-1, 3))
        assert rest < 1e-6
        was = marked.normals[marked.faces[end]].reshape(-1, 3)
        assert normals.reshape(-1, 3) == pytest.approx(turn.apply(was), abs=1e-5)
        about = turn.as_rotvec()
        assert np.abs(about[1:]).max() < 1e-5
        turns.add(round(float(about[0]), 2))
    assert len(turns) == 8
    assert max(turns) - min(turns) > 2.0


@pytest.mark.usefixtures("egl")
@pytest.mark.parametrize(
    "fault", [{"openings": {2: BALL}}, {"thin_ends": {2: END}}, {"lids": {2: END[:6]}}]
)
def test_most_shapes_of_a_scene_are_repaired(
    rod: Mesh, fault: dict[str, dict[int, tuple[float, ...]]], tmp_path: Path
) -> None:
    objects = ObjectSet(save_models(tmp_path, rod, rod), (rod, rod))
    plain = Studio(objects, shapes=SceneConfig())
    assert plain.shapes == [range(1), range(1, 2)]
    config = SceneConfig(repair_share=0.5, **fault)
    studio = Studio(objects, seed=1, shapes=config)
    assert studio.shapes[0] == range(1)
    assert len(studio.shapes[1]) == SHAPES


def test_surfaces_to_draw_are_repaired(rod: Mesh, tmp_path: Path) -> None:
    catalogue = save_models(tmp_path, rod, rod)
    points = surface_points(tmp_path, catalogue, 400, {2: END}).numpy()
    tip = points[..., 0] > 0.055
    radius = np.linalg.norm(points[..., 1:3], axis=2)
    assert radius[0][tip[0]].max() > 0.0098
    assert radius[1][tip[1]].max() < 0.0075
