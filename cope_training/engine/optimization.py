"""The optimiser and what its learning rate does over a training."""

import math
from typing import Any

import torch
from torch import nn

from cope_ros.core.errors import CopeError
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.refinement.crop_head import CropHead
from cope_ros.core.refinement.refiner import Refiner
from cope_training.engine.configuration import OptimizerConfig
from cope_training.engine.muon import Muon, is_dense

FINAL_RATE = 0.01  # of the peak learning rate, at the end of the cycle
MIN_GAIN = 1e-4  # a loss that falls by less is not better (Keras' min_delta)
# Linear maps to outputs, and the pose head that geometry taught: AdamW's even with Muon.
NOT_MUON = (
    "output", "cell_output", "pose_output", "doubt", "surface", "correction", "pose_head"
)  # fmt: skip


def build_optimizer(
    network: CopeNetwork | CropHead | Refiner, config: OptimizerConfig
) -> torch.optim.Optimizer:
    """Adam, AdamW or Muon; groups for backbone and rest, each with its ``peak`` rate.

    Raises:
        CopeError: another optimiser.
    """
    backbone = list(network.backbone.parameters())
    ours = {id(p) for p in backbone}
    others = [p for p in network.parameters() if id(p) not in ours]
    rate = config.learning_rate
    groups = [
        {"params": backbone, "lr": rate, "peak": rate * config.backbone_factor},
        {"params": others, "lr": rate, "peak": rate},
    ]
    if config.name == "muon":
        return Muon(_split(groups, _muon_weights(network)), config.weight_decay)
    if config.name == "adamw":
        return torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    if config.name == "adam":
        return torch.optim.Adam(groups)
    raise CopeError(f"optimizer.name: expected adamw, adam or muon, got {config.name!r}")


def _muon_weights(network: nn.Module) -> set[int]:
    """The ids of the weights that Muon steps."""
    layers = (m for n, m in network.named_modules() if not set(n.split(".")) & set(NOT_MUON))
    return {id(layer.weight) for layer in layers if is_dense(layer)}


def _split(groups: list[dict[str, Any]], chosen: set[int]) -> list[dict[str, Any]]:
    """Each group's chosen parameters as a group of their own, marked ``muon``."""
    parts = []
    for group in groups:
        for muon in (False, True):
            members = [p for p in group["params"] if (id(p) in chosen) == muon]
            parts.append(group | {"params": members, "muon": muon})
    return parts


def learning_rate_factor(progress: float, config: OptimizerConfig) -> float:
    """Share of the peak rate: linear rise, then a cosine down to FINAL_RATE.

    Args:
        progress: share of the training done, in [0, 1]; a function of nothing else, so
            that a resumed training with another length simply goes on.
    """
    if config.schedule in ("constant", "plateau"):
        return 1.0
    if config.schedule != "onecycle":
        raise CopeError(
            f"optimizer.schedule: expected onecycle, plateau or constant, got {config.schedule!r}"
        )
    if progress < config.warm_up:
        return 0.05 + 0.95 * progress / config.warm_up
    x = (progress - config.warm_up) / (1.0 - config.warm_up)
    return FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(x, 1.0)))


class Plateau:
    """Lowers the rate when the epochs' mean loss stops falling (as published; Keras' rule).

    Args:
        config: its factor and patience, in epochs.
        epoch_steps: optimiser steps of an epoch.
    """

    def __init__(self, config: OptimizerConfig, epoch_steps: int) -> None:
        self.active = config.schedule == "plateau"
        self.reduction, self.patience = config.plateau_factor, config.plateau_patience
        self.epoch_steps = epoch_steps
        self.factor, self.best = 1.0, math.inf
        self.waited, self.total, self.count = 0, 0.0, 0

    def add(self, loss: float) -> None:
        """Takes one step's loss; at the end of an epoch ``factor`` may fall."""
        if not self.active:
            return
        self.total += loss
        self.count += 1
        if self.count < self.epoch_steps:
            return
        mean, self.total, self.count = self.total / self.count, 0.0, 0
        if mean < self.best - MIN_GAIN:
            self.best, self.waited = mean, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.factor, self.waited = self.factor * self.reduction, 0

    def state(self) -> dict[str, Any]:
        """Plain numbers for a checkpoint; no best loss yet is None."""
        best = None if math.isinf(self.best) else self.best
        names = ("factor", "waited", "total", "count")
        return {name: getattr(self, name) for name in names} | {"best": best}

    def load(self, state: dict[str, Any]) -> None:
        """Reverses ``state``."""
        self.factor, self.waited = float(state["factor"]), int(state["waited"])
        self.total, self.count = float(state["total"]), int(state["count"])
        self.best = math.inf if state["best"] is None else float(state["best"])
