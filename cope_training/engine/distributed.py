"""Training on several devices: one process each.

``cope_train --processes 4``, or torchrun for several machines: every process renders its own
share of each batch; losses are normalised over the whole batch, so that N processes compute what
one would with all the images.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from cope_ros.core.errors import CopeError

LOST = 70  # exit code of a process that another one left alone; the other has said why
_OF_A_LOSS = re.compile("Connection (closed|reset) by peer|Broken pipe")  # as gloo says it


@dataclass(frozen=True)
class Ranks:
    """This process among all."""

    rank: int = 0
    world: int = 1
    local: int = 0  # number on this machine, which chooses the GPU

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, without gradient; a copy."""
        values = values.detach().clone()
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return bool(self.total(torch.tensor(float(flag))) > 0) if self.world > 1 else flag

    def share(self, batch: int) -> int:
        """Images of a batch that fall to each process.

        Raises:
            CopeError: the batch cannot be divided evenly.
        """
        if batch % self.world:
            raise CopeError(f"batch: expected a multiple of {self.world} processes, got {batch}")
        return batch // self.world


@contextmanager
def joined(device: str) -> Iterator[tuple[Ranks, torch.device]]:
    """This process's place and its device; alone where torchrun did not start it.

    Args:
        device: ``cpu`` or ``cuda``; a GPU is chosen by the local rank.

    Raises:
        SystemExit: code LOST, another process has ended before its time.
    """
    if "RANK" not in os.environ:
        yield Ranks(), torch.device(device)
        return
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    ranks = Ranks(*(int(os.environ[name]) for name in names))
    cuda = torch.device(device).type == "cuda"
    own = torch.device("cuda", ranks.local) if cuda else torch.device(device)
    if cuda:
        torch.cuda.set_device(own)
    # Flags travel as CPU tensors also where gradients travel between GPUs.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        yield ranks, own
    except RuntimeError as error:
        if _OF_A_LOSS.search(str(error)):
            raise SystemExit(LOST) from error
        raise
    finally:
        distributed.destroy_process_group()
