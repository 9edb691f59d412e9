"""Checkpoints: exact resume, small files to move, older layouts, starts from other models."""

import itertools
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from core_factory import make_catalogue
from safetensors.torch import save_file
from test_training import QUICK, make_batch, make_trainer

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_training import train as train_module
from cope_training.data.frames import Frame
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.initialization import OBJECT_LAYERS
from cope_training.engine.trainer import Trainer
from cope_training.export import export_checkpoint


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resumes_to_the_bit(optimizer: str, tmp_path: Path) -> None:
    config = replace(QUICK, optimizer=replace(QUICK.optimizer, name=optimizer))
    straight = make_trainer(config)
    for i in range(4):
        straight.train_step(make_batch(i))
    first = make_trainer(config)
    for i in range(2):
        first.train_step(make_batch(i))
    checkpoints.save(tmp_path / "checkpoint", first.checkpoint({}))
    second = make_trainer(config)
    second.resume(checkpoints.load(tmp_path / "checkpoint"), "test")
    for i in range(2, 4):
        second.train_step(make_batch(i))
    expected, got = straight.network.state_dict(), second.network.state_dict()
    assert all(torch.equal(expected[k], got[k]) for k in expected)
    assert all(torch.equal(straight.ema[k], second.ema[k]) for k in straight.ema)


def test_a_lost_file_of_a_checkpoint_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    checkpoints.save(folder, make_trainer().checkpoint({}))
    (folder / checkpoints.EMA).unlink()
    with pytest.raises(CopeError, match=r"ema\.safetensors"):
        checkpoints.load(folder)
    with pytest.raises(CopeError, match=r"state\.json"):
        checkpoints.load(tmp_path / "elsewhere")


def test_a_moved_checkpoint_goes_on_from_half_precision(tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.train_step(make_batch(0))
    folder = tmp_path / "checkpoint"
    checkpoints.save(folder, trainer.checkpoint({}))
    (folder / checkpoints.EXACT).unlink()
    other = make_trainer()
    other.resume(checkpoints.load(folder), "test")
    assert other.step == 1
    assert not other.optimizer.state_dict()["state"]
    for got, exact in (
        (other.network.state_dict(), trainer.network.state_dict()),
        (other.ema, trainer.ema),
    ):
        for name, value in exact.items():
            limit = 1e-3 * value.abs().max().item()
            assert torch.allclose(got[name], value, rtol=1e-3, atol=limit), name
            if value.numel() < checkpoints.SMALL_TENSOR:
                assert torch.equal(got[name], value), name
    other.train_step(make_batch(1))


@pytest.mark.parametrize("preset", ["lite", "improved"])
def test_what_has_to_be_moved_is_small(preset: str, tmp_path: Path) -> None:
    trainer = Trainer(replace(QUICK, preset=preset), make_catalogue(), torch.device("cpu"))
    checkpoints.save(tmp_path / "checkpoint", trainer.checkpoint({}))
    files = [tmp_path / "checkpoint" / name for name in (checkpoints.WEIGHTS, checkpoints.EMA)]
    assert sum(f.stat().st_size for f in files) <= 60e6


def test_checkpoints_with_exact_weights_and_an_optimiser_file_are_read(tmp_path: Path) -> None:
    """The layout before weights were halved."""
    trainer = make_trainer()
    trainer.train_step(make_batch(0))
    saved = trainer.checkpoint({})
    folder = tmp_path / "checkpoint"
    checkpoints.save(folder, saved)
    (folder / checkpoints.EXACT).unlink()
    parts = {checkpoints.WEIGHTS: saved.weights, checkpoints.EMA: saved.ema}
    for name, tensors in (parts | {checkpoints.OPTIMIZER: saved.optimizer}).items():
        save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, folder / name)
    loaded = checkpoints.load(folder)
    for got, expected in ((loaded.weights, saved.weights), (loaded.optimizer, saved.optimizer)):
        assert set(got) == set(expected)
        assert all(torch.equal(got[k], expected[k]) for k in expected)


def test_a_training_that_breaks_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(replace(QUICK, checkpoint_minutes=0.0, samples=20))
    frames = (frame for step in itertools.count() for frame in make_batch(step))
    monkeypatch.setattr(train_module, "_open_stream", lambda _: nullcontext(frames))
    step = trainer.train_step

    def break_at_three(batch: list[Frame]) -> dict[str, float]:
        if trainer.step == 3:
            trainer.network.key_tower.output.bias.data.fill_(float("nan"))
        return step(batch)

    monkeypatch.setattr(trainer, "train_step", break_at_three)
    folder = tmp_path / "checkpoint"
    with pytest.raises(CopeError, match=r"step 3: loss key, .*total is not finite"):
        train_module.train(trainer, float("inf"), folder)
    saved = checkpoints.load(folder)
    assert saved.step == 3
    assert all(torch.isfinite(v).all() for v in saved.weights.values())


def test_starts_from_an_exported_model(tmp_path: Path) -> None:
    config = replace(QUICK, data=replace(QUICK.data, meshes="nowhere"))  # the demo has others
    trainer = make_trainer(config)
    trainer.train_step(make_batch(0))
    saved = trainer.checkpoint({})
    checkpoints.save(tmp_path / "checkpoint", saved)
    export_checkpoint(saved, tmp_path / "model.pt", input_size=(64, 64))
    for source in (tmp_path / "model.pt", tmp_path / "checkpoint"):
        other = make_trainer()
        other.start(checkpoints.load_initial(source, trainer.ema))
        state = other.network.state_dict()
        assert all(torch.equal(state[k], trainer.ema[k]) for k in state)


def test_starts_from_a_model_of_other_objects() -> None:
    trainer = make_trainer()
    saved = checkpoints.Initial(trainer.ema, trainer.catalogue, "model.pt")
    few = Catalogue(trainer.catalogue.objects[:1])
    other = Trainer(trainer.config, few, torch.device("cpu"))
    other.start(saved)
    state = other.network.state_dict()
    assert state["class_tower.output.weight"].shape[0] == 1
    shared = [k for k in state if not k.startswith(OBJECT_LAYERS)]
    assert shared
    assert all(torch.equal(state[k], trainer.ema[k]) for k in shared)
