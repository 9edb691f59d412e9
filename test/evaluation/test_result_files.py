"""``cope_eval --results``: tables and targets of other data sets, units and forms are named."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_scene import KnowingEstimator, Scene

from cope_training import evaluate
from cope_training.data.bop_csv import write_results
from cope_training.evaluation.metrics.tables import Estimates

SCENE = Scene()
ROWS = len(SCENE.im_id)
TRUTH = Estimates(
    np.full(ROWS, 7), SCENE.im_id, SCENE.obj_id, np.linspace(0.9, 0.5, ROWS), SCENE.R, SCENE.t,
    np.full(ROWS, -1.0),
)  # fmt: skip
ASKED = [{"scene_id": 7, "im_id": i, "obj_id": o, "inst_count": 1} for i in (0, 1) for o in (1, 2)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return SCENE.write(tmp_path / "toys")


def score(root: Path, ests: Estimates = TRUTH) -> dict:
    """The JSON of a run that succeeds."""
    write_results(root / "mine.csv", ests)
    out = root.parent / "out"
    given = ["--results", str(root / "mine.csv"), "--data", str(root), "--out", str(out)]
    assert evaluate.main([*given, "--no-report"]) == 0
    return json.loads((out / "mine_toys.json").read_text())


def refused(root: Path, capsys: pytest.CaptureFixture[str], ests: Estimates = TRUTH) -> str:
    """What a run says that is refused; it writes nothing."""
    with pytest.raises(AssertionError, match="assert 1 == 0"):
        score(root, ests)
    assert not (root.parent / "out").exists()
    return capsys.readouterr().err


@pytest.mark.parametrize("factor", [1e-3, 0.1, 1e3])
def test_other_units_are_named(root: Path, capsys: pytest.CaptureFixture, factor: float) -> None:
    said = refused(root, capsys, replace(TRUTH, t=TRUTH.t * factor))
    assert "mine.csv: no estimate lies within 10 diameters of any target" in said
    assert "are the units mm?" in said


def test_other_images_are_named(root: Path, capsys: pytest.CaptureFixture) -> None:
    said = refused(root, capsys, replace(TRUTH, im_id=TRUTH.im_id + 100))
    assert "no estimate lies within 10 diameters of any target" in said
    assert "none of its 16 estimates is of an evaluated image" in said


def test_one_good_estimate_is_enough_and_so_is_none(root: Path) -> None:
    one = replace(TRUTH, t=np.concatenate([TRUTH.t[:1], TRUTH.t[1:] / 1e3]))
    assert score(root, one)["add_s_recall"] == pytest.approx(1 / 12)
    assert score(root, TRUTH.take(np.zeros(0, np.int64)))["add_s_recall"] == 0


def write_targets(root: Path, entries: object, year: int = 19) -> None:
    (root / f"test_targets_bop{year}.json").write_text(json.dumps(entries))


@pytest.mark.parametrize("form", [int, str])
def test_targets_choose_images_and_counts(root: Path, form: type) -> None:
    write_targets(root, [{key: form(value) for key, value in entry.items()} for entry in ASKED])
    content = score(root)
    assert (content["images"], content["targets"], content["ar_mssd"]) == (2, 4, 1)


def test_targets_of_bop24_choose_images(root: Path) -> None:
    write_targets(root, [{"scene_id": 7, "im_id": i} for i in (0, 2)], 24)
    content = score(root)
    assert (content["images"], content["targets"]) == (2, 6)


def test_targets_without_ground_truth_are_said(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_targets(root, [*ASKED, {**ASKED[0], "im_id": 50}])
    assert score(root)["targets"] == 4
    assert "without ground truth are left out (1 images), such as scene 7 image 50" in caplog.text


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({}, "expected a list of targets, got a dict"),
        ([], "names none of the images"),
        ([None], "target 0: expected a mapping with scene_id"),
        ([{**ASKED[0], "im_id": 50}], "names none of the images"),
        ([{**ASKED[0], "obj_id": 77}], "asks for 1 instances of object 77, but .* has 0"),
        ([{**ASKED[0], "inst_count": 5}], "asks for 5 instances of object 1, but .* has 2"),
        ([{**ASKED[0], "inst_count": 0}], "target 0: inst_count: expected at least 1, got 0"),
        ([ASKED[0], {**ASKED[0], "inst_count": 2}], "target 1: inst_count: 2, but 1 before"),
        ([ASKED[0], {"scene_id": 7, "im_id": 3}], "in all targets or in none"),
        ([{"scene_id": 7, "im_id": 0, "obj_id": 1}], "target 0: inst_count is missing"),
    ],
)
def test_wrong_targets_are_named(
    root: Path, capsys: pytest.CaptureFixture, entries: object, says: str
) -> None:
    write_targets(root, entries)
    assert re.search(r"test_targets_bop19\.json: .*" + says, refused(root, capsys))


def test_objects_that_the_model_does_not_know_are_named_before_inference(
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = KnowingEstimator(SCENE)
    monkeypatch.setattr(evaluate.Estimator, "load", lambda path, device, half=False: runner)
    monkeypatch.setattr(runner, "estimate", lambda *image: pytest.fail("inference began"))
    model = (root / "models").rename(tmp_path / "model")  # the data set has none of its own
    path = root / "test" / "000007" / "scene_gt.json"
    path.write_text(path.read_text().replace('"obj_id": 2', '"obj_id": 77', 1))
    given = ["--model", str(model), "--data", str(root), "--out", str(tmp_path / "out")]
    assert evaluate.main(given) == 1
    assert "unknown obj_id 77" in capsys.readouterr().err
