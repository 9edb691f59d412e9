"""One of the processes of a training that is killed once, started by torchrun; see its test."""

import os
import signal
import sys
from pathlib import Path

from core_factory import make_catalogue
from ddp_worker import CONFIG
from test_training import make_batch

from cope_training import train as train_module
from cope_training.engine import checkpoint as checkpoints
from cope_training.engine.distributed import joined
from cope_training.engine.trainer import Trainer

KILLED_AT, LAST = 2, 4  # steps


class Stream:
    """Frames without workers; in the first life of process 1 the machine dies at a step."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> object:
        trainer, first_life = self.trainer, os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if first_life and trainer.ranks.rank == 1 and trainer.step == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return make_batch(trainer.step)[0]


def main(out: Path) -> None:
    """Trains to LAST, with a checkpoint after each step."""
    config = CONFIG.with_overrides(samples=LAST * CONFIG.batch, checkpoint_minutes=0.0)
    train_module._open_stream = Stream  # type: ignore[assignment]
    folder = out / "checkpoint"
    with joined("cpu") as (ranks, device):
        trainer = Trainer(config, make_catalogue(), device, ranks)
        if train_module._resumes(folder, ranks):
            trainer.resume(checkpoints.load(folder), str(folder))
        else:
            trainer.start()
        with (out / f"began_{ranks.rank}.txt").open("a") as file:
            file.write(f"{trainer.step}\n")
        train_module.train(trainer, float("inf"), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
