"""Schedules and optimisers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_training import QUICK, make_batch, make_trainer

from cope_ros.core.errors import CopeError
from cope_training.engine.configuration import OptimizerConfig
from cope_training.engine.muon import ADAM_RMS, Muon, orthogonalize
from cope_training.engine.optimization import Plateau, learning_rate_factor


def test_one_cycle_rises_and_falls() -> None:
    config = QUICK.optimizer
    rates = [learning_rate_factor(x, config) for x in np.linspace(0, 1, 101)]
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[0] < 0.1
    assert rates[-1] == pytest.approx(0.01)


def test_plateau_waits_for_its_patience_and_survives_a_checkpoint() -> None:
    """Keras' rule: two epochs without a better mean loss, then a tenth of the rate."""
    config = OptimizerConfig(schedule="plateau")
    losses = [5.0, 3.0, 4.0, 4.0, 3.5, 3.5, 3.5, 3.5, 2.0]
    plateau, factors = Plateau(config, epoch_steps=2), []
    for loss in losses:
        for offset in (-1.0, 1.0):
            again = Plateau(config, epoch_steps=2)
            again.load(json.loads(json.dumps(plateau.state())))
            plateau = again
            plateau.add(loss + offset)
        factors.append(plateau.factor)
    expected = [1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert factors == pytest.approx(expected)
    still = Plateau(OptimizerConfig(schedule="onecycle"), epoch_steps=1)
    for _ in range(9):
        still.add(1.0)
    assert still.factor == 1.0


def test_the_plateau_lowers_the_trainers_rate() -> None:
    optimizer = OptimizerConfig(
        name="adam", schedule="plateau", epoch_samples=2, plateau_patience=1, learning_rate=1e-9
    )
    trainer = make_trainer(replace(QUICK, optimizer=optimizer))
    trainer.plateau.best = 0.0
    rates = []
    for i in range(3):
        trainer.train_step(make_batch(i))
        rates.append(trainer.optimizer.param_groups[-1]["lr"])
    assert rates == pytest.approx([1e-9, 1e-10, 1e-11])


def test_unknown_schedules_and_optimisers_are_refused() -> None:
    with pytest.raises(CopeError, match="onecycle, plateau or constant, got 'cosine'"):
        learning_rate_factor(0.5, OptimizerConfig(schedule="cosine"))
    with pytest.raises(CopeError, match="adamw, adam or muon, got 'sgd'"):
        make_trainer(replace(QUICK, optimizer=OptimizerConfig(name="sgd")))


@pytest.mark.parametrize("shape", [(40, 40), (24, 96), (96, 24)])
def test_orthogonalised_matrices_keep_directions_and_lose_lengths(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    U, S, V = torch.linalg.svd(torch.randn(shape).double(), full_matrices=False)
    S = torch.logspace(0, -2, len(S)).double()  # lengths two orders apart
    got = orthogonalize(U * S @ V)
    along = torch.diagonal(U.T @ got @ V.T)
    assert along.min() > 0.5
    assert along.max() < 1.3
    assert torch.allclose(U * along @ V, got, atol=1e-4)


def test_muon_steps_a_convolution_as_a_matrix_and_the_rest_as_adamw() -> None:
    torch.manual_seed(1)
    dense = torch.nn.Parameter(torch.randn(32, 16, 3, 3).to(memory_format=torch.channels_last))
    bias, reference = (torch.nn.Parameter(torch.ones(5)) for _ in range(2))
    rate, decay = 1e-2, 0.1
    groups = [{"params": [bias], "lr": rate}, {"params": [dense], "lr": rate, "muon": True}]
    optimizer = Muon(groups, decay)
    adamw = torch.optim.AdamW([reference], lr=rate, weight_decay=decay)
    before = dense.detach().clone()
    dense.grad = torch.randn_like(dense)
    bias.grad = reference.grad = torch.arange(5.0)
    optimizer.step()
    adamw.step()
    assert torch.equal(bias, reference)
    step = (before * (1.0 - rate * decay) - dense.detach()) / rate
    assert (step * dense.grad).sum() > 0
    lengths = torch.linalg.svdvals(step.flatten(1)) / (ADAM_RMS * 144**0.5)
    assert lengths.min() > 0.5
    assert lengths.max() < 1.3
    assert step.square().mean().sqrt().item() == pytest.approx(ADAM_RMS, rel=0.25)


def test_muon_takes_dense_layers_but_outputs_and_pose_head() -> None:
    trainer = make_trainer(replace(QUICK, optimizer=OptimizerConfig(name="muon")))
    groups = trainer.optimizer.param_groups
    assert {g["peak"] for g in groups[:2]} == {5e-4}  # backbone
    own = {id(p) for g in groups if g["muon"] for p in g["params"]}
    everything = [id(p) for g in groups for p in g["params"]]
    names = {n: p for n, p in trainer.network.named_parameters() if id(p) in own}
    assert sorted(everything) == sorted(id(p) for p in trainer.network.parameters())
    assert all(p.dim() in (2, 4) and min(p.flatten(1).shape) >= 16 for p in names.values())
    assert not [n for n in names if n.startswith("pose_head") or ".output." in n]
    assert sum(p.numel() for p in names.values()) > 0.8 * sum(
        p.numel() for p in trainer.network.backbone.parameters()
    )
