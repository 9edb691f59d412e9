"""The demonstration's pictures and its table."""

import io
from pathlib import Path

import cv2
import demo_scene
import numpy as np
import pytest

from cope_ros.output.debug_image import project
from cope_training.evaluation.metrics import load_objects
from demo.overlay import (
    Drawable,
    caption,
    contact_sheet,
    draw,
    enlarge,
    make_drawable,
    save,
)
from demo.record import Pose, Processed
from demo.table import Table, euler_degrees, table_lines

GRAY = np.full((120, 160, 3), 128, dtype=np.uint8)


@pytest.fixture(scope="module")
def drawables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drawable]:
    """Both boxes."""
    folder = tmp_path_factory.mktemp("model")
    catalogue = demo_scene.write_model(folder)
    objects = load_objects(folder)
    return {o.class_id: make_drawable(o, i, objects[o.obj_id]) for i, o in enumerate(catalogue)}


def at(x: float, y: float, z: float, name: str = "brick") -> Pose:
    """A box facing the camera, in metres."""
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return Pose(name, f"cope_{name}_0", 0.9, T)


def changed(picture: np.ndarray) -> np.ndarray:
    """(H, W) bool: where a picture differs from the gray image."""
    return (picture != GRAY).any(axis=2)


def test_silhouette_covers_the_projected_box(drawables: dict[str, Drawable]) -> None:
    """A brick of 60 x 40 mm, its near face at 0.29 m: 31 x 21 px around the centre."""
    picture = draw(GRAY, demo_scene.K, [at(0, 0, 0.3)], drawables)
    rows, columns = np.nonzero(changed(picture))
    half_width, half_height = 150 * 0.03 / 0.29, 152 * 0.02 / 0.29
    assert columns.min() == pytest.approx(80 - half_width, abs=2)
    assert columns.max() == pytest.approx(80 + half_width, abs=2)
    assert rows.min() == pytest.approx(60 - half_height, abs=2)
    # Below, the y axis reaches farther: 0.35 diameters at the origin's depth.
    axis = 152 * drawables["brick"].axis_length / 0.3
    assert rows.max() == pytest.approx(60 + axis, abs=2)
    inner = changed(picture)[52:69, 68:93]
    assert inner.all()


def test_nearer_instance_covers_the_farther(drawables: dict[str, Drawable]) -> None:
    """The tint between the lines is the nearer one's, whatever the order of the detections."""
    near, far = at(0, 0, 0.3), at(0.005, 0, 0.6, "wedge")
    one = draw(GRAY, demo_scene.K, [near, far], drawables)
    other = draw(GRAY, demo_scene.K, [far, near], drawables)
    alone = draw(GRAY, demo_scene.K, [near], drawables)
    assert np.array_equal(one, other)
    assert np.array_equal(one[52:55, 67:69], alone[52:55, 67:69])


def test_what_cannot_be_drawn_is_left_out(drawables: dict[str, Drawable]) -> None:
    """Behind the camera, of an unknown class, or far outside the image."""
    poses = [at(0, 0, -0.5), at(0, 0, 0.5, "stranger"), at(50, 0, 0.3)]
    assert not changed(draw(GRAY, demo_scene.K, poses, drawables)).any()


def test_instances_across_the_border_are_drawn(drawables: dict[str, Drawable]) -> None:
    """Half of it is outside."""
    picture = draw(GRAY, demo_scene.K, [at(-0.16, 0, 0.3)], drawables)
    assert changed(picture)[60, 0]


def test_enlarging_keeps_pixel_centres() -> None:
    """A point lands on the centre of the block of pixels that its pixel became."""
    image, K = enlarge(GRAY, demo_scene.K, 640)
    assert image.shape == (480, 640, 3)
    point = np.array([[0.01, -0.02, 0.4]])
    small, large = (project(k, np.eye(4), point)[0] for k in (demo_scene.K, K))
    assert large == pytest.approx(4 * small + 1.5)
    assert enlarge(GRAY, demo_scene.K, 200)[0] is GRAY


def test_sheet_holds_every_picture_and_is_saved(tmp_path: Path) -> None:
    """Five pictures in rows of two, read back from a file."""
    pictures = [np.full((120, 160, 3), 40 * i + 40, dtype=np.uint8) for i in range(5)]
    path = tmp_path / "sheet.png"
    save(path, contact_sheet(pictures, columns=2, width=80))
    sheet = cv2.imread(str(path))
    assert sheet.shape == (3 * 66 + 6, 2 * 86 + 6, 3)
    assert {int(v) for v in np.unique(sheet)} == {24, 40, 80, 120, 160, 200}


def test_caption_writes_on_the_lower_edge_alone() -> None:
    """The rest of the picture is as before."""
    picture = caption(GRAY, "frame 1", {"brick": (255, 0, 0)})
    assert not changed(picture)[:110].any()
    assert changed(picture)[118].all()


def test_table_shows_every_instance() -> None:
    """Class, id, position, angles, score and latency, the nearest first."""
    frame = Processed(0, 41.7, (at(0.1, -0.2, 0.9, "wedge"), at(0, 0, 0.3)))
    title, _, _, first, second = table_lines(frame, 7)
    assert title == "frame 7: 2 instances, latency 42 ms"
    assert first.split()[:5] == ["brick", "cope_brick_0", "0.000", "0.000", "0.300"]
    assert [float(word) for word in first.split()[5:]] == [0.0, 0.0, 0.0, 0.9]
    assert second.split()[:5] == ["wedge", "cope_wedge_0", "0.100", "-0.200", "0.900"]


def test_angles_turn_about_fixed_axes() -> None:
    """R = Rz(yaw) Ry(pitch) Rx(roll), as REP-103 has it."""
    a, b, c = np.radians([10, 20, 30])
    Rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    Ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    Rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    assert euler_degrees(Rz @ Ry @ Rx) == pytest.approx([10, 20, 30])


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Always."""
        return True


def test_terminal_is_redrawn_and_a_log_is_not_flooded() -> None:
    """In place: the cursor goes up by what was written. In a log: one table for a while."""
    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        table = Table(stream)
        for count in range(1, 4):
            table.show(Processed(0, 5.0, (at(0, 0, 0.3),)), count)
    assert terminal.getvalue().count("\x1b[4A\x1b[J") == 2
    assert log.getvalue().count("frame") == 1
    assert "\x1b" not in log.getvalue()
