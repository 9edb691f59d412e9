"""Checkpoints: weights, moving average and optimiser as safetensors, the rest as JSON.

A checkpoint is a folder. What has to be moved to go on elsewhere: ``state.json``
(configuration, catalogue, step), ``weights.safetensors`` and ``ema.safetensors`` (their large
tensors in half precision). Beside them ``exact.safetensors`` holds both in full and the
optimiser; with it a training goes on to the bit, without it with a fresh optimiser. Nothing
is pickled. A new checkpoint replaces the old one only when it is complete.
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
from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.errors import CopeError
from cope_ros.core.renamed import check_layers
from cope_training.engine.configuration import TrainConfig, config_from_dict

STATE = "state.json"
WEIGHTS = "weights.safetensors"
EMA = "ema.safetensors"
EXACT = "exact.safetensors"
OPTIMIZER = "optimizer.safetensors"  # of older checkpoints, whose weights are exact
SMALL_TENSOR = 4096  # numbers; smaller tensors (norms, biases) stay as exact as they are


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
    parts = {"weights": checkpoint.weights, "ema": checkpoint.ema}
    parts["optimizer"] = checkpoint.optimizer
    exact = {f"{part}/{name}": v for part, rows in parts.items() for name, v in rows.items()}
    save_file(_contiguous(exact), temporary / EXACT)
    save_file(_halved(checkpoint.weights), temporary / WEIGHTS)
    save_file(_halved(checkpoint.ema), temporary / EMA)
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


def is_there(folder: Path) -> bool:
    """Whether a folder holds a checkpoint; one whose writing was cut off last of all is put there.

    Between moving the old one away and the new one in, a process may die: both are whole then.
    """
    for suffix in (".new", ".old"):
        beside = folder.with_name(folder.name + suffix)
        if not folder.exists() and (beside / STATE).is_file():
            os.replace(beside, folder)
    return folder.exists()


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
    weights, ema, optimizer = _load_tensors(folder)
    return Checkpoint(
        config=config_from_dict(state["config"], str(folder / STATE)),
        catalogue=Catalogue.from_dict(state["models_info"], str(folder / STATE)),
        step=int(state["step"]),
        state=state["state"],
        weights=weights,
        ema=ema,
        optimizer=optimizer,
    )


def _load_tensors(folder: Path) -> tuple[dict[str, Tensor], ...]:
    """Weights, average and optimiser; the latter empty in a checkpoint that was moved."""
    if (folder / EXACT).is_file():
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "ema": {}, "optimizer": {}}
        for name, value in load_file(folder / EXACT).items():
            part, key = name.split("/", 1)
            parts[part][key] = value
        return parts["weights"], parts["ema"], parts["optimizer"]
    optimizer = folder / OPTIMIZER
    weights, ema = (
        {k: v.float() if v.dtype == torch.float16 else v for k, v in load_file(path).items()}
        for path in (folder / WEIGHTS, folder / EMA)
    )
    return weights, ema, load_file(optimizer) if optimizer.is_file() else {}


class Initial(NamedTuple):
    """Weights to start from and the objects they were trained on."""

    weights: dict[str, Tensor]
    catalogue: Catalogue
    source: str
    own: tuple[str, ...] = ()  # beginnings of layers that know the training's objects already


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
    check_layers((name.removeprefix(prefix) for name in state), str(path))
    weights = {name: state[prefix + name] for name in names if prefix + name in state}
    catalogue = Catalogue.from_dict(metadata["models_info"], str(path))
    return Initial(weights, catalogue, str(path))


def load_weights(network: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Fills a network; every tensor has to fit.

    Raises:
        CopeError: names missing and unexpected tensors.
    """
    check_layers(weights, source)
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


def _halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Large float tensors in half precision, as far as its range goes."""
    limit = torch.finfo(torch.float16).max
    small = _contiguous(tensors)
    for name, value in small.items():
        if value.is_floating_point() and value.numel() >= SMALL_TENSOR:
            small[name] = value.clamp(-limit, limit).half()
    return small
