"""What the tests of the refiner's training share: three boxes, their meshes, a quick training."""

import json
from dataclasses import replace
from pathlib import Path

import torch
import trimesh
from core_factory import make_catalogue

from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import PRESETS
from cope_training.engine.configuration import DataConfig, TrainConfig
from cope_training.tasks.refiner.config import RefinerTraining
from cope_training.tasks.refiner.loss import RefinerLoss
from cope_training.tasks.refiner.targets import RefinerSampleBuilder
from cope_training.tasks.refiner.task import RefinerTask

CATALOGUE = make_catalogue()
SIZE = 96
SIZES = ((100.0, 80.0, 60.0), (110.0, 80.0, 60.0), (120.0, 80.0, 60.0))
CPU = torch.device("cpu")


def write_models(folder: Path) -> Path:
    """A models folder with the catalogue's boxes as meshes, in millimetres."""
    (folder / "models_info.json").write_text(json.dumps(CATALOGUE.to_dict()))
    for i, size in enumerate(SIZES):
        trimesh.creation.box(size).export(folder / f"obj_{i + 1:06d}.ply")
    return folder


def make_config(models: Path, **values) -> TrainConfig:
    quick = TrainConfig(
        task="refiner", preset="lite_refiner", pretrained="", pose_pretraining=0, samples=400,
        batch=4, data=DataConfig(meshes=str(models)),
    )  # fmt: skip
    return replace(quick, **values)


def make_task(**values) -> RefinerTask:
    config = RefinerTraining(**values)
    network = build_network(PRESETS["lite_refiner"], CATALOGUE).eval()
    assert network.refiner is not None
    assert network.crop_head is not None
    wrong = RefinerSampleBuilder(CATALOGUE, config, torch.Generator().manual_seed(3))
    loss = RefinerLoss(CATALOGUE, config)
    return RefinerTask(network.refiner, network.crop_head, CATALOGUE, loss, wrong)
