"""Distance and colour grids of meshes, closed and open, with triangles turned either way."""

from dataclasses import replace

import numpy as np
import pytest

from cope_ros.core.errors import CopeError
from cope_ros.core.refinement.expected_surface import SIDE
from cope_training.rendering.meshes import Mesh
from cope_training.rendering.primitives import cuboid
from cope_training.tasks.instance_head.surface_grids import mesh_grids

VOXELS = 32
HALF = np.array([0.03, 0.02, 0.01])  # m, of the box
DIAMETER = float(2 * np.linalg.norm(HALF))
CENTER = np.array([0.1, 0.0, -0.2])


def box(turned: bool = False, doubled: bool = False, opened: bool = False) -> Mesh:
    """A box about CENTER, its half with x > 0 red and the other blue."""
    mesh = cuboid()
    unit = mesh.vertices - mesh.vertices.mean(0)
    unit = unit / np.abs(unit).max(0)
    colors = np.where(unit[:, :1] > 0, [[200, 0, 0]], [[0, 0, 200]]).astype(np.uint8)
    faces = mesh.faces
    if opened:
        top = (unit[faces][:, :, 2] > 0).all(1)
        assert top.sum() == 2
        faces = faces[~top]
    if turned or doubled:
        faces = np.concatenate([faces, faces[:, ::-1]]) if doubled else faces[:, ::-1]
    vertices = (unit * HALF + CENTER).astype(np.float32)
    return replace(mesh, vertices=vertices, faces=faces, colors=colors, uv=None, texture=None)


def places() -> np.ndarray:
    """(G, G, G, 3) x y z of voxels over the diameter."""
    place = ((np.arange(VOXELS) + 0.5) / VOXELS - 0.5) * SIDE
    z, y, x = np.meshgrid(place, place, place, indexing="ij")
    return np.stack((x, y, z), -1)


def true_distances() -> np.ndarray:
    """Of the closed box."""
    beyond = np.abs(places()) - HALF / DIAMETER
    outside = np.linalg.norm(beyond.clip(0.0), axis=-1)
    return outside + beyond.max(-1).clip(max=0.0)


def test_distances_are_signed_and_colours_are_those_of_the_nearest_surface() -> None:
    distance, color = mesh_grids(box(), CENTER, DIAMETER, VOXELS)
    np.testing.assert_allclose(distance, true_distances(), atol=0.006)
    x = places()[..., 0]
    assert (np.abs(color[x > 0.43] - [200, 0, 0]) < 5).all()
    assert (np.abs(color[x < -0.43] - [0, 0, 200]) < 5).all()


@pytest.mark.parametrize("kind", ["turned", "doubled"])
def test_the_inside_is_found_whatever_way_triangles_are_turned(kind: str) -> None:
    distance, _ = mesh_grids(box(**{kind: True}), CENTER, DIAMETER, VOXELS)
    true, step = true_distances(), SIDE / VOXELS
    np.testing.assert_allclose(np.abs(distance), np.abs(true), atol=0.006)
    far = np.abs(true) > step
    assert (true[far] < 0).any()
    np.testing.assert_array_equal(distance[far] < 0, true[far] < 0)
    assert (distance[true > 0] > 0).all()


def test_an_open_box_is_no_wall_to_rays_from_its_open_side() -> None:
    distance, _ = mesh_grids(box(opened=True), CENTER, DIAMETER, VOXELS)
    above = places()[..., 2] > HALF[2] / DIAMETER
    assert (distance[above] > 0).all()
    along = distance[:, VOXELS // 2, VOXELS // 2]
    assert along[-1] > 0.2
    assert along.min() < SIDE / VOXELS


def test_triangles_without_area_are_refused() -> None:
    mesh = box()
    with pytest.raises(CopeError, match="expected a surface"):
        mesh_grids(replace(mesh, vertices=mesh.vertices * 0.0), CENTER, DIAMETER, VOXELS)
