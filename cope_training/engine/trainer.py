"""The training loop: one step, and the state that survives between steps."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_ros.core.network.backbone import freeze_batch_norm, freeze_stem
from cope_ros.core.network.build import build_network
from cope_ros.core.network.pose_head import GeometricPoseHead
from cope_ros.core.network.presets import get_preset
from cope_training.data.augmentation import Augmenter
from cope_training.data.frame_batch import FrameBatch
from cope_training.data.frames import Frame
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import TrainConfig
from cope_training.engine.distributed import Ranks
from cope_training.engine.initialization import (
    OBJECT_LAYERS,
    fill_object_surfaces,
    start_crop_networks,
    take_over,
)
from cope_training.engine.optimization import Plateau, build_optimizer, learning_rate_factor
from cope_training.engine.pretrained import load_pretrained
from cope_training.tasks.build import build_task
from cope_training.tasks.computation import denormals_flushed
from cope_training.tasks.dense.targets import TargetBuilder
from cope_training.tasks.instance_head.task import InstanceHeadTargetBuilder
from cope_training.tasks.pose_pretraining import pretrain

MAX_SKIPPED = 20  # steps in a row without a finite gradient, after which a training stops


class Trainer:
    """A network in training.

    Args:
        config, catalogue: what to train on what.
        device: where the network runs; frames and targets are made on the CPU.
        ranks: this process among those that share each batch.
    """

    def __init__(
        self,
        config: TrainConfig,
        catalogue: Catalogue,
        device: torch.device,
        ranks: Ranks | None = None,
    ) -> None:
        self.config, self.catalogue, self.device = config, catalogue, device
        self.ranks = ranks or Ranks()
        self.ranks.share(config.batch)
        torch.manual_seed(config.seed)
        self.network = build_network(get_preset(config.preset), catalogue)
        self.network.to(device).to(memory_format=torch.channels_last)
        self._restart_ema()
        self.generator = torch.Generator()
        self.task = build_task(self.network, catalogue, config, self.ranks, self.generator)
        self.task.to(device)
        self.task.loss.to(device)
        if isinstance(self.task.targets, TargetBuilder | InstanceHeadTargetBuilder):
            self.task.targets.to(device)
        self.optimizer = build_optimizer(self.task.trained, config.optimizer)
        epoch = max(1, config.optimizer.epoch_samples // config.batch)
        self.plateau = Plateau(config.optimizer, epoch)
        self.augment = Augmenter(config.augment, self.generator)
        self.step = self.skipped = 0
        self.seconds = 0.0  # of training so far, without pauses between slices
        self._supervised: nn.Module = self.task

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
        if initial is not None and initial.catalogue.has_objects_of(self.catalogue):
            take_over(self.network, initial)
        else:
            if initial is not None:
                take_over(self.network, initial, OBJECT_LAYERS)
            elif config.pretrained:
                load_pretrained(self.network, layers.backbone, layers.fold_batch_norm)
            report = self._pretrain_pose_head()
        start_crop_networks(self.network, initial)
        fill_object_surfaces(self.network, self.catalogue, config.data, config.task)
        self._restart_ema()
        return report

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
        self.network.eval()
        self.task.trained.train()
        freeze_batch_norm(self.task.trained.backbone)
        if self.config.freeze_stem:
            freeze_stem(self.task.trained.backbone)
        if self.ranks.world > 1 and not isinstance(self._supervised, DistributedDataParallel):
            # Made here, for it looks once at what is frozen. A batch without objects, and
            # poses that are supervised later, leave parameters unused.
            self._supervised = DistributedDataParallel(
                self._supervised, find_unused_parameters=True
            )

    @property
    def progress(self) -> float:
        """Share of the training that is done, by images or by time."""
        by_time = self.seconds / (3600.0 * self.config.hours) if self.config.hours else 0.0
        return min(1.0, max(self.step / self.config.steps, by_time))

    def pass_time(self, seconds: float) -> None:
        """Counts time; the same for all processes, whose schedules are one."""
        if self.config.hours:
            spent = torch.tensor([seconds], dtype=torch.float64)
            self.seconds += float(self.ranks.total(spent)) / self.ranks.world

    @denormals_flushed()
    def train_step(self, frames: list[Frame] | FrameBatch) -> dict[str, float]:
        """One optimiser step on one batch, of which ``frames`` is this process's share.

        What is random in a step depends on seed, step and rank alone.

        Returns:
            Weighted losses by name, their ``total`` and the gradient's ``norm``.

        Raises:
            CopeError: a loss is not finite, or MAX_SKIPPED gradients in a row are not; names
                it. The weights are as before the step.
        """
        config = self.config.optimizer
        rate = self.plateau.factor * learning_rate_factor(self.progress, config)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        self.generator.manual_seed(_mix(self.config.seed, self.step, self.ranks.rank))
        torch.manual_seed(_mix(self.config.seed, self.step, self.ranks.world + self.ranks.rank))
        images, targets = self._inputs(frames)
        losses = self._supervised(self.augment(images), targets, self.progress)
        values = self._shared_values(losses)
        self.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        norm = self._apply_gradients()
        self.step += 1
        self.plateau.add(values["total"])
        return values | {"norm": norm}

    def _inputs(self, frames: list[Frame] | FrameBatch) -> tuple[Tensor, Any]:
        """Images and targets on the device; those of whole images are made there."""
        builder = self.task.targets
        if isinstance(builder, TargetBuilder | InstanceHeadTargetBuilder):
            batch = frames if isinstance(frames, FrameBatch) else FrameBatch.of(frames)
            batch = batch.to(self.device)
            return batch.image, builder.build(batch)
        if isinstance(frames, FrameBatch):
            raise CopeError(f"data.pool: not for task {self.config.task}")
        images = torch.stack([torch.from_numpy(f.image) for f in frames])
        targets = builder(frames).to(self.device)
        return images.to(self.device, non_blocking=True), targets

    def _shared_values(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """The losses of the whole batch as numbers."""
        stacked = torch.stack([v.detach() for v in losses.values()])
        means = (self.ranks.total(stacked) / self.ranks.world).tolist()
        values = dict(zip(losses, means, strict=True))
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise CopeError(f"step {self.step}: loss {', '.join(bad)} is not finite")
        return values

    def _apply_gradients(self) -> float:
        """One optimiser step, left out where the gradient is not finite; returns its norm."""
        named = {n: p for n, p in self.network.named_parameters() if p.grad is not None}
        norm = nn.utils.get_total_norm(p.grad for p in named.values() if p.grad is not None)
        if torch.isfinite(norm):
            self.skipped = 0
            nn.utils.clip_grads_with_norm_(named.values(), self.config.optimizer.clip_norm, norm)
            self.optimizer.step()
            self._update_ema()
            return float(norm)
        self.skipped += 1
        if self.skipped >= MAX_SKIPPED:
            bad = [
                n for n, p in named.items() if p.grad is not None and not p.grad.isfinite().all()
            ]
            raise CopeError(
                f"step {self.step}: {self.skipped} gradients in a row are not finite, "
                f"first that of {bad[0]}"
            )
        return float(norm)

    def _restart_ema(self) -> None:
        self.ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def _update_ema(self) -> None:
        # A young average forgets faster, or it would carry the random start for long.
        decay = min(self.config.optimizer.ema_decay, (1.0 + self.step) / (10.0 + self.step))
        state = self.network.state_dict()
        floating = [key for key, average in self.ema.items() if average.is_floating_point()]
        with torch.no_grad():
            averages = [self.ema[key] for key in floating]
            torch._foreach_lerp_(averages, [state[key] for key in floating], 1.0 - decay)
            for key in self.ema.keys() - set(floating):
                self.ema[key].copy_(state[key])  # counters of batch norms

    def checkpoint(self, state: dict[str, Any]) -> checkpoints.Checkpoint:
        """The current state; ``state`` adds what the caller wants to keep."""
        return checkpoints.Checkpoint(
            config=self.config,
            catalogue=self.catalogue,
            step=self.step,
            state=state | {"plateau": self.plateau.state(), "seconds": self.seconds},
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
        if "plateau" in saved.state:
            self.plateau.load(saved.state["plateau"])
        self.step, self.seconds = saved.step, float(saved.state.get("seconds", 0.0))


def _mix(seed: int, step: int, rank: int) -> int:
    """A seed of its own for each step of each process."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
