"""Whether a BOP scene's files are of the same objects, where only all together can tell."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cope_ros.core.catalogue import Catalogue
from cope_training.data import notes
from cope_training.data.bop_scene import read_scene_truth

SEQUENCE = Path(__file__).resolve().parents[2] / "models" / "demo" / "sequence"


def test_transposed_rotations_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transposed rotation is a rotation: only the boxes of the silhouettes tell."""
    monkeypatch.setattr(notes, "_said", set())
    scene = tmp_path / "000001"
    scene.mkdir()
    for name in ("scene_gt.json", "scene_gt_info.json", "scene_camera.json"):
        shutil.copy(SEQUENCE / "000001" / name, scene)
    objects = Catalogue.from_models_info(SEQUENCE.parent / "models_info.json")
    read_scene_truth(scene, catalogue=objects)
    assert "transposed" not in caplog.text
    content = json.loads((scene / "scene_gt.json").read_text())
    for entry in (entry for row in content.values() for entry in row):
        entry["cam_R_m2c"] = np.reshape(entry["cam_R_m2c"], (3, 3)).T.ravel().tolist()
    (scene / "scene_gt.json").write_text(json.dumps(content))
    read_scene_truth(scene, catalogue=objects)
    assert "cam_R_m2c: transposed they fit bbox_obj better" in caplog.text
