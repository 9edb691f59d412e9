"""A training that takes its crop head from one model and all else from another."""

from dataclasses import replace

import pytest
import torch
from core_factory import make_catalogue, make_network
from torch import Tensor

from cope_ros.core.errors import CopeError
from cope_training.engine.checkpoint import Initial
from cope_training.engine.configuration import config_from_dict
from cope_training.engine.initialization import OBJECT_LAYERS, with_crop_head
from cope_training.engine.trainer import Trainer

CATALOGUE, OTHERS, CPU = make_catalogue(2), make_catalogue(3), torch.device("cpu")
CONFIG = config_from_dict(
    {"task": "dense", "preset": "lite_crop_head", "pretrained": "", "pose_pretraining": 0}
)


def started(initial: Initial) -> dict[str, Tensor]:
    trainer = Trainer(CONFIG, CATALOGUE, CPU)
    trainer.start(initial)
    return trainer.network.state_dict()


def of_crop_head(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in weights.items() if k.startswith("crop_head.")}


def another() -> Initial:
    """A model of the training's objects with a trained crop head."""
    weights = Trainer(CONFIG, CATALOGUE, CPU).network.state_dict()
    return Initial({k: v + 0.5 for k, v in weights.items()}, CATALOGUE, "lmo")


def test_the_crop_head_comes_whole_from_the_other_and_nothing_else() -> None:
    first = Initial(make_network("lite", 1).state_dict(), OTHERS, "demo")
    other = another()
    state = started(with_crop_head(first, other, CATALOGUE))
    taken = of_crop_head(state)
    assert taken
    assert all(torch.equal(v, other.weights[k]) for k, v in taken.items())
    for name, value in state.items():
        if name not in taken and not name.startswith(OBJECT_LAYERS):
            assert torch.equal(value, first.weights[name]), name


def test_who_has_a_crop_head_keeps_it() -> None:
    own = Initial(another().weights, CATALOGUE, "checkpoint")
    other = replace_weights(own, 2.0)
    assert with_crop_head(own, other, CATALOGUE) is own


def replace_weights(initial: Initial, value: float) -> Initial:
    return initial._replace(weights={k: v + value for k, v in initial.weights.items()})


def test_a_crop_head_of_other_objects_is_refused() -> None:
    first = Initial(make_network("lite", 1).state_dict(), OTHERS, "demo")
    with pytest.raises(CopeError, match=r"crop_head.init: lmo does not have the objects of this"):
        with_crop_head(first, another()._replace(catalogue=OTHERS), CATALOGUE)
    with pytest.raises(CopeError, match=r"crop_head.init: demo does not have a crop head"):
        with_crop_head(first, first, CATALOGUE)


def test_a_joint_training_leaves_the_crop_head_alone() -> None:
    trainer = Trainer(replace(CONFIG, task="joint"), CATALOGUE, CPU)
    network = trainer.network
    assert network.crop_head is not None
    assert not any(p.requires_grad for p in network.crop_head.parameters())
    assert all(p.requires_grad for p in network.class_tower.parameters())
