"""Symmetries found on meshes, and claims that are measured there."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from cope_ros.core.errors import CopeError
from cope_training.rendering.meshes import Mesh, vertex_normals
from cope_training.rendering.symmetry_claims import claimed, spelled
from cope_training.rendering.symmetry_search import SymmetrySearch

PRISM = [[0.0, 0.0], [0.09, 0.0], [0.045, 0.078]]  # equilateral: its axis is not its box's middle


Shift = tuple[float, float, float]


def as_mesh(shape: trimesh.Trimesh, shift: Shift = (0.02, -0.01, 0.05)) -> Mesh:
    vertices = (shape.vertices + shift).astype(np.float32)
    faces = shape.faces.astype(np.int32)
    colors = np.full((len(vertices), 3), 120, np.uint8)
    return Mesh(vertices, faces, vertex_normals(vertices, faces), colors)


def prism() -> trimesh.Trimesh:
    points = np.array([[*p, z] for z in (0.0, 0.06) for p in PRISM])
    return trimesh.convex.convex_hull(points)


def can() -> trimesh.Trimesh:
    return trimesh.creation.cylinder(0.033, 0.12, sections=96)


def house() -> trimesh.Trimesh:
    points = [[x, y, z] for x in (0, 0.05) for y in (0, 0.09) for z in (0, 0.12)]
    return trimesh.convex.convex_hull([*points, [0.07, 0.02, 0.2]])


SHAPES = {
    "box": (trimesh.creation.box((0.05, 0.08, 0.12)), 4, False),
    "cube": (trimesh.creation.box((0.08, 0.08, 0.08)), 24, False),
    "square bar": (trimesh.creation.box((0.05, 0.05, 0.12)), 8, False),
    "prism": (prism(), 6, False),
    "hexagon": (trimesh.creation.cylinder(0.04, 0.1, sections=6), 12, False),
    "can": (can(), 2, True),
    "cone": (trimesh.creation.cone(0.04, 0.1, sections=96), 1, True),
    "house": (house(), 1, False),
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_a_mesh_shows(name: str) -> None:
    shape, order, continuous = SHAPES[name]
    search = SymmetrySearch(as_mesh(shape))
    found = search.propose()
    group = search.group(found)
    assert (len(group.members), group.continuous) == (order, continuous), spelled(found)
    assert all(turn.deviation.surface < 2e-4 for turn in found)


def test_a_ball_is_a_sphere() -> None:
    search = SymmetrySearch(as_mesh(trimesh.creation.icosphere(4, 0.05)))
    assert search.group(search.propose()).sphere


def test_a_slanted_can_is_found_by_its_principal_axis() -> None:
    shape = can()
    R = Rotation.from_euler("xyz", (25, 40, 10), degrees=True).as_matrix()
    shape.apply_transform(np.vstack([np.column_stack([R, np.zeros(3)]), [0, 0, 0, 1]]))
    search = SymmetrySearch(as_mesh(shape))
    group = search.group(search.propose())
    assert abs(group.axis @ R[:, 2]) == pytest.approx(1.0, abs=1e-4)
    assert len(group.members) == 2


def test_colours_break_symmetries() -> None:
    mesh = as_mesh(can().subdivide().subdivide())
    top, side = mesh.vertices[:, 2] > 0.08, mesh.vertices[:, 0] > 0.02
    for part, order, continuous in ((top, 1, True), (side, 2, False)):
        colors = mesh.colors.copy()
        colors[part] = (220, 30, 30)
        search = SymmetrySearch(replace(mesh, colors=colors))
        group = search.group(search.propose())
        assert group.continuous == continuous
        assert len(group.members) == order
        assert claimed("z:any", search)[0].deviation.color > 20 or continuous
        broken = [turn.order for turn in search.broken_by_colors() if turn.axis[2] == 1]
        assert broken == ([] if continuous else [0])


def test_the_axis_of_a_prism_is_not_its_boxs_middle() -> None:
    mesh = as_mesh(prism(), (0.0, 0.0, 0.0))
    search = SymmetrySearch(mesh)
    turn = claimed("z:3", search)[0]
    assert turn.deviation.surface < 2e-4
    group = search.group([turn])
    moved = mesh.vertices @ group.members[1][:3, :3].T + group.members[1][:3, 3]
    assert np.abs(np.sort(moved, axis=0) - np.sort(mesh.vertices, axis=0)).max() < 1e-4
    middle = 0.5 * (mesh.vertices.min(0) + mesh.vertices.max(0))
    assert np.linalg.norm(search.center - middle) > 0.01


@pytest.mark.parametrize(
    ("text", "order", "continuous"),
    [("none", 1, False), ("z:any,x:2", 2, True), ("Z:2", 2, False), (" z:any , X:2 ", 2, True),
     ("auto", 2, True), ("box", 4, False), ("AUTO", 2, True)],
)  # fmt: skip
def test_claims_are_lists(text: str, order: int, continuous: bool) -> None:
    search = SymmetrySearch(as_mesh(can()))
    group = search.group(claimed(text, search))
    assert (len(group.members), group.continuous) == (order, continuous)


@pytest.mark.parametrize("text", ["z", "w:2", "z:1", "z:99", "z:2:3", "z:any;x:2", "z:-2"])
def test_other_claims_are_named(text: str) -> None:
    with pytest.raises(CopeError, match="symmetry: expected none, auto, box"):
        claimed(text, SymmetrySearch(as_mesh(can())))


def test_a_claim_that_the_mesh_contradicts_is_refused_with_the_distance() -> None:
    search = SymmetrySearch(as_mesh(house()))
    with pytest.raises(CopeError, match=r"x:2 leaves the surface \d+\.\d mm off itself.* none"):
        claimed("x:2", search)
