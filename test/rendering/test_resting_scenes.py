"""Objects at rest under simulated gravity, of any size and shape, and sets of pictures of them."""

import json
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import trimesh

from cope_training.evaluation.metrics import find_scenes, read_ground_truth
from cope_training.rendering import resting_scenes
from cope_training.rendering.settling import settle
from cope_training.rendering.tray import Tray

pytest.importorskip("mujoco", reason="needs mujoco: that objects come to rest is not shown")
BOX = np.array([[x, y, z] for x in (-0.05, 0.05) for y in (-0.04, 0.04) for z in (-0.03, 0.03)])
SHEET = np.array([[0.0, 0, 0], [0.2, 0, 0], [0.2, 0.1, 0], [0, 0.1, 0]])
SINKING = 0.004  # m, contacts are soft


def lowest(points: np.ndarray, T: np.ndarray) -> float:
    return float((points @ T[:3, :3].T + T[:3, 3])[:, 2].min())


def test_objects_lie_in_their_tray_and_on_one_another() -> None:
    tray = Tray(0.3, 0.25, 0.1)
    shapes = [BOX, SHEET, BOX + 0.2, trimesh.creation.cylinder(0.03, 0.1).vertices]
    T = settle(np.random.default_rng(0), shapes, tray, 0.3)
    assert np.linalg.det(T[:, :3, :3]) == pytest.approx(np.ones(4))
    for points, pose in zip(shapes, T, strict=True):
        assert lowest(points, pose) > -SINKING
        middle = points.mean(axis=0) @ pose[:3, :3].T + pose[:3, 3]
        assert (np.abs(middle[:2]) < [0.15, 0.125]).all()
    assert min(lowest(*both) for both in zip(shapes, T, strict=True)) < 0.01
    again = settle(np.random.default_rng(0), shapes, tray, 0.3)
    assert np.array_equal(T, again)


def test_what_stands_upright_stays_so() -> None:
    T = settle(np.random.default_rng(1), [BOX], Tray(0.6, 0.4, 0.0), 1.0)[0]
    assert T[2, 2] == pytest.approx(1.0, abs=1e-3)
    assert lowest(BOX, T) == pytest.approx(0.0, abs=SINKING)


@pytest.mark.usefixtures("egl")
@pytest.mark.parametrize("size", [0.03, 1.5])
def test_a_set_shows_objects_of_any_size_alike(
    size: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = trimesh.creation.box(1e3 * size * np.array([0.8, 0.5, 0.33]))
    (tmp_path / "models" / "meshes").mkdir(parents=True)
    mesh.export(tmp_path / "models" / "meshes" / "obj_000001.ply")
    low, extent = mesh.bounds[0], np.ptp(mesh.bounds, axis=0)
    entry = {"diameter": float(np.linalg.norm(extent))}
    entry |= {f"min_{a}": float(v) for a, v in zip("xyz", low, strict=True)}
    entry |= {f"size_{a}": float(v) for a, v in zip("xyz", extent, strict=True)}
    (tmp_path / "models" / "models_info.json").write_text(json.dumps({"1": entry}))
    monkeypatch.setattr(resting_scenes, "INSTANCES", (5, 5))
    reading = Mock(wraps=resting_scenes.load_objects)
    monkeypatch.setattr(resting_scenes, "load_objects", reading)
    resting_scenes.make_scenes(tmp_path / "models", tmp_path / "set", 2, 1, 3)
    reading.assert_called_once()  # large meshes take seconds to simplify
    scenes = find_scenes(tmp_path / "set", resting_scenes.SPLIT)
    gts = read_ground_truth(scenes)
    assert len(gts.images) == 2
    assert len(gts) == 10
    assert (gts.visibility > 0.5).sum() >= 6
    apparent = gts.K[gts.images[0]][0, 0] * 1e-3 * entry["diameter"] / gts.t[:, 2]
    assert ((apparent > 60) & (apparent < 300)).all()
