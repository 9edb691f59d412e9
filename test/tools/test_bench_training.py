"""The training benchmark measures rates and names what limits a training."""

import json
import time
from pathlib import Path

import pytest
import yaml

from cope_training.bench import training
from cope_training.engine.configuration import load_config

ROOT = Path(__file__).resolve().parents[2]


def test_rates_count_images_over_time() -> None:
    calls = []

    def call(number: int) -> None:
        calls.append(number)
        time.sleep(0.01)

    got = training.rate(call, images=4, seconds=0.2)
    assert 100 < got <= 400
    assert calls == list(range(len(calls)))


def test_the_benchmark_writes_what_it_measured(tmp_path: Path, egl: None) -> None:
    plain = load_config(ROOT / "config" / "training" / "object.yaml").to_dict()
    plain |= {"batch": 2, "pretrained": ""}
    plain["data"]["meshes"] = "no/such/folder"
    plain["data"]["scene"] |= {"crop_size": 64}
    config, out = tmp_path / "tiny.yaml", tmp_path / "bench" / "train.json"
    config.write_text(yaml.safe_dump(plain))
    arguments = ["--config", str(config), "--out", str(out), "--seconds", "0.2"]
    assert training.main([*arguments, "--device", "cpu"]) == 1
    arguments += ["--meshes", str(ROOT / "models" / "demo")]
    assert training.main([*arguments, "--device", "cpu"]) == 0
    result = json.loads(out.read_text())
    assert (result["image_size"], result["batch"]) == ([64, 64], 2)
    rates = ("render_per_s", "targets_per_s", "augment_per_s", "step_per_s")
    assert all(result[name] > 0 for name in rates)
    data = 1 / (1 / result["render_per_s"] + 1 / result["targets_per_s"])
    assert result["data_per_s_and_core"] == pytest.approx(data, abs=0.02)
    limits = "step" if data >= result["step_per_s"] else "data of one core"
    assert result["bottleneck"] == limits
    assert training.main(["--config", str(tmp_path / "none.yaml")]) == 1
