"""One of the processes of test_distributed, started by torchrun; also its helpers."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from test_training import QUICK, make_batch, make_trainer

from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.configuration import (
    AugmentConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)
from cope_training.engine.distributed import joined
from cope_training.engine.trainer import Trainer

# No randomness but the weights'; plain gradient sizes, for Adam's would hide a factor.
CONFIG: TrainConfig = replace(
    QUICK,
    batch=4,
    augment=AugmentConfig(enabled=False),
    loss=LossConfig(points=1.0),
    optimizer=OptimizerConfig(schedule="constant", clip_norm=1e9),
)


def frames_of(step: int, rank: int, world: int) -> list:
    """This process's share of a step's four frames; odd ones show no object."""
    frames = make_batch(10 * step) + make_batch(10 * step + 1)
    return frames[rank::world]


def run_steps(trainer: Trainer, steps: int) -> dict[str, torch.Tensor]:
    """Losses of the last step, its gradients and the weights, by name."""
    rank, world = trainer.ranks.rank, trainer.ranks.world
    for step in range(steps):
        losses = trainer.train_step(frames_of(step, rank, world))
    out = {f"loss/{k}": torch.tensor(v) for k, v in losses.items()}
    out |= {f"weight/{k}": v.contiguous() for k, v in trainer.network.state_dict().items()}
    for name, parameter in trainer.network.named_parameters():
        if parameter.grad is not None:
            out[f"grad/{name}"] = parameter.grad.contiguous()
    return out


def main(out: Path) -> None:
    """Two steps of a shared batch; the first process saves results and a checkpoint."""
    torch.set_num_threads(1)
    with joined("cpu") as (ranks, _):
        trainer = make_trainer(CONFIG, ranks)
        results = run_steps(trainer, 1)
        if ranks.is_first:
            save_file({k: v.clone() for k, v in results.items()}, out / "results.safetensors")
            checkpoints.save(out / "checkpoint", trainer.checkpoint({}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
