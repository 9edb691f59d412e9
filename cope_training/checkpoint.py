"""Checkpoints: weights, moving average and optimiser as safetensors, the rest as JSON.

A checkpoint is a folder: ``weights.safetensors``, ``ema.safetensors``,
``optimizer.safetensors`` and ``state.json`` (configuration, catalogue, step, metrics).
Nothing is pickled. A new one replaces the old one only when it is complete.
"""

import json
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.model_file import load_model
from cope_training.config import TrainConfig, config_from_dict

STATE = "state.json"
WEIGHTS = "weights.safetensors"
EMA = "ema.safetensors"
OPTIMIZER = "optimizer.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What a folder holds."""

    config: TrainConfig
    catalogue: Catalogue
    step: int  # optimiser steps done
    state: dict[str, Any]  # further scalars: random generators, history
    weights: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Tensor]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; an interrupted write leaves the previous one."""
    temporary = folder.with_name(folder.name + ".new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(_contiguous(checkpoint.weights), temporary / WEIGHTS)
    save_file(_contiguous(checkpoint.ema), temporary / EMA)
    save_file(_contiguous(checkpoint.optimizer), temporary / OPTIMIZER)
    state = {
        "config": checkpoint.config.to_dict(),
        "models_info": checkpoint.catalogue.to_dict(),
        "step": checkpoint.step,
        "state": checkpoint.state,
    }
    (temporary / STATE).write_text(json.dumps(state, indent=1))
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(temporary, folder)
    shutil.rmtree(old, ignore_errors=True)


def load(folder: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        CopeError: the folder is not a complete checkpoint; names the file.
    """
    try:
        state = json.loads((folder / STATE).read_text())
    except (OSError, ValueError) as error:
        raise CopeError(f"{folder / STATE}: expected a checkpoint's state ({error})") from error
    for name in (WEIGHTS, EMA):
        if not (folder / name).is_file():
            raise CopeError(f"{folder / name}: expected a file of the checkpoint, found none")
    optimizer = folder / OPTIMIZER
    return Checkpoint(
        config=config_from_dict(state["config"], str(folder / STATE)),
        catalogue=Catalogue.from_dict(state["models_info"], str(folder / STATE)),
        step=int(state["step"]),
        state=state["state"],
        weights=load_file(folder / WEIGHTS),
        ema=load_file(folder / EMA),
        # A checkpoint that was moved may come without its optimiser; training then restarts it.
        optimizer=load_file(optimizer) if optimizer.is_file() else {},
    )


class Initial(NamedTuple):
    """Weights to start from and the objects they were trained on."""

    weights: dict[str, Tensor]
    catalogue: Catalogue
    source: str


def load_initial(path: Path, names: Collection[str]) -> Initial:
    """Averaged weights of a checkpoint folder, or of an exported ``model.pt``.

    Args:
        names: the network's tensors; a model file holds constants beside them.

    Raises:
        CopeError: neither; names the file.
    """
    if path.is_dir() and (path / STATE).exists():
        saved = load(path)
        return Initial(saved.ema, saved.catalogue, str(path))
    scripted, metadata = load_model(path, torch.device("cpu"))
    prefix = "network."
    state = scripted.state_dict()
    weights = {name: state[prefix + name] for name in names if prefix + name in state}
    catalogue = Catalogue.from_dict(metadata["models_info"], str(path))
    return Initial(weights, catalogue, str(path))


def load_weights(network: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Fills a network; every tensor has to fit.

    Raises:
        CopeError: names missing and unexpected tensors.
    """
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise CopeError(f"{source}: {error}") from error


def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Optimiser state -> flat tensors named ``index.key``."""
    packed = {}
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            packed[f"{index}.{key}"] = torch.as_tensor(value).clone()
    return packed


def unpack_optimizer(optimizer: torch.optim.Optimizer, packed: dict[str, Tensor]) -> None:
    """Reverses ``pack_optimizer``; an empty dict leaves the optimiser fresh."""
    if not packed:
        return
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in packed.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    content = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": content["param_groups"]})


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
