"""The ablation of supervisions: what each row trains, and the whole command in a tiny run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cope_ros.core.errors import CopeError
from cope_training import supervision
from cope_training.engine.configuration import LossConfig, load_config

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config" / "training" / "supervision.yaml"
ACTIVE = {
    "IM": {"key", "box", "cls"},
    "DR": {"key", "box", "cls", "tra", "rot"},
    "DR-P": {"key", "box", "cls", "tra", "rot", "proj"},
    "DR-PC": {"key", "box", "cls", "tra", "rot", "proj", "cons"},
}


@pytest.mark.parametrize("mode", ACTIVE)
def test_each_supervision_has_the_losses_of_table_3(mode: str) -> None:
    published = LossConfig()
    weights = published.supervised(mode)
    names = {"key", "box", "cls", "tra", "rot", "proj", "cons", "points", "init"}
    assert {n for n in names if getattr(weights, n)} == ACTIVE[mode]
    assert all(getattr(weights, n) == getattr(published, n) for n in ACTIVE[mode])
    assert weights.supervises_pose == (mode != "IM")


def test_point_matching_is_direct_supervision_too() -> None:
    improved = LossConfig(tra=0, rot=0, proj=0, cons=0, points=1.0, init=0.2)
    assert improved.supervised("DR") == improved
    assert not improved.supervised("IM").supervises_pose
    assert improved.supervised("") is improved


def test_what_cannot_be_supervised_is_refused() -> None:
    with pytest.raises(CopeError, match=r"expected one of .*, got 'DR-C'"):
        LossConfig().supervised("DR-C")
    with pytest.raises(CopeError, match=r"DR-PC: expected weights for loss\.cons, got 0"):
        replace(LossConfig(), cons=0.0).supervised("DR-PC")


def test_the_command_trains_scores_and_writes_the_table(tmp_path: Path, egl: None) -> None:
    plain = load_config(CONFIG).to_dict()
    plain |= {"pose_pretraining": 0, "batch": 2, "pretrained": ""}
    plain["data"]["meshes"] = str(ROOT / "models" / "demo")
    plain["data"]["scene"] |= {"crop_size": 64}
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(plain))
    arguments = ["--config", str(config), "--out", str(tmp_path / "out"), "--samples", "4"]
    arguments += ["--start-samples", "2", "--limit", "2", "--modes", "IM", "DR", "--device", "cpu"]
    arguments += ["--processes", "2", "--data", str(ROOT / "models" / "demo" / "sequence")]
    assert supervision.main(arguments) == 0
    result = json.loads((tmp_path / "out" / "supervision.json").read_text())
    assert (result["images"], result["samples"], result["start_samples"]) == (2, 4, 2)
    rows = {row["supervision"]: row["add_s_recall"] for row in result["rows"]}
    assert list(rows["IM"]) == ["RANSAC-EPnP"]
    assert set(rows["DR"]) == {"RANSAC-EPnP", "n=1", "n=5", "n=10", "mean of all"}
    text = (tmp_path / "out" / "supervision.md").read_text()
    assert "| IM | 0.000 | - |" in text
    assert text.count("\n| ") == 2
    assert supervision.main([*arguments[:-1], str(tmp_path / "nothing")]) == 1
