"""The engine: it learns, resumes to the bit, stops on nonsense, and keeps its configuration."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from core_factory import make_catalogue
from test_targets import CROP_SCALE, NEAR, make_frame
from torch import nn

from cope_ros.core.errors import CopeError
from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import get_preset
from cope_training.data.augmentation import Augmenter
from cope_training.data.frames import Frame
from cope_training.engine.configuration import (
    AugmentConfig,
    LossConfig,
    TrainConfig,
    config_from_dict,
    load_config,
)
from cope_training.engine.distributed import Ranks
from cope_training.engine.trainer import Trainer
from cope_training.tasks import computation

ROOT = Path(__file__).resolve().parents[2]
QUICK = TrainConfig(pretrained="", pose_pretraining=0, samples=40, batch=2)


def make_batch(step: int) -> list[Frame]:
    rng = np.random.default_rng(step)
    frames = [make_frame([NEAR], [CROP_SCALE]), make_frame([], [])]
    for frame in frames:
        frame.image[:] = rng.integers(0, 256, frame.image.shape)
        if len(frame.class_index):
            frame.image[CROP_SCALE] = (200, 40, 40)
    return frames


def make_trainer(config: TrainConfig = QUICK, ranks: Ranks | None = None) -> Trainer:
    trainer = Trainer(config, make_catalogue(), torch.device("cpu"), ranks)
    trainer.start()
    trainer.train_mode()
    return trainer


def test_a_few_steps_lower_the_loss() -> None:
    trainer = make_trainer()
    losses = [trainer.train_step(make_batch(i))["total"] for i in range(12)]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_a_loss_that_is_not_finite_stops_with_its_name() -> None:
    trainer = make_trainer()
    with torch.no_grad():
        trainer.network.box_tower.output.bias.fill_(float("inf"))
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    with pytest.raises(CopeError, match="loss box"):
        trainer.train_step(make_batch(0))
    after = trainer.network.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_gradients_that_stay_broken_stop_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer()
    weight = trainer.network.box_tower.output.weight
    weight.register_hook(lambda g: g * float("nan"))
    before = weight.clone()
    monkeypatch.setattr("cope_training.engine.trainer.MAX_SKIPPED", 2)
    assert np.isnan(trainer.train_step(make_batch(0))["norm"])
    assert torch.equal(weight, before)
    with pytest.raises(CopeError, match=r"2 gradients .* first that of box_tower.output.weight"):
        trainer.train_step(make_batch(1))


def test_the_average_follows_and_takes_counters_as_they_are() -> None:
    """The paper preset's batch norms have integer counters."""
    trainer = make_trainer()
    trainer.network.backbone.register_buffer("counter", torch.tensor(0))
    trainer._restart_ema()
    bias = trainer.network.box_tower.output.bias
    before = trainer.ema["box_tower.output.bias"].clone()
    with torch.no_grad():
        bias += 1.0
        trainer.network.backbone.counter += 5
    trainer.step = 1
    trainer._update_ema()
    moved = trainer.ema["box_tower.output.bias"] - before
    assert torch.allclose(moved, torch.full_like(moved, 1.0 - 2.0 / 11.0))
    assert trainer.ema["backbone.counter"] == 5


def test_faster_layers_give_the_same_results() -> None:
    network = build_network(get_preset("lite"), make_catalogue()).train()
    activations = [m for m in network.modules() if isinstance(m, nn.SiLU | nn.ReLU6)]
    pointwise = [
        m for m in network.modules() if isinstance(m, nn.Conv2d) and max(m.kernel_size) == 1
    ]
    assert any(m.inplace for m in activations)  # as exported
    images = torch.randint(0, 255, (1, 96, 96, 3), dtype=torch.uint8)
    results = []
    for _ in range(2):
        network.zero_grad()
        outputs = network(images)
        outputs.keypoints.square().mean().backward()
        gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        results.append([outputs.keypoints.detach(), *gradients])
        computation.prepare_for_training(network)
    assert not any(m.inplace for m in activations)
    assert len(pointwise) > 50
    assert {m.dilation for m in pointwise} == {(2, 2)}
    assert len(results[0]) > 50
    for before, after in zip(*results, strict=True):
        assert torch.allclose(before, after, rtol=1e-3, atol=1e-4 * float(before.abs().max()))


def test_what_is_next_to_nothing_is_zero_while_a_training_steps_and_no_longer() -> None:
    vanishing = torch.tensor([1e-39, -1e-40, 1.0])
    assert (vanishing * 0.5 != 0).all()
    with computation.denormals_flushed():
        assert (vanishing * 0.5).tolist() == [0.0, 0.0, 0.5]
    trainer, seen = make_trainer(), []
    trainer.network.register_forward_hook(lambda *call: seen.append((vanishing * 0.5)[0].item()))
    trainer.train_step(make_batch(0))
    assert seen == [0.0]
    assert (vanishing * 0.5 != 0).all()  # scipy's trees end the process where they are flushed


@pytest.mark.parametrize("able", [True, False])
def test_layers_compute_in_bfloat16_where_the_device_does(
    able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtype = torch.bfloat16 if able else None
    monkeypatch.setattr(computation, "half_dtype", lambda device: dtype)
    trainer = make_trainer(replace(QUICK, bfloat16=True))
    seen = []
    trainer.network.class_tower.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    batch = make_batch(0)
    losses = [trainer.train_step(batch)["total"]]
    assert set(seen) == {torch.bfloat16 if able else torch.float32}
    exact = make_trainer()
    losses.append(exact.train_step(batch)["total"])
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert all(p.dtype == torch.float32 for p in trainer.network.parameters())


def test_frozen_layers_stay_and_others_move() -> None:
    trainer = make_trainer()
    stem = [p.clone() for p in trainer.network.backbone.stem.parameters()]
    late = [p.clone() for p in trainer.network.backbone.stage5.parameters()]
    trainer.train_step(make_batch(0))
    assert all(map(torch.equal, stem, trainer.network.backbone.stem.parameters()))
    assert not all(map(torch.equal, late, trainer.network.backbone.stage5.parameters()))


def test_configurations_load_and_unknown_keys_are_named(tmp_path: Path) -> None:
    for path in sorted((ROOT / "config" / "training").glob("*.yaml")):
        config = load_config(path)
        assert config_from_dict(config.to_dict()) == config
    bad = tmp_path / "bad.yaml"
    bad.write_text("loss:\n  keys: 1.0\n")
    with pytest.raises(CopeError, match=r"bad\.yaml\.loss: unknown keys \['keys'\]"):
        load_config(bad)


def test_image_only_supervision_needs_no_pose() -> None:
    without = LossConfig(tra=0, rot=0, cons=0, proj=0)
    assert not without.supervises_pose
    assert LossConfig().supervises_pose


def test_augmentation_keeps_shape_is_repeatable_and_changes_pixels() -> None:
    images = torch.randint(0, 256, (6, 32, 40, 3), dtype=torch.uint8)
    first, second = (
        Augmenter(AugmentConfig(strength=1.0), torch.Generator().manual_seed(3))(images)
        for _ in range(2)
    )
    assert first.shape == images.shape
    assert first.dtype == torch.uint8
    assert torch.equal(first, second)
    assert not torch.equal(first, images)
    off = Augmenter(AugmentConfig(enabled=False), torch.Generator())(images)
    assert torch.equal(off, images)
