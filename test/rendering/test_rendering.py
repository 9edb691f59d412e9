"""The renderer's depth, masks, visibility and boxes against closed-form shapes."""

from dataclasses import replace

import numpy as np
import pytest

from cope_training.rendering.camera import clip_from_cam
from cope_training.rendering.meshes import Mesh
from cope_training.rendering.primitives import ball, cuboid, sheet
from cope_training.rendering.renderer import Renderer
from cope_training.rendering.scene import Light, Lighting, Material, Pattern, Placement

SIZE = (120, 90)
K = np.array([[150.0, 0.0, 57.3], [0.0, 140.0, 46.8], [0.0, 0.0, 1.0]])
BALL, CUBE, SHEET = 0, 1, 2


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer([ball(96, 160), cuboid(), sheet()])


def pose(t: tuple[float, float, float], R: np.ndarray | None = None, scale: float = 1.0):
    T = np.eye(4)
    T[:3, :3] = (np.eye(3) if R is None else R) * scale
    T[:3, 3] = t
    return T


def rays() -> np.ndarray:
    """(H, W, 3) points at z = 1 through the pixel centres."""
    v, u = np.mgrid[: SIZE[1], : SIZE[0]].astype(float)
    return np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], axis=-1)


def test_projection_puts_pixel_centres_at_integers():
    P = clip_from_cam(K, *SIZE)
    point = np.array([0.1, -0.05, 0.7, 1.0])
    clip = P @ point
    ndc = clip[:2] / clip[3]
    u, v = K[0, 0] * 0.1 / 0.7 + K[0, 2], K[1, 1] * -0.05 / 0.7 + K[1, 2]
    # GL's pixel i covers i..i+1 of the viewport, its centre is i + 0.5
    assert np.allclose((ndc + 1) / 2 * SIZE, [u + 0.5, v + 0.5])


def test_ball_matches_the_ray_sphere_intersection(renderer):
    center, radius = np.array([0.03, -0.02, 0.8]), 0.12
    drawn = renderer.render([Placement(BALL, pose(tuple(center), scale=2 * radius))], K, SIZE)
    way = rays()
    a, b = (way**2).sum(-1), way @ center
    root = b**2 - a * (center @ center - radius**2)
    depth = np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, 0.0)
    expected, got = root > 0, drawn.instance_map == 0
    assert (expected != got).sum() <= 0.01 * expected.sum()  # facets cut the rim
    inner = expected & (root > 0.2 * root.max())
    assert np.abs(drawn.depth - depth)[inner].max() < 4e-4
    assert (drawn.depth[~got] == 0).all()


def test_tilted_plane_has_exact_depth(renderer):
    R = np.array([[0.96, 0.0, 0.28], [0.0, 1.0, 0.0], [-0.28, 0.0, 0.96]])
    T = pose((0.0, 0.0, 0.9), R, scale=3.0)
    drawn = renderer.render([Placement(SHEET, T)], K, SIZE)
    normal = R[:, 2]
    depth = (normal @ T[:3, 3]) / (rays() @ normal)
    assert (drawn.instance_map == 0).all()
    assert np.allclose(drawn.depth, depth, rtol=2e-6)


def test_cube_silhouette_is_exact(renderer):
    T = pose((-0.1, 0.05, 1.0), scale=0.3)
    drawn = renderer.render([Placement(CUBE, T)], K, SIZE)
    front = (np.abs(rays()[..., :2] * 0.85 - [-0.1, 0.05]) <= 0.15).all(-1)
    assert np.allclose(drawn.depth[front], 0.85, rtol=1e-6)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.15
    uvw = (corners + T[:3, 3]) @ K.T
    uv = uvw[:, :2] / uvw[:, 2:]
    assert np.allclose(drawn.boxes[0], [*uv.min(0), *uv.max(0)], atol=1e-4)
    rows, columns = np.nonzero(drawn.instance_map == 0)
    low, high = np.ceil(uv.min(0)), np.floor(uv.max(0))
    extremes = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert extremes == [*low, *high]


def test_visibility_is_one_half_behind_a_half_cover(renderer):
    far = Placement(SHEET, pose((0.0, 0.0, 1.0), scale=0.4))
    # The cover's left edge projects onto the middle of the far square.
    cover = Placement(CUBE, pose((0.25, 0.0, 0.55), scale=0.5))
    drawn = renderer.render([far, cover], K, SIZE)
    assert drawn.visibility[0] == pytest.approx(0.5, abs=0.02)
    assert drawn.visibility[1] > 0
    as_clutter = renderer.render([far], K, SIZE, clutter=[cover])
    assert as_clutter.visibility[0] == drawn.visibility[0]
    assert set(np.unique(as_clutter.instance_map)) == {-1, 0}


def test_visibility_counts_what_lies_outside_the_image(renderer):
    edge_x = (-0.5 - K[0, 2]) / K[0, 0]  # the image's left border at z = 1
    drawn = renderer.render([Placement(SHEET, pose((edge_x, 0.0, 1.0), scale=0.3))], K, SIZE)
    assert drawn.visibility[0] == pytest.approx(0.5, abs=0.02)
    gone = renderer.render([Placement(SHEET, pose((9.0, 0.0, 1.0), scale=0.3))], K, SIZE)
    assert gone.visibility[0] == 0.0


def test_every_object_alone_is_fully_visible(renderer):
    rng = np.random.default_rng(1)
    for _ in range(20):
        R, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        R *= np.sign(np.linalg.det(R))
        T = pose((0.0, 0.0, rng.uniform(0.8, 2.0)), R, scale=0.2)
        assert renderer.render([Placement(CUBE, T)], K, SIZE).visibility[0] > 0.995


def test_no_instances_gives_the_background(renderer):
    background = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    drawn = renderer.render([], K, SIZE, background=background)
    assert (drawn.image == background).all()
    assert drawn.visibility.shape == (0,)
    assert drawn.boxes.shape == (0, 4)
    assert (drawn.instance_map == -1).all()


def test_shading_follows_lamberts_law(renderer):
    R = np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]])  # the sheet faces the camera
    wall = Placement(SHEET, pose((0, 0, 1.0), R, scale=3.0), Material(specular=0.0))
    for angle in (0.0, 0.6, 1.2):
        way = np.array([np.sin(angle), 0.0, -np.cos(angle), 0.0])
        zero = np.zeros(3)
        light = Lighting((Light(way, np.full(3, 0.8)),), np.array([0, -1.0, 0]), zero, zero)
        value = renderer.render([wall], K, SIZE, light).image[40, 60] / 255.0
        assert value**2 == pytest.approx(0.8 * np.cos(angle), abs=0.01)


def test_edges_are_smoothed_and_inner_pixels_are_not_mixed(renderer):
    T = pose((0.0, 0.0, 1.0), np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]]), scale=0.3)
    drawn = renderer.render([Placement(SHEET, T)], K, SIZE, Lighting.plain())
    assert len(np.unique(drawn.image[..., 1])) > 3


def test_many_instances_share_several_sheets(renderer):
    """Silhouettes that do not fit one sheet are still all counted."""
    T = [pose((0.0, 0.0, 0.4 + 0.001 * i), scale=0.7) for i in range(60)]
    drawn = renderer.render([Placement(SHEET, t) for t in T], K, SIZE)
    assert drawn.visibility[0] > 0.05
    assert (drawn.visibility[1:] == 0).all()


def test_openness_is_recognised():
    closed = cuboid()
    assert closed.is_closed
    opened = Mesh(closed.vertices, closed.faces[2:], closed.normals, closed.colors)
    assert not opened.is_closed
    inside_out = Mesh(closed.vertices, closed.faces[:, ::-1], closed.normals, closed.colors)
    assert not inside_out.is_closed
    assert not sheet().is_closed


def test_colours_fade_to_the_mean_of_the_mesh():
    colors = np.array([[250, 0, 0], [250, 0, 0], [0, 0, 250], [0, 0, 250]], np.uint8)
    plain = sheet()
    mesh = replace(plain, colors=colors)
    renderer = Renderer([mesh])
    R = np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]])
    bright = np.ones(3)
    light = Lighting((), np.array([0, -1.0, 0]), bright, bright)

    def picture(fade: float) -> np.ndarray:
        wall = Placement(0, pose((0, 0, 1.0), R, scale=1.0), Material(specular=0.0, fade=fade))
        return renderer.picture([wall], K, SIZE, light).astype(int)

    mean = 250 * np.sqrt(0.5)
    assert np.abs(picture(1.0) - [mean, 0, mean]).max() <= 1
    assert np.ptp(picture(0.0)[..., 0]) > 60
    half = np.sqrt(0.5 * (picture(0.0) ** 2 + np.array([mean, 0, mean]) ** 2))
    assert np.abs(picture(0.5) - half).max() <= 2
    assert np.ptp(picture(-0.5)[..., 0]) > 1.2 * np.ptp(picture(0.0)[..., 0])


def test_colours_can_be_more_or_less_vivid():
    mesh = replace(sheet(), colors=np.tile(np.array([[200, 100, 100]], np.uint8), (4, 1)))
    renderer = Renderer([mesh])
    bright = np.ones(3)
    light = Lighting((), np.array([0, -1.0, 0]), bright, bright)
    R = np.diag([1.0, -1.0, -1.0])
    for vivid in (0.0, 0.5, 1.0, 1.6, 4.0):
        wall = Placement(0, pose((0, 0, 1.0), R, scale=1.0), Material(specular=0.0, vivid=vivid))
        seen = renderer.picture([wall], K, SIZE, light)[SIZE[1] // 2, SIZE[0] // 2]
        own = np.array([200.0, 100, 100]) ** 2
        wanted = np.sqrt((own.mean() + vivid * (own - own.mean())).clip(0, 255**2))
        assert np.abs(seen - wanted).max() <= 2, vivid


def test_patterns_are_stripes_in_the_meshs_frame():
    renderer = Renderer([sheet()])
    R = np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]])
    light = Lighting((), np.array([0, -1.0, 0]), np.full(3, 0.3), np.full(3, 0.3))
    waves = np.zeros((3, 4))
    waves[0] = [2 * np.pi / 0.1, 0, 0, 0.4]  # along x, every 10 cm
    colors = np.zeros((3, 3))
    colors[0] = [0.5, 0.0, -0.3]

    def picture(pattern: Pattern | None) -> np.ndarray:
        wall = Placement(0, pose((0, 0, 1.0), R), Material(specular=0.0, pattern=pattern))
        return renderer.picture([wall], K, SIZE, light).astype(float)

    plain, x = picture(None), rays()[45, :, 0]
    inside = np.abs(x) < 0.3
    for hardness in (1.0, 6.0):
        striped = picture(Pattern(waves, colors, hardness))
        wave = np.clip(hardness * np.sin(2 * np.pi / 0.1 * x + 0.4), -1, 1)
        expected = plain[45] * np.exp(0.5 * wave[:, None] * colors[0])
        steep = np.abs(np.gradient(wave)) > 0.3
        assert np.abs(striped[45] - expected)[inside & ~steep].max() < 3
        assert np.ptp(striped[45, inside, 0]) > 40
