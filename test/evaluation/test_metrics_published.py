"""The scores that bop_toolkit publishes for two result files on LM-O."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cope_training.data.bop_csv import read_results
from cope_training.evaluation import benchmark
from cope_training.evaluation.metrics import (
    Measurement,
    find_scenes,
    load_objects,
    measure,
    read_ground_truth,
)

MEGAPOSE = "cnos-fastsammegapose_lmo-test_16ab01bd-f020-4194-9750-d42fc7f875d2.csv"
GROUND_TRUTH = "gt-pbrreal-rgb-mmodel_lmo-test_lmo.csv"
TOLERANCE = 2e-4  # published to five digits; rounding may flip a pose at a threshold

RealData = Callable[[str], Path]


def scored(name: str, real_data: RealData) -> Measurement:
    scenes = find_scenes(real_data("lmo"))
    assert scenes.models is not None
    objects = load_objects(scenes.models)
    ests = read_results(real_data("bop_vectors") / name, set(objects))
    return measure(ests, read_ground_truth(scenes), objects)


def test_megapose_scores_as_published(real_data: RealData) -> None:
    summary = scored(MEGAPOSE, real_data).summary
    assert summary["ar_mssd"] == pytest.approx(0.49412, abs=TOLERANCE)
    assert summary["ar_mspd"] == pytest.approx(0.60671, abs=TOLERANCE)
    assert summary["bop24_ap_mssd"] == pytest.approx(0.44001, abs=TOLERANCE)
    assert summary["bop24_ap_mspd"] == pytest.approx(0.56853, abs=TOLERANCE)
    assert summary["targets"] == 1445
    assert summary["ar_vsd"] is None  # no depth images


def test_ground_truth_scores_as_published(real_data: RealData) -> None:
    result = scored(GROUND_TRUTH, real_data)
    assert result.summary["bop24_ap_mssd"] == pytest.approx(0.96782, abs=TOLERANCE)
    assert result.summary["bop24_ap_mspd"] == pytest.approx(0.96782, abs=TOLERANCE)
    for name in ("ar_mssd", "ar_mspd", "add_recall", "adds_recall", "add_s_recall"):
        assert result.summary[name] == 1.0
    assert set(result.per_object) == {1, 5, 6, 8, 9, 10, 11, 12}


def test_benchmark_names_every_stage(
    real_data: RealData, capsys: pytest.CaptureFixture[str]
) -> None:
    results = real_data("bop_vectors") / GROUND_TRUTH
    assert benchmark.main([str(results), str(real_data("lmo"))]) == 0
    stages = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert stages == ["data", "result", "mssd", "mspd", "add", "adds", "scores", "total"]
