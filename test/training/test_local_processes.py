"""Several processes of one training: who speaks, what ends them, and what is said of a failure."""

import os
import signal
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path

import pytest

from cope_ros.core.errors import CopeError
from cope_training.engine import local_processes
from cope_training.engine.local_processes import in_processes, run_processes

PLACE = "import os, sys, time, signal; rank = int(os.environ['RANK'])\n"
# Two real ranks; the second one dies between two sums.
LOST = """
from cope_training.engine.distributed import joined
with joined("cpu") as (ranks, _):
    assert ranks.any(rank == 1)
    if rank == 1:
        os._exit(3)
    ranks.any(False)
"""


def run(code: str, count: int = 2) -> int:
    return run_processes(count, [sys.executable, "-c", PLACE + code], threads=1)


def test_the_first_speaks_for_all(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = f"""
names = "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "OMP_NUM_THREADS"
open({str(tmp_path)!r} + f"/{{rank}}", "w").write(" ".join(os.environ[n] for n in names))
print("rank", rank)
print("rank", rank, file=sys.stderr)
while rank == 0 and not all(os.path.exists({str(tmp_path)!r} + f"/{{n}}.done") for n in (1, 2)):
    time.sleep(0.05)  # a failure ends processes that have hardly begun
open({str(tmp_path)!r} + f"/{{rank}}.done", "w")
sys.exit(5 if rank == 0 else 0)
"""
    assert run(code, 3) == 5
    out, err = capfd.readouterr()
    assert out == err == "rank 0\n"
    for rank in range(3):
        assert (tmp_path / str(rank)).read_text() == f"3 {rank} 127.0.0.1 1"


def test_another_that_fails_ends_all_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic()
    with pytest.raises(CopeError, match=r"^process 2: cope_train: no such mesh$"):
        run(
            "if rank < 2: time.sleep(60)\n"
            "print('first', 'cope_train: no such mesh', sep='\\n', file=sys.stderr); sys.exit(1)",
            3,
        )
    assert time.monotonic() - start < 30
    with pytest.raises(CopeError, match=r"^process 1: ended by SIGKILL$"):
        run("if rank == 0: time.sleep(60)\nos.kill(os.getpid(), signal.SIGKILL)")
    monkeypatch.setattr(local_processes, "GRACE", 0.5)  # and who does not listen
    with pytest.raises(CopeError, match=r"^process 1: exit code 7$"):
        run(
            "if rank == 1: time.sleep(1); sys.exit(7)\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
        )


def test_what_fails_in_all_is_said_once() -> None:
    """The first has said it; its code is the command's."""
    assert run("sys.exit(1) if rank == 0 else time.sleep(60)") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_all_and_end_them_in_order(tmp_path: Path, number: signal.Signals) -> None:
    code = f"""
def stop(*_):
    open({str(tmp_path)!r} + f"/stopped{{rank}}", "a").write("x")
    sys.exit(130)
signal.signal({int(number)}, stop)
open({str(tmp_path)!r} + f"/ready{{rank}}", "w")
time.sleep(60)
"""

    def send() -> None:
        while len(list(tmp_path.glob("ready*"))) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    before = signal.getsignal(number)
    assert run(code) == 130
    sender.join()
    assert signal.getsignal(number) is before
    assert [(tmp_path / f"stopped{i}").read_text() for i in range(2)] == ["x", "x"]


def test_a_rank_that_is_left_alone_does_not_hang_nor_speak(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CopeError, match=r"^process 1: exit code 3$"):
        run(LOST)
    assert "Traceback" not in capfd.readouterr().err


def test_one_process_and_those_that_were_started_do_the_work_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = []
    monkeypatch.setattr(local_processes, "run_processes", lambda *a: started.append(a) or 4)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delenv("RANK", raising=False)

    def answer(processes: int, threads: int | None = None) -> int | None:
        options = Namespace(processes=processes, threads=threads)
        return in_processes("some.module", ["--out", "x"], lambda _: 3, options)

    assert answer(1) == 3
    assert answer(2) == answer(2, threads=1) == 4
    command = [sys.executable, "-m", "some.module", "--out", "x", "--threads"]
    assert started == [(2, [*command, "3"], 3), (2, [*command, "1"], 1)]
    monkeypatch.setenv("RANK", "1")
    assert answer(2) == 3
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(CopeError, match="torchrun starts the processes"):
        answer(2)
