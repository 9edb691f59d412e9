"""The demo objects: sizes, symmetries, and that both kinds of mesh are one surface."""

import json
from pathlib import Path

import numpy as np
import pytest

from cope_ros.core.catalogue import Catalogue
from cope_training.bundled.objects import DEMO_OBJECTS, write_demo_objects
from cope_training.rendering.meshes import load_mesh
from cope_training.rendering.placement import random_rotation, rotation_about
from cope_training.rendering.renderer import Renderer
from cope_training.rendering.scene import Lighting, Material, Placement
from cope_training.rendering.solids import colored_mesh, textured_mesh

BUNDLED = Path(__file__).resolve().parents[2] / "models" / "demo"
SIZE = (192, 192)
K = np.array([[700.0, 0, 95.5], [0, 700.0, 95.5], [0, 0, 1]])
FLAT = Lighting((), np.array([0, -1.0, 0]), np.ones(3), np.ones(3))  # colours as they are


@pytest.fixture(scope="module")
def solids():
    return {name: make() for name, make, _ in DEMO_OBJECTS.values()}


@pytest.fixture(scope="module")
def renderer(solids) -> Renderer:
    """Handles 0..2: textured carton, cup, box; 3..5: with vertex colours."""
    kinds = [textured_mesh(s) for s in solids.values()] + [colored_mesh(s) for s in solids.values()]
    return Renderer(kinds)


def picture(renderer: Renderer, mesh: int, R: np.ndarray) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[2, 3] = R, 0.8
    return renderer.picture([Placement(mesh, T, Material(specular=0.0))], K, SIZE, FLAT)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_bundled_files_are_what_the_code_makes(tmp_path):
    write_demo_objects(tmp_path)
    for obj_id in DEMO_OBJECTS:
        name = f"obj_{obj_id:06d}.ply"
        for folder in ("meshes", "textured"):
            made, kept = load_mesh(tmp_path / folder / name), load_mesh(BUNDLED / folder / name)
            assert np.allclose(made.vertices, kept.vertices, atol=1e-7)
            assert (made.colors == kept.colors).all()
    made = json.loads((tmp_path / "models_info.json").read_text())
    assert made == json.loads((BUNDLED / "models_info.json").read_text())


def test_models_info_measures_the_meshes():
    for item in Catalogue.from_models_info(BUNDLED / "models_info.json"):
        points = load_mesh(BUNDLED / "meshes" / f"obj_{item.obj_id:06d}.ply").vertices.astype(float)
        some = points[:: max(1, len(points) // 400)]
        gaps = np.linalg.norm(some[:, None] - points[None], axis=2)
        assert gaps.max() <= item.diameter + 1e-6
        assert gaps.max() >= 0.97 * item.diameter
        assert np.allclose(points.min(0), item.box_min, atol=1e-6)
        assert np.allclose(np.ptp(points, axis=0), item.box_size, atol=1e-6)


def test_sizes_are_as_described():
    carton, cup, box = Catalogue.from_models_info(BUNDLED / "models_info.json")
    assert np.allclose(carton.box_size, [0.070, 0.070, 0.180], atol=2e-5)
    assert np.allclose(cup.box_size, [0.080, 0.080, 0.100], atol=2e-5)
    assert np.allclose(box.box_size, [0.160, 0.100, 0.045], atol=2e-5)
    assert not carton.is_symmetric
    assert cup.symmetry.continuous
    assert len(box.symmetry.members) == 2


def test_both_kinds_of_mesh_show_the_same(renderer):
    rng = np.random.default_rng(0)
    for mesh in range(3):
        for _ in range(2):
            R = random_rotation(rng)
            textured, colored = (picture(renderer, m, R) for m in (mesh, mesh + 3))
            assert difference(textured, colored) < 4.0


def test_meshes_are_closed(solids):
    for solid in solids.values():
        assert colored_mesh(solid).is_closed
        assert textured_mesh(solid).is_closed


def test_appearance_has_the_stated_symmetries_and_no_others(renderer):
    """Half a turn leaves the box, any turn leaves the cup, nothing leaves the carton."""
    rng = np.random.default_rng(1)
    quarter, half = rotation_about(2, np.pi / 2), rotation_about(2, np.pi)
    over = rotation_about(0, np.pi)
    for _ in range(3):
        R = random_rotation(rng)
        seen = [picture(renderer, mesh, R) for mesh in range(3)]
        assert difference(seen[2], picture(renderer, 2, R @ half)) < 1.0
        # the cup has 48 sides
        turn = rotation_about(2, 2 * np.pi * rng.integers(1, 48) / 48)
        assert difference(seen[1], picture(renderer, 1, R @ turn)) < 1.0
        for S in (quarter, half, over, over @ half, over @ quarter):
            assert difference(seen[0], picture(renderer, 0, R @ S)) > 5.0
        for S in (quarter, over, over @ half):
            assert difference(seen[2], picture(renderer, 2, R @ S)) > 5.0
        assert difference(seen[1], picture(renderer, 1, R @ over)) > 5.0
