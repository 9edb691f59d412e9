"""What a training teaches: the dense part of a network, its crop head or its refiner.

A task holds the network's part that learns and its losses in one module, which is what gradients
are shared around, and makes targets of frames.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.network.presets import get_preset
from cope_ros.core.refinement.crop_head import CropHead
from cope_ros.core.renamed import hint
from cope_training.data.frames import Frame
from cope_training.engine.configuration import CROP_HEAD, DENSE, JOINT, REFINER, TrainConfig
from cope_training.engine.distributed import Ranks
from cope_training.tasks.computation import mixed_precision, prepare_for_training
from cope_training.tasks.crop_head.loss import CropHeadLoss
from cope_training.tasks.crop_head.targets import CropHeadTargetBuilder, CropHeadTargets
from cope_training.tasks.dense.losses import CopeLoss, Predictions
from cope_training.tasks.dense.targets import TargetBuilder, Targets, VisibilityRules
from cope_training.tasks.instance_head.task import InstanceHeadTargetBuilder, InstanceHeadTask
from cope_training.tasks.refiner.loss import RefinerLoss
from cope_training.tasks.refiner.targets import RefinerSampleBuilder
from cope_training.tasks.refiner.task import RefinerTask


class TargetMaker(Protocol):
    """Makes what a batch of frames should give."""

    def __call__(self, frames: Sequence[Frame]) -> Any:
        """Something with ``to(device)``."""


class DenseTask(nn.Module):
    """Locations of whole images: classes, boxes, corners and their poses."""

    def __init__(
        self, network: CopeNetwork, loss: CopeLoss, targets: TargetMaker, bfloat16: bool
    ) -> None:
        super().__init__()
        self.network, self.loss, self.targets = network, loss, targets
        self.mixed = bfloat16

    @property
    def trained(self) -> CopeNetwork:
        """The part that learns."""
        return self.network

    def forward(self, images: Tensor, targets: Targets, progress: float) -> dict[str, Tensor]:
        """(B, H, W, 3) uint8 images and their targets -> losses; see ``CopeLoss``."""
        with mixed_precision(images.device, self.mixed):
            predictions = Predictions.of(self.network(images))
        return self.loss(predictions, targets, progress)


class CropHeadTask(nn.Module):
    """Crops around single instances; the rest of the network stays as it is."""

    def __init__(self, part: CropHead, loss: CropHeadLoss, targets: TargetMaker) -> None:
        super().__init__()
        self.part, self.loss, self.targets = part, loss, targets

    @property
    def trained(self) -> CropHead:
        """The part that learns."""
        return self.part

    def forward(
        self, crops: Tensor, targets: CropHeadTargets, progress: float
    ) -> dict[str, Tensor]:
        """(N, S, S, 3) uint8 crops and their targets -> losses."""
        return self.loss(self.part(crops, *targets.given), targets)


def build_task(
    network: CopeNetwork,
    catalogue: Catalogue,
    config: TrainConfig,
    ranks: Ranks,
    generator: torch.Generator,
) -> DenseTask | InstanceHeadTask | CropHeadTask | RefinerTask:
    """The task that a configuration names; the network is made fast to train.

    Raises:
        CopeError: no such task, or the preset lacks its part.
    """
    prepare_for_training(network)
    if config.task == CROP_HEAD:
        if network.crop_head is None:
            raise CopeError(f"task crop_head: the preset {config.preset!r} has none")
        crops = CropHeadTargetBuilder(catalogue)
        return CropHeadTask(network.crop_head, CropHeadLoss(catalogue, config.crop_head), crops)
    if config.task == REFINER:
        if network.refiner is None or network.crop_head is None:
            raise CopeError(f"task refiner: the preset {config.preset!r} has none")
        settings = config.refiner
        if settings.flow_alone:
            if network.refiner.flow is None:
                raise CopeError(f"refiner.flow_alone: the preset {config.preset!r} has no flow")
            network.refiner.requires_grad_(False)
            network.refiner.flow.requires_grad_(True)
        loss, wrong = (
            RefinerLoss(catalogue, settings),
            RefinerSampleBuilder(catalogue, settings, generator),
        )
        return RefinerTask(network.refiner, network.crop_head, catalogue, loss, wrong)
    if config.task not in (DENSE, JOINT):
        tasks = f"{DENSE}, {JOINT}, {CROP_HEAD} or {REFINER}"
        raise CopeError(f"task: expected {tasks}, got {config.task!r}{hint(config.task)}")
    by_diameter = get_preset(config.preset).standardization == "diameter"
    weights = config.loss.supervised(config.supervision)
    losses = CopeLoss(network, catalogue, by_diameter, weights, ranks, generator)
    visibility = config.visibility
    rules = VisibilityRules(visibility.foreground, visibility.regression, visibility.ignore)
    builder = TargetBuilder(catalogue, rules)
    if config.task == JOINT:
        both = InstanceHeadTargetBuilder(builder)
        return InstanceHeadTask(
            network, catalogue, losses, both, config.instance_head, config.bfloat16
        )
    return DenseTask(network, losses, builder, config.bfloat16)
