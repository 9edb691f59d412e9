"""The path tracer sees what the raster renderer labels; with ``bpy`` at hand it renders, too."""

import math
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cope_ros.core.errors import CopeError
from cope_training.render import main
from cope_training.rendering.cycles.look import Look, environments, random_look
from cope_training.rendering.cycles.process import FOLDER, PathTracer, blender_folder
from cope_training.rendering.cycles.translation import (
    camera_values,
    lights,
    pattern_at,
    world_from_cam,
)
from cope_training.rendering.scene import Light, Lighting, Pattern
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.scenes import compose_scene, take
from cope_training.rendering.studio import Studio, load_objects

MODELS = Path(__file__).resolve().parents[2] / "models" / "demo"
needs_bpy = pytest.mark.skipif(blender_folder() is None, reason="Blender's package bpy is missing")
SMALL = ["--size", "64", "48", "--focal", "60", "70", "--apparent-size", "15", "30"]


def test_camera_projects_as_the_intrinsics_do() -> None:
    K = np.array([[310.0, 0, 170.3], [0, 302.0, 98.7], [0, 0, 1]])
    for matrix in (K, np.array([[300.0, 0, 150], [0, 309.0, 130], [0, 0, 1]])):
        values = camera_values(matrix, (320, 240), Look.plain(), 1.0)
        x, y, z = 0.3, -0.2, 0.9
        # Blender's manual: the sensor's width spans the picture, shifts are shares of it; the
        # picture's height in pixels shrinks with their aspect.
        u = 320 * (values["lens"] / values["sensor"] * x / z - values["shift_x"]) + 160
        tall = values["aspect_y"] / values["aspect_x"]
        v = 320 * (values["lens"] / values["sensor"] * y / z + values["shift_y"]) / tall + 120
        expected = matrix @ [x, y, z] / z
        assert (u - 0.5, v - 0.5) == pytest.approx(expected[:2], abs=1e-9)
        assert min(values["aspect_x"], values["aspect_y"]) == 1.0


def test_a_lens_blurs_as_many_pixels_as_asked_for() -> None:
    look = Look(None, False, 1.0, 0.0, 0.1, 2.0, np.zeros(2), 0)
    values = camera_values(np.diag([400.0, 400.0, 1.0]), (320, 240), look, 0.8)
    aperture = 1e-3 * values["lens"] / values["fstop"]  # m, thin lens focused at 0.8 m
    assert 400.0 * aperture * (1 / 0.8 - 1 / 0.96) == pytest.approx(2.0)
    assert camera_values(np.eye(3), (8, 8), Look.plain(), 1.0)["fstop"] == 0.0


def test_the_world_stands_upright() -> None:
    for up in ([0.1, -0.9, -0.3], [0.0, 0.0, -1.0], [0, -1, 0]):
        T = world_from_cam(np.array(up), 0.7)
        R = T[:3, :3]
        assert pytest.approx(np.eye(3), abs=1e-12) == R @ R.T
        assert np.linalg.det(R) == pytest.approx(1.0)
        assert pytest.approx([0, 0, 1], abs=1e-12) == R @ (up / np.linalg.norm(up))
    turn = world_from_cam(np.array([0, -1.0, 0]), 0.3) @ world_from_cam(np.array([0, -1.0, 0]), 0).T
    assert math.atan2(abs(turn[1, 0]), turn[0, 0]) == pytest.approx(0.3)


def test_white_stays_white_under_either_renderers_lamps() -> None:
    color = np.array([0.9, 1.0, 1.1])
    distant, near = (
        Light(np.array([0, -1.0, 0, 0]), color),
        Light(np.array([0, -2.0, 1.0, 1]), color),
    )
    lighting = Lighting((distant, near), np.array([0, -1.0, 0]), np.ones(3), np.ones(3))
    sun, lamp = lights(lighting, np.eye(4), 1.0, Look.plain())
    assert np.array(sun["energy"]) / np.pi == pytest.approx(color)  # irradiance to radiance
    irradiance = np.array(lamp["energy"]) / (np.pi * 2.0**2)  # on the axis, 2 m away
    assert irradiance / np.pi == pytest.approx(color)
    assert lamp["direction"] == pytest.approx([0, -1, 0])


def test_patterns_are_the_shaders() -> None:
    waves = np.array([[100.0, 0, 0, 0.5], [0, 0, 0, 0], [0, 0, 0, 0]])
    pattern = Pattern(waves, np.array([[0.2, 0.0, -0.2], [0, 0, 0], [0, 0, 0]]), hardness=3.0)
    factors = pattern_at(np.array([[0.0, 0, 0], [0.01, 0, 0]]), pattern)
    steps = [min(3 * math.sin(0.5), 1.0), min(3 * math.sin(1.5), 1.0)]
    assert factors == pytest.approx(np.exp(np.outer(steps, [0.2, 0, -0.2])), rel=1e-6)


def test_looks_differ_and_name_pictures_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "room.hdr").write_bytes(b"")
    looks = [random_look(np.random.default_rng(i), environments(tmp_path)) for i in range(40)]
    assert {look.environment for look in looks} == {tmp_path / "room.hdr", None}
    assert all(look.environment for look in looks if look.show_environment)
    assert 0 < sum(look.defocus > 0 for look in looks) < 40
    with pytest.raises(CopeError, match="found none"):
        environments(tmp_path / "other")


def test_without_blender_one_plain_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    out = tmp_path / "out"
    assert main([str(MODELS), str(out), "--renderer", "cycles", "--frames", "1"]) == 1
    error = capsys.readouterr().err.strip()
    assert "bpy" in error
    assert "\n" not in error
    assert not out.exists()


@needs_bpy
def test_labels_agree_with_the_raster_renderer(egl: object) -> None:
    config = SceneConfig(
        image_width=160, image_height=120, focal_min=140, focal_max=165, size_min=25, size_max=40,
        resting_share=1.0, empty_share=0.0, clutter_max=4,
    )  # fmt: skip
    studio = Studio(load_objects(MODELS), None, 3, pictures=4)
    shot = compose_scene(np.random.default_rng(5), studio, config, 8)
    frame, _ = take(studio, shot)
    drawn = [*shot.instances, *shot.clutter]
    depth, numbers = studio.renderer.draw_labels(drawn, shot.K, shot.size)
    with closing(PathTracer(samples=4, threads=1)) as tracer:
        traced_depth, traced = tracer.labels(shot, studio.renderer)
        picture = tracer.render(shot, studio.renderer, Look.plain())
    assert len(np.unique(numbers)) > 5
    same = traced == numbers
    assert same.mean() > 0.999
    assert np.abs(traced_depth - depth)[same].max() < 1e-3
    moved = [(np.roll(traced, s, axis) == numbers).mean() for s in (-1, 1) for axis in (0, 1)]
    assert max(moved) < same.mean() - 0.01  # half a pixel off would show
    # Light differs, colours stay: the pictures are alike.
    a, b = frame.image.astype(float), picture.astype(float)
    assert picture.shape == frame.image.shape
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.8
    assert abs(a.mean() - b.mean()) < 25


@needs_bpy
def test_rendering_goes_on_where_it_stopped(
    egl: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(MODELS), str(tmp_path), "--renderer", "cycles", "--samples", "1", "--instances",
               "2", "3", *SMALL]  # fmt: skip
    assert main([*command, "--frames", "1"]) == 0
    kept = tmp_path / "path_traced" / "train_pbr" / "000000.png"
    Image.new("RGB", (64, 48), (1, 2, 3)).save(kept)  # told apart from one rendered anew
    assert main([*command, "--frames", "2"]) == 0
    rgb = tmp_path / "train_pbr" / "000000" / "rgb"
    assert np.asarray(Image.open(rgb / "000000.png"))[0, 0].tolist() == [1, 2, 3]
    assert np.asarray(Image.open(rgb / "000001.png")).std() > 3
    assert main([*command, "--frames", "2", "--seed", "9"]) == 1
    assert "--seed 0" in capsys.readouterr().err
