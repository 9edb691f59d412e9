"""Colours of fine vertices on coarse meshes: a print stays readable where triangles are few."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from cope_training.rendering.baking import bake_colors, colors_at
from cope_training.rendering.meshes import Mesh, vertex_normals
from cope_training.rendering.renderer import Renderer
from cope_training.rendering.scene import Placement
from cope_training.rendering.simplify import simplify

SIDE = 0.1  # m
CHECK = 0.0125  # m, a side has eight by eight
K = np.array([[600.0, 0.0, 79.5], [0.0, 600.0, 79.5], [0.0, 0.0, 1.0]])


def printed(points: np.ndarray) -> np.ndarray:
    """(N, 3) 0 to 255 of (N, 3) points: checks whose colour is another on each side of a box."""
    cells = np.floor((points + 1e-7) / CHECK).astype(int).sum(axis=-1) % 2
    shade = np.where(np.abs(points) > SIDE / 2 - 1e-4, np.sign(points), 0.0)
    colors = np.where(cells[..., None] > 0, 230.0, 128.0 + 90.0 * shade)
    return np.asarray(colors)


def scanned_box(rows: int) -> Mesh:
    """A box as a scan gives it: a grid of rows by rows vertices with colours on each side."""
    u, v = np.meshgrid(*[np.linspace(-0.5, 0.5, rows)] * 2, indexing="ij")
    quads = np.arange(rows * rows).reshape(rows, rows)
    a, b, c, d = (q.reshape(-1) for q in (quads[:-1, :-1], quads[1:, :-1], quads[1:, 1:],
                                          quads[:-1, 1:]))  # fmt: skip
    grid = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for axis in range(3):
        for end in (-0.5, 0.5):
            side = np.stack([np.full(u.size, end), u.reshape(-1), v.reshape(-1)], axis=1)
            vertices.append(np.roll(side, axis, axis=1))
            faces.append((grid if end > 0 else grid[:, ::-1]) + len(faces) * rows * rows)
    points = (SIDE * np.concatenate(vertices)).astype(np.float32)
    points, rows_of = np.unique(points, axis=0, return_inverse=True)
    triangles = rows_of.reshape(-1)[np.concatenate(faces)].astype(np.int32)
    colors = printed(points).astype(np.uint8)
    return Mesh(points, triangles, vertex_normals(points, triangles), colors)


@pytest.fixture(scope="module")
def fine() -> Mesh:
    return scanned_box(65)  # 1.6 mm between vertices, 24,578 of them


@pytest.fixture(scope="module")
def coarse(fine: Mesh) -> Mesh:
    return simplify(fine, 1000, 0.001).mesh


def shown(mesh: Mesh, distance: float = 0.5, finer: int = 1) -> np.ndarray:
    """(160, 160, 3) float: a corner of the box towards the camera; finer: the mean of so many."""
    turn = np.array([[0.7, -0.7, 0.1], [0.4, 0.3, -0.86], [0.58, 0.65, 0.5]])
    u, _, vt = np.linalg.svd(turn)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = u @ vt * np.linalg.det(u @ vt), (0.0, 0.0, distance)
    zoom = np.diag([finer, finer, 1.0])
    zoom[:2, 2] = (finer - 1) / 2  # pixel centres are at integers
    picture = Renderer([mesh]).picture([Placement(0, T)], zoom @ K, (160 * finer, 160 * finer))
    blocks = picture.astype(float).reshape(160, finer, 160, finer, 3)
    return np.asarray(blocks.mean(axis=(1, 3)))


def test_a_simplified_scan_looks_like_the_scan(fine: Mesh, coarse: Mesh) -> None:
    assert len(coarse.faces) <= 1000 < len(fine.faces)
    wanted = shown(fine)
    blurred = replace(coarse, uv=None, texture=None, colors=printed(coarse.vertices).astype("u1"))
    seen = wanted.sum(axis=2) > 0
    assert seen.mean() > 0.2
    away = np.abs(shown(coarse) - wanted)[seen].mean()
    assert away < 9.0  # blurred edges of the checks, and a few triangles across the box's edges
    assert np.abs(shown(blurred) - wanted)[seen].mean() > 4 * away


def test_from_afar_no_triangle_shows_its_neighbours_on_the_texture(
    fine: Mesh, coarse: Mesh
) -> None:
    wanted = shown(fine, 2.0, finer=6)  # 45 px: mipmaps
    seen = wanted.sum(axis=2) > 0
    assert 300 < seen.sum() < 3000
    away = uniform_filter(shown(coarse, 2.0) - wanted, size=(5, 5, 1))  # without what is blurred
    assert np.abs(away)[seen].mean() < 5.0


def test_texels_have_the_colour_of_their_place(coarse: Mesh) -> None:
    """Read off the texture by hand at random points of the triangles."""
    rng = np.random.default_rng(0)
    assert coarse.uv is not None
    assert coarse.texture is not None
    height, width = coarse.texture.shape[:2]
    share = rng.dirichlet([1.0, 1.0, 1.0], size=(len(coarse.faces), 20))
    points = np.einsum("fnc,fck->fnk", share, coarse.vertices[coarse.faces])
    uv = np.einsum("fnc,fck->fnk", share, coarse.uv[coarse.faces])
    texel = coarse.texture[
        np.floor((1.0 - uv[..., 1]) * height).astype(int), np.floor(uv[..., 0] * width).astype(int)
    ]
    within = np.abs((points % CHECK) / CHECK - 0.5)  # 0 in the middle of a check, 0.5 at its edge
    flat = np.abs(points) > SIDE / 2 - 1e-4
    inner = (np.where(flat, 0.0, within) < 0.3).all(axis=-1) & (flat.sum(axis=-1) == 1)
    wanted = printed(points)
    assert inner.mean() > 0.2
    assert np.abs(texel - wanted)[inner].max() < 12.0


def test_the_surface_and_its_labels_stay(fine: Mesh, coarse: Mesh) -> None:
    plain = simplify(replace(fine, colors=np.full_like(fine.colors, 90)), 1000, 0.001).mesh
    assert plain.texture is None
    assert (plain.colors == 90).all()
    assert coarse.vertices[coarse.faces].shape == plain.vertices[plain.faces].shape
    assert np.isclose(coarse.diameter, np.sqrt(3) * SIDE, rtol=2e-3)
    assert coarse.is_closed


def test_slivers_and_points_for_triangles_are_baked(fine: Mesh) -> None:
    few = replace(
        fine,
        vertices=np.array([[0, 0, 0.05], [0.05, 0, 0.05], [0.02, 1e-7, 0.05]], "f4"),
        normals=np.tile(np.array([0, 0, 1], "f4"), (3, 1)),
        colors=np.zeros((3, 3), "u1"),
        faces=np.array([[0, 1, 2], [0, 0, 1], [2, 2, 2]], "i4"),
    )
    baked = bake_colors(few, fine)
    assert baked.uv is not None
    assert np.isfinite(baked.uv).all()
    assert baked.uv.min() >= 0.0
    assert baked.uv.max() <= 1.0


def test_colours_are_interpolated_on_the_nearest_triangle() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "f4")
    faces = np.array([[0, 1, 2]], "i4")
    colors = np.array([[240, 0, 0], [0, 240, 0], [0, 0, 240]], "u1")
    mesh = Mesh(vertices, faces, vertex_normals(vertices, faces), colors)
    found = colors_at(np.array([[0.25, 0.25, 0.1], [2.0, 0.0, 0.0], [-1.0, -1.0, 0.0]]), mesh)
    assert np.allclose(found, [[120, 60, 60], [0, 240, 0], [240, 0, 0]], atol=1e-3)


def test_a_texture_that_meshes_share_is_uploaded_once(coarse: Mesh) -> None:
    renderer = Renderer([coarse, replace(coarse)])
    assert len(renderer.textures) == 1
