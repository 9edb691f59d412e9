"""The picture of six sides: what is seen from where, at which size, with which letters."""

import numpy as np
import pytest
from mesh_files import FACES, POINTS

from cope_training.rendering.meshes import Mesh, vertex_normals
from cope_training.rendering.preview import HEAD, PANEL, VIEWS, preview


def pyramid(color: tuple[int, int, int], shift: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    """0.1 m, its tip along +z; its base, which is seen from -z alone, green."""
    points = np.array([POINTS[i] for face in FACES for i in face]) * 0.1 + shift
    faces = np.arange(len(points)).reshape(-1, 3)
    colors = np.tile(np.array(color, dtype=np.uint8), (len(points), 1))
    colors[:6] = (0, 200, 0)
    return Mesh(points.astype("f4"), faces.astype("i4"), vertex_normals(points, faces), colors)


def panels(mesh: Mesh) -> dict[str, np.ndarray]:
    sheet = preview(mesh, "a").astype(int)
    assert sheet.shape == (HEAD + 2 * PANEL, 3 * PANEL, 3)
    rows = [(HEAD + i // 3 * PANEL, i % 3 * PANEL) for i in range(6)]
    cut = (sheet[y : y + PANEL, x : x + PANEL] for y, x in rows)
    return dict(zip((name for name, _, _ in VIEWS), cut, strict=True))


def test_each_view_shows_its_side(egl: None) -> None:
    views = panels(pyramid((200, 0, 0)))
    middle = {n: v[PANEL // 2 + 20 : PANEL // 2 + 40, PANEL // 2] for n, v in views.items()}
    green = {name for name, pixels in middle.items() if (pixels[:, 1] > pixels[:, 0] + 40).all()}
    assert green == {"-z"}
    red = {name for name, pixels in middle.items() if (pixels[:, 0] > pixels[:, 1] + 40).all()}
    assert red == {"+x", "-x", "+y", "-y", "+z"}
    for name in ("+x", "-y"):  # the tip is up, and nothing is cut off
        seen = (views[name][40:, 110:210, 0] - views[name][40:, 110:210, 1]) > 40
        assert seen[:40].sum() < seen[60:160].sum()
        assert not seen[-20:].any()


@pytest.mark.parametrize("level", [10, 128, 245])
def test_the_ground_differs_from_the_object(level: int, egl: None) -> None:
    mesh = pyramid((level, level, level))
    mesh.colors[:] = level
    view = panels(mesh)["+z"]
    assert np.abs(view[PANEL // 2 + 30, PANEL // 2] - view[20, PANEL // 2]).max() > 50


def test_an_origin_far_away_is_said(egl: None) -> None:
    near, far = panels(pyramid((200, 0, 0))), panels(pyramid((200, 0, 0), (3.0, 0.0, 0.0)))
    corner = np.s_[5:20, PANEL - 100 : PANEL - 8]
    assert np.ptp(near["+z"][corner]) == 0
    assert np.ptp(far["+z"][corner]) > 100
