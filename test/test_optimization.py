"""Schedules and optimisers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from test_training import QUICK, make_batch, make_trainer

from cope_ros.core.errors import CopeError
from cope_training.config import (
    OptimizerConfig,
)
from cope_training.optimization import Plateau, learning_rate_factor


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
        name="adam", schedule="plateau", epoch_crops=2, plateau_patience=1, learning_rate=1e-9
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
    with pytest.raises(CopeError, match="adamw or adam, got 'sgd'"):
        make_trainer(replace(QUICK, optimizer=OptimizerConfig(name="sgd")))
