"""ContourExtractor of meshes: where they lie, what is none, and the buffers they come from."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from contour_scene import as_mesh, beyond, box, extractor_of, l_shape, points_of, turned
from scipy.spatial import ConvexHull
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.refinement.contour import Contour, ContourExtractor, cover, dilate, look_up
from cope_training.rendering.meshes import Mesh, models_info_entry, save_ply
from cope_training.rendering.primitives import ball, cuboid, sheet
from cope_training.tasks.refiner.contours import fill_contour_meshes, mesh_edges

SIZE = 192
K = torch.tensor([[300.0, 0, 95.5], [0, 300.0, 95.5], [0, 0, 1]])
CENTER = torch.tensor([0.01, -0.005, 0.3])
TURNS = [(20.0, 30.0, 10.0), (-50.0, 15.0, 80.0), (100.0, -40.0, 20.0), (160.0, 25.0, -70.0)]


def contour_of(solid: trimesh.Trimesh, R: Tensor, center: Tensor, count: int = 160) -> Contour:
    """Of one view, without the axis of views."""
    pose = R[None], center[None], K[None]
    covered = cover(points_of(solid)[None, :, :3], *pose, SIZE)
    contour = extractor_of(solid, count)(torch.tensor([0]), *pose, covered)
    return Contour(*(value[0] for value in contour))


def outside(solid: trimesh.Trimesh, R: Tensor, center: Tensor, pixel: Tensor) -> np.ndarray:
    """(L,) px that places lie outside of a convex solid."""
    return beyond((solid.vertices,), R, center, K, pixel.numpy())


@pytest.mark.parametrize("center", [(0.0, 0.0, 0.25), (0.04, -0.03, 0.3)])
def test_the_outline_of_a_ball_is_where_rays_touch_it(center: tuple[float, ...]) -> None:
    solid, middle = trimesh.creation.icosphere(4, radius=0.05), torch.tensor(center)
    contour = contour_of(solid, turned(20.0, 30.0, 10.0), middle, count=240)
    assert contour.valid.all()
    ray = geometry.unproject(contour.pixel, K)
    ray = geometry.normalize(torch.cat((ray, torch.ones(240, 1)), 1))
    angle = torch.acos(ray @ geometry.normalize(middle))
    touching = torch.asin(0.05 / middle.norm())
    assert (300 * (angle - touching)).abs().max() < 0.1  # px
    assert geometry.project(contour.point, K) == pytest.approx(contour.pixel, abs=0.01)
    way = geometry.normalize(contour.pixel - geometry.project(middle[None], K))
    assert (way * contour.normal).sum(1).min() > 0.99
    sector = (torch.atan2(way[:, 1], way[:, 0]) / (torch.pi / 6)).floor().long() + 6
    assert torch.bincount(sector, minlength=12) == pytest.approx(torch.full((12,), 20), abs=3)


@pytest.mark.parametrize("turn", TURNS)
def test_the_outline_of_a_box_is_the_hull_of_its_corners(turn: tuple[float, ...]) -> None:
    solid, R = box().solid, turned(*turn)
    contour = contour_of(solid, R, CENTER)
    assert contour.valid.all()
    assert outside(solid, R, CENTER, contour.pixel) == pytest.approx(np.zeros(160), abs=1e-3)
    further = contour.pixel + 0.5 * contour.normal
    assert outside(solid, R, CENTER, further) == pytest.approx(np.full(160, 0.5), abs=1e-3)
    in_box = (contour.point - CENTER) @ R
    assert (in_box.abs() / torch.tensor([0.05, 0.04, 0.03])).max() < 1.001
    # Six sides, along each equal steps: all gaps but those at the corners.
    gaps = torch.cdist(contour.pixel, contour.pixel) + 1e3 * torch.eye(160)
    step = gaps.min(1).values.median()
    assert ((gaps.min(1).values - step).abs() < 0.02 * step).sum() > 160 - 12
    assert 160 * step == pytest.approx(length_around(solid, R), rel=0.02)


def length_around(solid: trimesh.Trimesh, R: Tensor) -> float:
    corners = geometry.transform(R, CENTER, torch.tensor(solid.vertices).float())
    return ConvexHull(geometry.project(corners, K).numpy()).area  # so is a polygon's called


@pytest.mark.parametrize("turn", TURNS)
def test_edges_with_the_object_behind_them_are_no_outline(turn: tuple[float, ...]) -> None:
    shape, R = l_shape(), turned(*turn)
    contour = contour_of(shape.solid.subdivide(), R, CENTER)  # edges of 5 px
    out = beyond(shape.parts, R, CENTER, K, contour.pixel.numpy())
    assert (abs(out) < 0.05).mean() > 0.97
    assert abs(out).max() < 3.0  # px: half an edge next to where two cross
    further = contour.pixel + 3.0 * contour.normal
    assert (beyond(shape.parts, R, CENTER, K, further.numpy()) > 0.5).mean() > 0.97


def test_what_stands_before_the_object_itself_is_no_outline() -> None:
    plate = trimesh.creation.box((0.1, 0.08, 0.01))
    knob = trimesh.creation.box((0.03, 0.03, 0.02))
    knob.apply_translation((0.0, 0.0, -0.02))
    contour = contour_of(plate + knob, torch.eye(3), CENTER)
    assert abs(outside(plate, torch.eye(3), CENTER, contour.pixel)).max() < 1e-3
    assert contour.valid.all()


def test_a_hole_has_an_outline_which_looks_into_it() -> None:
    ring = trimesh.creation.annulus(0.02, 0.05, 0.01, sections=60)
    center = torch.tensor([0.0, 0.0, 0.25])
    contour = contour_of(ring, torch.eye(3), center)
    way = contour.pixel - geometry.project(center[None], K)
    radius, along = way.norm(dim=1), (geometry.normalize(way) * contour.normal).sum(1)
    inner = radius < 40  # px; circles of 24 (its near end hides the far) and 61
    assert inner.sum() == pytest.approx(160 * 2 / 7, abs=3)
    assert along[inner].max() < -0.99
    assert along[~inner].min() > 0.99


@pytest.mark.parametrize("turn", [(30.0, 20.0, 10.0), (160.0, 20.0, 10.0)])
def test_the_border_of_an_open_mesh_is_its_outline(turn: tuple[float, ...]) -> None:
    page = trimesh.Trimesh(0.1 * sheet().vertices, sheet().faces)
    contour = contour_of(page, turned(*turn), CENTER)
    assert contour.valid.all()
    flat = page.copy()
    flat.vertices = np.where([True, True, False], flat.vertices, 1e-6 * np.eye(4, 3))
    assert abs(outside(flat, turned(*turn), CENTER, contour.pixel)).max() < 0.01


@pytest.mark.parametrize(
    "center", [(3.0, 0.0, 0.4), (0.0, -3.0, 0.4), (0.0, 0.0, -0.4), (0.0, 0.0, 400.0)]
)
def test_what_is_not_in_view_has_no_outline(center: tuple[float, ...]) -> None:
    contour = contour_of(box().solid, turned(20.0, 30.0, 10.0), torch.tensor(center))
    assert not contour.valid.any()
    for value in (contour.point, contour.pixel, contour.normal):
        assert torch.isfinite(value).all()


def test_what_the_view_cuts_has_its_outline_within_the_view() -> None:
    solid, R, center = box().solid, turned(20.0, 30.0, 10.0), torch.tensor([0.09, 0.0, 0.3])
    contour = contour_of(solid, R, center)
    assert contour.valid.all()
    assert abs(outside(solid, R, center, contour.pixel)).max() < 1e-3
    assert geometry.project(center[None], K)[0, 0] + 40 > SIZE  # px: some of it is cut


@pytest.mark.parametrize("turn", TURNS)
def test_points_cover_what_the_object_covers(turn: tuple[float, ...]) -> None:
    shape, R = l_shape(), turned(*turn)
    points = points_of(shape.solid)[None, :, :3]
    covered = cover(points, R[None], CENTER[None], K[None], SIZE)[0].numpy()
    grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1)
    out = beyond(shape.parts, R, CENTER, K, grid)
    assert (covered[out < -1.5] == 1).all()
    assert (covered[out > 4.0] == 0).all()  # less where its notch is closed by the gaps' width
    assert (covered[out > 1.0] == 0).mean() > 0.995


def test_dilating_stops_at_the_borders() -> None:
    grid = torch.zeros(1, 8, 8)
    grid[0, 0, 0] = grid[0, 7, 4] = 1.0
    expected = torch.zeros(1, 8, 8)
    expected[0, :2, :2] = expected[0, 6:, 3:6] = 1.0
    assert torch.equal(dilate(grid, 3), expected)
    full = torch.ones(2, 8, 8)
    assert torch.equal(-dilate(-full, 5), full)  # nothing is eaten from outside


def test_looking_up_takes_the_nearest_pixel_and_nothing_beyond() -> None:
    grid = torch.arange(1.0, 17.0).view(1, 4, 4)
    pixel = torch.tensor([[0.0, 0], [-0.4, 0.4], [3.4, 3.4], [1.6, 0], [-0.6, 1], [3.6, 1], [1, 4]])
    assert look_up(grid, pixel[None])[0].tolist() == [1, 1, 16, 3, 0, 0, 0]
    assert look_up(grid, torch.full((1, 1, 2), float("nan"))).tolist() == [[0.0]]


def test_vertices_at_one_place_are_one() -> None:
    cube = cuboid()  # whose corners are three vertices each
    found = mesh_edges(cube, np.array([0.5, 0.0, 0.0]))
    assert len(found.ends) == 12 + 6  # and six diagonals
    assert (found.sides[:, 0] != found.sides[:, 1]).all()
    ends = found.ends.reshape(-1, 2, 3)
    assert ends[..., 0].min() == -1.0
    for side in found.sides.T:
        normal, distance = found.planes[side, None, :3], found.planes[side, None, 3]
        assert (ends * normal).sum(-1) == pytest.approx(np.tile(distance, (1, 2)), abs=1e-9)


def save_models(folder: Path, *meshes: Mesh) -> Catalogue:
    entries = {}
    for i, mesh in enumerate(meshes):
        save_ply(folder / f"obj_{i + 1:06d}.ply", mesh)
        entries[str(i + 1)] = models_info_entry(mesh, f"object{i}")
    return Catalogue.from_dict(entries)


def textured_ball() -> Mesh:
    fine = ball(20, 28)
    texture = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    return Mesh(0.1 * fine.vertices, fine.faces, fine.normals, fine.colors, fine.uv, texture)


def test_outlines_are_filled_as_far_as_there_is_room(tmp_path: Path) -> None:
    solid = trimesh.creation.icosphere(3, radius=0.05)
    solid.apply_translation((0.1, 0.0, 0.0))
    catalogue = save_models(tmp_path, as_mesh(box().solid), as_mesh(solid))
    extractor = ContourExtractor(2, 300, 460, 160)
    extractor.planes.fill_(7.0)  # what was there before
    fill_contour_meshes(extractor, tmp_path, catalogue)
    known = extractor.planes.any(2).sum(1)
    assert known[0] == 12
    assert 150 < known[1] <= 300  # of 1280
    assert extractor.ends.any(2).sum(1).tolist()[0] == 18
    assert extractor.sides.amax((1, 2)).tolist() == [11, int(known[1]) - 1]
    pose = turned(*TURNS[0])[None], CENTER[None], K[None]
    center = np.array([0.1, 0.0, 0.0])
    covered = cover(points_of(solid, center)[None, :, :3], *pose, SIZE)
    contour = extractor(torch.tensor([1]), *pose, covered)
    radius = (contour.pixel[0] - geometry.project(CENTER[None], K)).norm(dim=1)
    assert contour.valid.float().mean() > 0.8  # a few corners of cells stand out
    assert radius == pytest.approx(torch.full((160,), 50.0), abs=4.0)  # half a cell of 6 mm


def test_meshes_that_stay_too_fine_are_refused_by_name(tmp_path: Path) -> None:
    catalogue = save_models(tmp_path, as_mesh(box().solid), textured_ball())
    extractor = ContourExtractor(2, 300, 460, 160)
    fill_contour_meshes(extractor, tmp_path, catalogue)  # a texture is no hindrance: 1,064 there
    assert 100 < extractor.planes.any(2).sum(1)[1] <= 300
    with pytest.raises(CopeError, match=r"obj_000001\.ply: more than"):
        fill_contour_meshes(ContourExtractor(2, 1200, 17, 160), tmp_path, catalogue)
