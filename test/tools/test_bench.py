"""The benchmark: planted scenes give what was planted, figures and report come from them."""

import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from core_factory import make_catalogue

from cope_ros.core.deployment.runtime import Estimate, Estimator
from cope_ros.core.errors import CopeError
from cope_ros.core.network.presets import PRESETS
from cope_training.bench import latency, measure
from cope_training.bench.agreement import compare
from cope_training.bench.candidates import Candidate, camera, random_preset, write_planted
from cope_training.bench.planted import COLUMNS, plant, plant_into
from cope_training.bench.report import write_report

ROOT = Path(__file__).resolve().parents[2]

SIZE = (320, 256)


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    made = random_preset("lite", make_catalogue())
    return Candidate(made.name, made.preset, None, made.network, made.config, made.catalogue, SIZE)


@pytest.fixture(scope="module")
def planted(candidate: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planted") / "model.pt"
    write_planted(candidate, path)
    return path


@pytest.mark.parametrize("count", [0, 1, 7, 40])
def test_as_many_instances_come_out_as_were_planted(
    candidate: Candidate, planted: Path, count: int
) -> None:
    estimator, K = Estimator.load(planted, "cpu"), camera(SIZE)
    outputs = plant(count, candidate.catalogue, candidate.by_diameter, SIZE, K)
    plant_into(estimator._model.network, outputs)
    found = estimator.estimate(np.zeros((SIZE[1], SIZE[0], 3), np.uint8), K.numpy())
    assert len(found) == count
    expected = [number % 3 for number in range(count)]
    assert sorted(found.class_index.tolist()) == sorted(expected)


def test_more_than_the_grid_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to 100, got 101"):
        plant(COLUMNS**2 + 1, make_catalogue(), True, SIZE, camera(SIZE))


def test_the_paper_preset_is_planted_by_its_own_scales() -> None:
    config, K = PRESETS["paper"], camera(SIZE)
    assert config.standardization == "diameter"
    by_diameter, by_stride = (plant(1, make_catalogue(), way, SIZE, K) for way in (True, False))
    rows = (by_diameter.logits[0, :, 0] > 0).nonzero().squeeze(1)
    assert len(rows) >= 4
    ratio = by_stride.boxes[0, rows] / by_diameter.boxes[0, rows]
    diameter_mm = 1e3 * make_catalogue()[0].diameter
    assert torch.allclose(ratio, torch.full_like(ratio, diameter_mm / 64.0), rtol=1e-4)


def test_cases_take_turns_and_preparing_is_not_timed() -> None:
    order: list[str] = []
    cases = {n: (lambda n=n: order.append(f"call {n}")) for n in (1, 2)}
    times = measure.interleaved(cases, 2, lambda n: order.append(f"prepare {n}"))
    assert order == ["prepare 1", "call 1", "prepare 2", "call 2"] * 2
    assert [len(values) for values in times.values()] == [2, 2]


def test_summary_by_hand() -> None:
    times = {1: [10.0, 10.0], 10: [11.0, 11.0], 50: [11.0, 11.0], 100: [12.0, 12.0]}
    found = {n: [n, n] for n in times}
    summary = latency._summary(times, found)
    assert summary["by_instances"] == {"1": 10.0, "10": 11.0, "50": 11.0, "100": 12.0}
    assert summary["p50_ms"] == 11.0
    assert summary["ratio_100_over_1"] == 1.2
    assert summary["found"]["50"] == 50


def test_stages_operations_and_report(candidate: Candidate, planted: Path, tmp_path: Path) -> None:
    estimator, K = Estimator.load(planted, "cpu"), camera(SIZE)
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    stages = measure.Stages(estimator._model, SIZE, torch.device("cpu"))
    ms = measure.stage_ms(stages, image, K, rounds=2)
    assert tuple(ms) == measure.STAGES
    assert ms["network"] > ms["copy"] > 0
    profile = measure.profile_table(stages, image, K)
    assert "convolution" in profile
    assert "== averaging" in profile
    times = {n: [5.0, 6.0] for n in latency.COUNTS}
    result = latency._summary(times, {n: [n] for n in times}) | {"stages_ms": ms}
    gflop = measure.gflop(candidate.network, SIZE)
    result |= {"scenes": "planted", "planted": dict(result), "peak_memory_mb": 900}
    result |= {"operations": 1234}
    result |= {"gflop": gflop, "achieved_over_floor": 2.0}
    (tmp_path / "profile_lite.txt").write_text(profile)
    write_report(tmp_path, {"device": "a <test>", "models": {"lite": result}})
    page = (tmp_path / "report.html").read_text()
    assert "a &lt;test&gt;" in page
    assert page.count("data:image/png;base64,") == 2
    markdown = (tmp_path / "report.md").read_text()
    assert "| lite | planted | 5.5 |" in markdown
    assert "| 1234 |" in markdown


@pytest.mark.parametrize("words", [["icbin,paper"], ["icbin", "paper"], ["icbin,", "paper"]])
def test_models_are_named_by_commas_or_blanks(words: list[str]) -> None:
    options = Namespace(models=ROOT / "models", presets=["paper", "improved"], only=words)
    found = [candidate.name.split()[0] for candidate in latency._candidates(options)]
    assert found == ["icbin", "paper"]
    options.only = ["icbin,lm0"]
    with pytest.raises(CopeError, match=r"got \['lm0'\]"):
        latency._candidates(options)


def test_operations_of_a_convolution_by_hand() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.layer(image.permute(0, 3, 1, 2).float())

    assert measure.gflop(Net(), (20, 10)) == pytest.approx(2 * 20 * 10 * 8 * 27 / 1e9)


def estimate(t: list[list[float]], classes: list[int], boxes: list[float]) -> Estimate:
    n = len(t)
    return Estimate(
        np.array(classes), np.ones(n), np.tile(np.eye(3), (n, 1, 1)), np.array(t).reshape(n, 3),
        np.zeros((n, 6, 6)), np.array(boxes)[:, None] + np.zeros((n, 4)), np.zeros((n, 8, 2)),
        np.ones(n, int),
    )  # fmt: skip


def test_the_profiler_says_nothing_of_its_own() -> None:
    code = "from cope_training.bench.operations import profile\nwith profile(): pass"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout + ran.stderr == ""


def test_agreement_pairs_equal_boxes_of_one_class() -> None:
    first = estimate([[0, 0, 2.0], [0, 0, 1.0], [0, 0, 1.0]], [0, 1, 0], [10.0, 50.0, 90.0])
    second = estimate([[0, 0, 1.0], [0, 0, 2.002]], [0, 0], [50.0, 11.0])
    result = compare([first], [second])
    assert result.unmatched == 2
    assert result.shift_mm == pytest.approx([1.0])
    assert result.turn_deg == pytest.approx([0.0])
    assert "1 instances in both runs" in result.summary()
    empty = estimate([], [], [])
    assert "no instance in both runs" in compare([empty], [first]).summary()


def test_meshes_are_beside_the_model_or_in_the_data_set(
    candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model without any is measured on planted scenes alone."""
    monkeypatch.setattr(latency, "DATA", tmp_path / "data")
    assert latency.mesh_folder(candidate) is None  # random weights
    model = replace(candidate, shipped=tmp_path / "mine" / "model.pt")
    (tmp_path / "mine" / "meshes").mkdir(parents=True)
    assert latency.mesh_folder(model) is None
    beside = tmp_path / "data" / candidate.name / "models"
    beside.mkdir(parents=True)
    (beside / "obj_000001.ply").touch()
    assert latency.mesh_folder(model) == beside
    (tmp_path / "mine" / "meshes" / "obj_000001.ply").touch()
    assert latency.mesh_folder(model) == tmp_path / "mine"
