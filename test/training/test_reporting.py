"""What a training tells: lines, a bar on a terminal, TensorBoard's files."""

import builtins
import sys
from pathlib import Path

import numpy as np
import pytest
from test_training import make_batch, make_trainer

from cope_ros.core.errors import CopeError
from cope_training.engine import reporting
from cope_training.engine.pictures import TRUTH
from cope_training.engine.reporting import Progress, Reporter


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "LOG_SECONDS", 0.0)


def test_progress_averages_between_reports() -> None:
    progress = Progress(batch=4)
    progress.since -= 2.0
    for value in (1.0, 3.0):
        progress.add({"total": value}, waited=0.5)
    rate, waiting = progress.rates()
    assert rate == pytest.approx(4.0, rel=0.05)
    assert waiting == pytest.approx(0.5, rel=0.05)
    line = progress.line(2, 0.2, 90.0)
    assert line.startswith("training 20.0% step 2 crops 8 4.0/s wait 50% 2 min left")
    assert line.endswith("| total 2.0000")
    progress.restart()
    assert progress.means() == {}


def test_without_a_terminal_there_are_lines(capsys: pytest.CaptureFixture) -> None:
    trainer = make_trainer()
    reporter = Reporter(trainer)
    assert reporter.bar is None
    batch = make_batch(0)
    reporter.step(trainer.train_step(batch), 0.0, batch)
    reporter.close()
    assert "step 1 crops 2 " in capsys.readouterr().out


def test_a_short_training_is_reported_at_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(reporting, "LOG_SECONDS", 1e9)
    trainer = make_trainer()
    reporter = Reporter(trainer)
    reporter.step({"total": 0.5}, 0.0, [])
    assert not capsys.readouterr().out
    reporter.close()
    assert "total 0.5000" in capsys.readouterr().out


def test_the_plan_is_made_of_the_rate_once_frames_come(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(reporting.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(reporting, "LOG_SECONDS", 20.0)
    trainer = make_trainer()
    reporter = Reporter(trainer)
    clock[0] += 120.0  # of the processes' start
    for _ in range(50):
        trainer.step += 1
        reporter.step({"total": 0.5}, 0.0, [])
        clock[0] += 2.0
    reporter.close()
    said = capsys.readouterr().out
    assert said.count("plan: 1.0 crops a second") == said.count("plan:") == 1


def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    trainer = make_trainer()
    trainer.step = 3
    reporter = Reporter(trainer)
    assert (reporter.bar.total, reporter.bar.n) == (40, 6)
    reporter.step({"total": 0.25}, 0.0, [])
    assert reporter.bar.n == 8
    assert "total=0.250" in reporter.bar.postfix
    reporter.close()


def test_tensorboard_gets_losses_rates_and_pictures(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer = make_trainer()
    reporter = Reporter(trainer, tmp_path / "board")
    batch = make_batch(0)
    losses = trainer.train_step(batch)
    reporter.step(losses, 0.1, batch)
    reporter.close()
    events = accumulator.EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    tags = events.Tags()
    assert {f"loss/{name}" for name in losses} <= set(tags["scalars"])
    assert {"rate/images_per_s", "rate/waiting_share", "rate/learning_rate"} <= set(tags["scalars"])
    assert events.Scalars("loss/total")[0].value == pytest.approx(losses["total"], rel=1e-5)
    picture = events.Images("poses")[0]
    assert (picture.height, picture.width) == (128, 2 * 128 + 4)


def test_pictures_show_true_cuboids() -> None:
    batch = make_batch(0)
    picture = reporting.overlay(make_trainer(), batch)
    first, empty = picture[:, :128], picture[:, 132:]
    assert (first == TRUTH).all(-1).sum() > 100
    assert (empty == TRUTH).all(-1).sum() == 0
    assert np.array_equal(empty, batch[1].image)


def test_a_missing_tensorboard_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments, **options):
        if "tensorboard" in name:
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(CopeError, match="--tensorboard: the package tensorboard is not installed"):
        Reporter(make_trainer(), tmp_path)
