"""Scores of tracking, on hand-made cases whose counts are known."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tracking_scene import CATALOGUE, ROW

from cope_ros.tracking import TrackSettings
from cope_training.evaluation import tracking
from cope_training.evaluation.metrics.tables import GroundTruth
from cope_training.evaluation.mot import MotScore, TruthFrame
from cope_training.evaluation.track_simulation import GOOD, Defects, simulate

PERFECT = Defects(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def make_truth(
    count: int = 4, step: float = 0.01, rate: float = 10.0, shot: int = 0, wanted: int = 5
) -> list[TruthFrame]:
    """Five objects of three classes that move to the right together."""
    index = np.array([0, 1, 2, 0, 1])
    return [
        TruthFrame(
            stamp=i / rate + 100.0 * shot,
            ids=np.arange(5) + 1000 * shot,
            class_index=index,
            R=np.tile(np.eye(3), (5, 1, 1)),
            t=ROW + np.array([step * i, 0, 0]),
            wanted=np.arange(5) < wanted,
            shot=shot,
        )
        for i in range(count)
    ]


def add(score: MotScore, truth: TruthFrame, ids: list[int], rows: list[int]) -> None:
    score.add(truth, np.array(ids), truth.class_index[rows], truth.R[rows], truth.t[rows])


def test_perfect_tracks_score_one() -> None:
    score = MotScore(CATALOGUE)
    for frame in make_truth():
        add(score, frame, [7, 3, 5, 1, 2], [0, 1, 2, 3, 4])
    found = score.summary()
    assert found["mota"] == found["idf1"] == 1.0
    assert found["switches"] == found["misses"] == found["flips"] == 0


def test_switches_misses_and_false_alarms_are_counted() -> None:
    score = MotScore(CATALOGUE)
    frames = make_truth()
    add(score, frames[0], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    add(score, frames[1], [3, 1, 2, 0, 4], [0, 1, 2, 3, 4])  # two switch
    add(score, frames[2], [3, 1, 2, 0], [0, 1, 2, 3])  # one is missed
    far = frames[3].t + 1.0
    score.add(frames[3], np.arange(5), frames[3].class_index, frames[3].R, far)  # none is near
    found = score.summary()
    assert (found["switches"], found["misses"], found["false_alarms"]) == (2, 6, 5)
    assert found["mota"] == pytest.approx(1 - 13 / 20)


def test_another_class_is_no_match() -> None:
    score = MotScore(CATALOGUE)
    frame = make_truth(1)[0]
    score.add(frame, np.arange(5), (frame.class_index + 1) % 3, frame.R, frame.t)
    assert score.summary()["misses"] == 5


def test_unwanted_objects_count_neither_way() -> None:
    score = MotScore(CATALOGUE)
    for frame in make_truth(wanted=3):
        add(score, frame, [0, 1, 2, 3], [0, 1, 2, 3])
    found = score.summary()
    assert (found["mota"], found["objects"], found["false_alarms"]) == (1.0, 12, 0)


def test_ids_may_be_used_again_in_another_scene() -> None:
    score = MotScore(CATALOGUE)
    for frame in make_truth() + make_truth(shot=1):
        add(score, frame, [0, 1, 2, 3, 4], [4, 3, 2, 1, 0] if frame.shot else [0, 1, 2, 3, 4])
    assert score.summary()["idf1"] == 1.0


def test_a_flip_is_a_jump_of_one_id() -> None:
    score = MotScore(CATALOGUE)
    half_turn = np.diag([-1.0, -1.0, 1.0])
    for number, frame in enumerate(make_truth(3)):
        R = frame.R.copy()
        R[0] = half_turn if number == 1 else R[0]
        score.add(frame, np.arange(5), frame.class_index, R, frame.t)
    assert score.summary()["flips"] == pytest.approx(2 / 10)


def test_a_perfect_detector_shows_every_object_in_some_equivalent() -> None:
    frames = make_truth(2)
    estimates = simulate(frames, CATALOGUE, PERFECT, 0)
    for frame, estimate in zip(frames, estimates, strict=True):
        assert estimate.t == pytest.approx(frame.t, abs=1e-6)
        assert estimate.R[0] == pytest.approx(np.eye(3), abs=1e-6)  # has no symmetry
        assert estimate.R[2] @ [0, 0, 1] == pytest.approx([0, 0, 1], abs=1e-6)  # a turn about z
    assert tracking.score(frames, estimates, CATALOGUE, TrackSettings())["idf1"] == 1.0


def test_simulated_defects_come_as_often_as_asked_for() -> None:
    frames = make_truth(400, step=0.0)
    defects = Defects(0.02, 0.1, 5.0, 0.8, 0.0, 0.5, 0.3)
    estimates = simulate(frames, CATALOGUE, defects, 1)
    assert sum(map(len, estimates)) / 400 == pytest.approx(5 * 0.8 + 0.3, abs=0.15)
    again = simulate(frames, CATALOGUE, defects, 1)
    assert all(np.array_equal(a.t, b.t) for a, b in zip(estimates, again, strict=True))
    middle = np.concatenate([e.t[np.abs(e.t[:, :2]).max(axis=1) < 0.05] for e in estimates])
    diameter = CATALOGUE[2].diameter
    assert middle[:, 2].std() == pytest.approx(0.1 * diameter, rel=0.2)
    assert middle[:, 1].std() == pytest.approx(0.02 * diameter, rel=0.2)


def test_an_occlusion_lasts_as_long_as_asked_for() -> None:
    frames = make_truth(300, rate=30.0)
    occluded = simulate(frames, CATALOGUE, Defects(0, 0, 0, 1.0, 0.2, 0.5, 0), 2)
    seen = np.array([len(estimate) for estimate in occluded])
    assert seen.min() < 5
    assert np.mean(seen) == pytest.approx(5 * (1 - 0.2 * 0.5), rel=0.06)


def make_ground_truth() -> GroundTruth:
    """Two images of one scene, then one with other objects."""
    im_id = np.array([0, 0, 1, 1, 2])
    return GroundTruth(
        scene_id=np.ones(5, dtype=np.int64),
        im_id=im_id,
        obj_id=np.array([1, 2, 1, 2, 3]),
        R=np.tile(np.eye(3), (5, 1, 1)),
        t=np.tile([0.0, 0.0, 1.0], (5, 1)),
        visibility=np.array([1.0, 0.05, 1.0, 1.0, 1.0]),
        boxes=np.zeros((5, 4)),
        K={(1, i): np.eye(3) for i in range(3)},
        image_size=(64, 48),
        inst_count={},
    )


def test_identities_follow_the_rows_of_a_scene() -> None:
    first, second, third = tracking.truth_frames(make_ground_truth(), CATALOGUE, 10.0)
    assert first.ids.tolist() == second.ids.tolist() == [0, 1]
    assert (first.shot, second.shot, third.shot) == (0, 0, 1)
    assert not set(third.ids) & set(first.ids)
    assert first.wanted.tolist() == [True, False]
    assert second.stamp - first.stamp == pytest.approx(0.1)
    assert third.stamp - second.stamp > TrackSettings().timeout


def test_tracking_beats_numbering_from_left_to_right() -> None:
    frames = make_truth(60, step=0.004)
    estimates = simulate(frames, CATALOGUE, GOOD, 3)
    rows = {
        name: tracking.score(frames, estimates, CATALOGUE, settings)
        for name, settings in tracking.NUMBERINGS.items()
    }
    assert rows["tracked"]["idf1"] > 0.9 > rows["left to right"]["idf1"]
    assert rows["tracked"]["switches"] < rows["left to right"]["switches"]


def test_the_command_prints_a_table_and_writes_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gts = make_ground_truth()
    frames = tracking.truth_frames(gts, CATALOGUE, 10.0)
    monkeypatch.setattr(tracking, "find_scenes", lambda _: SimpleNamespace(root=tmp_path))
    monkeypatch.setattr(tracking, "read_available", lambda *_: gts)
    monkeypatch.setattr(tracking.Estimator, "load", lambda *_: SimpleNamespace(catalogue=CATALOGUE))
    found = simulate(frames, CATALOGUE, PERFECT, 0)
    monkeypatch.setattr(tracking, "_estimates", lambda *_: found)
    arguments = ["--model", str(tmp_path), "--data", str(tmp_path), "--out", str(tmp_path)]
    assert tracking.main(arguments) == 0
    content = json.loads((tmp_path / f"tracking_{tmp_path.name}.json").read_text())
    assert content["results"][tmp_path.name]["tracked"]["mota"] == pytest.approx(1.0)
    assert "| poor detector | tracked |" in capsys.readouterr().out


def test_the_command_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tracking.main(["--model", "nowhere", "--data", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
