"""The training loop: one step, and the state that survives between steps."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from cope_ros.core.backbone import freeze_batch_norm, freeze_stem
from cope_ros.core.build import build_network
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.network import CopeNetwork
from cope_ros.core.pose_head import GeometricPoseHead
from cope_ros.core.presets import get_preset
from cope_training import checkpoint as checkpoints
from cope_training.augment import Augmenter
from cope_training.config import OptimizerConfig, TrainConfig
from cope_training.frames import Frame
from cope_training.losses import CopeLoss, Predictions
from cope_training.pose_pretraining import pretrain
from cope_training.targets import TargetBuilder, VisibilityRules
from cope_training.weights import load_pretrained

OBJECT_LAYERS = ("class_tower.output.", "pose_head.")  # what a network knows of its objects alone
FINAL_RATE = 0.01  # of the peak learning rate, at the end of the cycle


def learning_rate_factor(progress: float, config: OptimizerConfig) -> float:
    """Share of the peak rate: linear rise, then a cosine down to FINAL_RATE.

    Args:
        progress: share of the training done, in [0, 1]; a function of nothing else, so
            that a resumed training with another length simply goes on.
    """
    if config.schedule == "constant":
        return 1.0
    if config.schedule != "onecycle":
        raise CopeError(
            f"optimizer.schedule: expected onecycle or constant, got {config.schedule!r}"
        )
    if progress < config.warm_up:
        return 0.05 + 0.95 * progress / config.warm_up
    x = (progress - config.warm_up) / (1.0 - config.warm_up)
    return FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(x, 1.0)))


class Trainer:
    """A network in training.

    Args:
        config, catalogue: what to train on what.
        device: where the network runs; frames and targets are made on the CPU.
    """

    def __init__(self, config: TrainConfig, catalogue: Catalogue, device: torch.device) -> None:
        self.config, self.catalogue, self.device = config, catalogue, device
        torch.manual_seed(config.seed)
        layers = get_preset(config.preset)
        self.network = build_network(layers, catalogue)
        self.network.to(device).to(memory_format=torch.channels_last)
        self._restart_ema()
        self.optimizer = _build_optimizer(self.network, config.optimizer)
        by_diameter = layers.standardization == "diameter"
        self.loss = CopeLoss(self.network, catalogue, by_diameter, config.loss).to(device)
        visibility = config.visibility
        rules = VisibilityRules(visibility.foreground, visibility.regression, visibility.ignore)
        self.targets = TargetBuilder(catalogue, rules)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.augment = Augmenter(config.augment, self.generator)
        self.step = 0

    def start(self, initial: checkpoints.Initial | None = None) -> dict[str, float]:
        """Initial weights; the schedule begins anew.

        Args:
            initial: another training's weights. Of the same objects they are taken whole; of
                others, all but what belongs to the objects: class logits and pose head. None:
                ImageNet's for the backbone.

        Returns:
            Errors of the pose head that geometry alone taught, empty where it was taken over.
        """
        config, layers = self.config, get_preset(self.config.preset)
        report: dict[str, float] = {}
        if initial is not None and initial.catalogue.to_dict() == self.catalogue.to_dict():
            checkpoints.load_weights(self.network, initial.weights, initial.source)
        else:
            if initial is not None:
                self._take_over(initial)
            elif config.pretrained:
                load_pretrained(self.network, layers.backbone, layers.fold_batch_norm)
            report = self._pretrain_pose_head()
        self._restart_ema()
        return report

    def _take_over(self, initial: checkpoints.Initial) -> None:
        own = self.network.state_dict()
        kept = {k: v for k, v in own.items() if k.startswith(OBJECT_LAYERS)}
        shared = {k: v for k, v in initial.weights.items() if not k.startswith(OBJECT_LAYERS)}
        checkpoints.load_weights(self.network, shared | kept, initial.source)

    def _pretrain_pose_head(self) -> dict[str, float]:
        head, config = self.network.pose_head, self.config
        if not isinstance(head, GeometricPoseHead) or not config.pose_pretraining:
            return {}
        head.cpu()
        report = pretrain(head, self.catalogue, config.pose_pretraining, config.seed)
        head.to(self.device)
        return report

    def train_mode(self) -> None:
        """Training mode with the backbone's batch norms (and stem) frozen."""
        self.network.train()
        freeze_batch_norm(self.network.backbone)
        if self.config.freeze_stem:
            freeze_stem(self.network.backbone)

    def train_step(self, frames: list[Frame]) -> dict[str, float]:
        """One optimiser step on one batch.

        Returns:
            Weighted losses by name, their ``total`` and the gradient's ``norm``.

        Raises:
            CopeError: a loss is not finite; names it. The weights are as before the step.
        """
        progress = self.step / self.config.steps
        rate = learning_rate_factor(progress, self.config.optimizer)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        images = torch.stack([torch.from_numpy(f.image) for f in frames])
        images = self.augment(images.to(self.device, non_blocking=True))
        targets = self.targets(frames).to(self.device)
        losses = self._forward(images, targets, progress)
        _check_finite(losses, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        parameters = [p for p in self.network.parameters() if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(parameters, self.config.optimizer.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
            self._update_ema()
        self.step += 1
        return {k: float(v.detach()) for k, v in losses.items()} | {"norm": float(norm)}

    def _forward(self, images: Tensor, targets: Any, progress: float) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            predictions = Predictions(*self.network(images))
        return self.loss(predictions, targets, progress)

    def _restart_ema(self) -> None:
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def _update_ema(self) -> None:
        # A young average forgets faster, or it would carry the random start for long.
        decay = min(self.config.optimizer.ema_decay, (1.0 + self.step) / (10.0 + self.step))
        state = self.network.state_dict()
        with torch.no_grad():
            for key, average in self.ema.items():
                average.lerp_(state[key].to(average.dtype), 1.0 - decay)

    def checkpoint(self, state: dict[str, Any]) -> checkpoints.Checkpoint:
        """The current state; ``state`` adds what the caller wants to keep."""
        rng = {
            "augment_rng": self.generator.get_state().tolist(),
            "torch_rng": torch.get_rng_state().tolist(),
        }
        return checkpoints.Checkpoint(
            config=self.config,
            catalogue=self.catalogue,
            step=self.step,
            state=state | rng,
            weights=dict(self.network.state_dict()),
            ema=self.ema,
            optimizer=checkpoints.pack_optimizer(self.optimizer),
        )

    def resume(self, saved: checkpoints.Checkpoint, source: str) -> None:
        """Continues from a checkpoint, to the bit on the CPU."""
        checkpoints.load_weights(self.network, saved.weights, source)
        for key, value in saved.ema.items():
            self.ema[key].copy_(value)
        checkpoints.unpack_optimizer(self.optimizer, saved.optimizer)
        self.generator.set_state(torch.tensor(saved.state["augment_rng"], dtype=torch.uint8))
        torch.set_rng_state(torch.tensor(saved.state["torch_rng"], dtype=torch.uint8))
        self.step = saved.step


def _build_optimizer(network: CopeNetwork, config: OptimizerConfig) -> torch.optim.Optimizer:
    backbone = list(network.backbone.parameters())
    ours = {id(p) for p in backbone}
    others = [p for p in network.parameters() if id(p) not in ours]
    rate = config.learning_rate
    groups = [
        {"params": backbone, "lr": rate, "peak": rate * config.backbone_factor},
        {"params": others, "lr": rate, "peak": rate},
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    if config.name == "adam":
        return torch.optim.Adam(groups)
    raise CopeError(f"optimizer.name: expected adamw or adam, got {config.name!r}")


def _check_finite(losses: dict[str, Tensor], step: int) -> None:
    bad = [name for name, value in losses.items() if not torch.isfinite(value)]
    if bad:
        raise CopeError(f"step {step}: loss {', '.join(bad)} is not finite")


def batches(frames: Iterable[Frame], size: int) -> Iterable[list[Frame]]:
    """Groups a stream of frames."""
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
