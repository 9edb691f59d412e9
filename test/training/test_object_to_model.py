"""From one mesh to a running model: the worked example of docs/training.md, in seconds."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from test_object import previews, write_textured_box

from cope_ros.core.deployment.runtime import Estimator
from cope_training import object, render, train
from cope_training.data.bop_reader import BopDataset
from cope_training.engine.configuration import load_config

__all__ = ["previews"]  # the fixture that leaves pictures out

ROOT = Path(__file__).resolve().parents[2]


def test_one_mesh_in_one_running_model_out(tmp_path: Path, egl: None) -> None:
    pytest.importorskip("mujoco", reason="needs mujoco: no training was validated")
    out, model = tmp_path / "mine", tmp_path / "mine" / "model.pt"
    mesh = write_textured_box(tmp_path / "tea.glb")
    assert object.main([str(mesh), "--out", str(out), "--name", "tea box"]) == 0
    plain = load_config(ROOT / "config" / "training" / "object.yaml").to_dict()
    plain |= {"pose_pretraining": 5, "batch": 2, "samples": 4, "pretrained": ""}
    plain["data"]["scene"] |= {"crop_size": 64}
    plain["validation"] |= {"scenes": 1, "views": 1}
    plain["finishing"] |= {"negative_images": 1, "calibration_images": 1, "held_out_images": 1}
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(plain))
    arguments = ["--config", str(config), "--meshes", str(out), "--out", str(tmp_path / "train")]
    arguments += ["--export", str(model), "--device", "cpu", "--processes", "2"]
    assert train.main(arguments) == 0
    for name in ("README.md", "contact_sheet.jpg", "curve.png", "model.sha256", "meshes"):
        assert (out / name).exists(), name
    assert "1 rendered validation images" in (out / "README.md").read_text()
    images = tmp_path / "images"
    small = ["--size", "160", "128", "--focal", "120", "140", "--apparent-size", "30", "60"]
    wanted = ["--frames", "1", "--instances", "1", "2", "--split", "test", *small]
    assert render.main([str(out), str(images), *wanted]) == 0
    estimator = Estimator.load(model, "cpu")
    assert estimator.catalogue.class_ids == ("tea box",)
    estimator.configure(score_threshold=0.0)
    frame = BopDataset(images / "test", estimator.catalogue)[0]
    found = estimator.estimate(frame.image, frame.K)
    # Four images teach nothing; what is found, if anything, is of the object's kind.
    assert found.t.shape == (len(found), 3)
    assert set(found.class_index.tolist()) <= {0}
    assert estimator.metadata["training"]["samples"] == 4
    distance = torch.jit.load(str(model)).state_dict()["network.instance_head.surface.distance"]
    assert distance.min() < -0.05 < 0.3 < distance.max()  # the box is in the file
    info = json.loads((out / "models_info.json").read_text())
    assert info["1"]["name"] == "tea box"
