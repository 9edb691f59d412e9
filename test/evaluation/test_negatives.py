"""False detections in images without the objects, and the threshold chosen by them."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cope_ros.core.errors import CopeError
from cope_training import evaluate
from cope_training.evaluation.negatives import (
    THRESHOLDS,
    FalseDetections,
    choose_threshold,
    find_false,
    photographs,
    read_photographs,
)


class Seer:
    """Finds in an image as many objects as its first pixel says, scores 0.1, 0.2 ..."""

    def __init__(self) -> None:
        self.metadata = {"score_threshold": 0.15}

    def configure(self, **settings: float) -> None:
        self.settings = settings

    def estimate(self, image: np.ndarray, K: np.ndarray) -> SimpleNamespace:
        assert K[0, 2] == (image.shape[1] - 1) / 2
        return SimpleNamespace(score=0.1 * np.arange(1, 1 + image[0, 0, 0]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name, count in (("a.png", 0), ("b.png", 3), ("more/c.png", 1)):
        Image.new("RGB", (64, 48), (count, 0, 0)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").touch()
    return tmp_path / "photos"


def test_they_are_counted_over_thresholds(folder: Path) -> None:
    false = find_false(Seer(), read_photographs(photographs(folder)))
    assert (false.images, len(false.scores)) == (3, 4)
    assert false.per_image(0.05) == pytest.approx(4 / 3)
    assert false.per_image(0.25) == pytest.approx(1 / 3)
    assert false.per_image(0.5) == 0
    assert "| 0.15 (the model's) | 0.667 |" in false.table(0.15)


def test_the_command_counts_and_writes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(evaluate.Estimator, "load", lambda path, device, half: Seer())
    options = ["--model", "models/toy", "--negatives", str(folder), "--out", str(tmp_path)]
    assert evaluate.main(options) == 0
    content = json.loads((tmp_path / "toy_negatives.json").read_text())
    assert content["at_threshold"] == pytest.approx(2 / 3)
    assert content["per_image"]["0.30"] == pytest.approx(1 / 3, abs=1e-4)
    assert "false detections per image" in capsys.readouterr().out
    assert evaluate.main(["--results", "x.csv", "--negatives", str(folder)]) == 1


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(CopeError, match="expected images, found none"):
        photographs(tmp_path)
    with pytest.raises(CopeError, match="no such folder"):
        photographs(tmp_path / "nowhere")


def test_the_threshold_is_the_lowest_that_leaves_few() -> None:
    false = FalseDetections(20, np.array([0.2] * 5 + [0.42] * 2))
    assert choose_threshold(false, np.full(100, 0.9)) == 0.21
    assert choose_threshold(FalseDetections(20, np.zeros(0)), np.full(100, 0.9)) == THRESHOLDS[0]


def test_right_poses_are_kept_before_false_ones_go() -> None:
    false = FalseDetections(10, np.full(50, 0.8))
    right = np.concatenate([np.full(90, 0.7), np.full(10, 0.33)])
    assert choose_threshold(false, right) == 0.33
    assert choose_threshold(false, np.zeros(0)) == 0.81


def test_broken_photographs_are_left_out_and_all_broken_is_an_error(folder: Path, caplog) -> None:
    (folder / "more" / "c.png").write_bytes(b"<html>")
    assert find_false(Seer(), read_photographs(photographs(folder))).images == 2
    assert "1 photographs cannot be read, such as" in caplog.text
    for path in photographs(folder):
        path.write_bytes(b"")
    with pytest.raises(CopeError, match="none of 3 photographs can be read"):
        find_false(Seer(), read_photographs(photographs(folder)))
