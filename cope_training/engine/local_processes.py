"""Several processes of one training on this machine: ``cope_train --processes 2``.

What torchrun does for one machine, with the commands' own manners: one line where one fails,
and Ctrl-C ends all of them with a checkpoint.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO

from cope_ros.core.errors import CopeError
from cope_training.command import OK, STOPPED, whole_number
from cope_training.engine.distributed import LOST

POLL = 0.2  # s
GRACE = 20.0  # s, of the others' end after one failed
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAUNCHED = "TORCHELASTIC_RUN_ID"  # set by torchrun

Process = subprocess.Popen[bytes]


def add_process_options(parser: ArgumentParser) -> None:
    """``--processes`` and ``--threads``."""
    parser.add_argument(
        "--processes",
        type=whole_number(1),
        default=1,
        help="that share the work on this machine, one per GPU or CPU core (1)",
    )
    parser.add_argument("--threads", type=whole_number(1), help="of torch in each, on the CPU")


def in_processes(
    module: str,
    arguments: Sequence[str] | None,
    work: Callable[[Namespace], int | None],
    options: Namespace,
) -> int | None:
    """``work`` in this process, or the module's command in ``options.processes`` others.

    Args:
        module: what ``python -m`` runs.
        arguments: of it, None for those of this process.
        work: what one process of several, or the only one, does.
        options: the parsed arguments, with those of ``add_process_options``.

    Raises:
        CopeError: a process failed, or torchrun has started several already.
    """
    count = options.processes
    if count > 1 and LAUNCHED in os.environ:
        raise CopeError("--processes: torchrun starts the processes; leave the option out")
    if count == 1 or "RANK" in os.environ:
        return work(options)
    given = sys.argv[1:] if arguments is None else arguments
    threads = options.threads or max(1, (os.cpu_count() or 1) // count)
    command = [sys.executable, "-m", module, *given, "--threads", str(threads)]
    return run_processes(count, command, threads)


def run_processes(count: int, command: Sequence[str], threads: int) -> int:
    """Runs ``command`` as ``count`` ranks; only the first one speaks.

    Args:
        threads: of torch in each of them.

    Returns:
        The exit code of the first rank.

    Raises:
        CopeError: another rank failed; with the last line it said.
    """
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    shared |= {"WORLD_SIZE": str(count), "OMP_NUM_THREADS": str(threads)}
    shared["TORCH_CPP_LOG_LEVEL"] = os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR")
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, count)]
        ranks: list[Process] = []
        for rank, errors in enumerate([None, *said]):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            ranks.append(
                subprocess.Popen(
                    command,
                    env=os.environ | shared | place,
                    stdout=subprocess.DEVNULL if rank else None,
                    stderr=errors,
                    start_new_session=True,  # a signal comes once, from here
                )
            )
        with _forwarding(ranks):
            return _ended(ranks, said)


def _ended(ranks: Sequence[Process], said: Sequence[IO[bytes]]) -> int:
    """Waits for the first rank, or until another fails."""
    first, others = ranks[0], ranks[1:]
    try:
        while first.poll() is None and not any(_failed(rank) for rank in others):
            time.sleep(POLL)
        if first.poll() in (None, LOST):
            for rank, errors in zip(others, said, strict=True):
                if _failed(rank):
                    raise CopeError(f"process {ranks.index(rank)}: {_reason(rank, errors)}")
        return int(first.wait())
    finally:
        _end(ranks)


def _failed(rank: Process) -> bool:
    return rank.poll() not in (None, OK, STOPPED, LOST)


def _end(ranks: Sequence[Process]) -> None:
    """Ends what still runs."""
    for rank in ranks:
        if rank.poll() is None:
            rank.terminate()
    until = time.monotonic() + GRACE
    for rank in ranks:
        try:
            rank.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            rank.kill()
            rank.wait()


@contextmanager
def _forwarding(ranks: Sequence[Process]) -> Iterator[None]:
    """Hands signals on to all ranks, which answer them."""

    def forward(number: int, _: object) -> None:
        for rank in ranks:
            if rank.poll() is None:
                rank.send_signal(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(rank: Process, errors: IO[bytes]) -> str:
    """Why a process failed: the signal that ended it, or its last line."""
    if rank.returncode < 0:
        return f"ended by {signal.Signals(-rank.returncode).name}"
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {rank.returncode}"


def free_port() -> int:
    """A TCP port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
