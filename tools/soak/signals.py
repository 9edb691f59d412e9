"""Stops the node in random moments: SIGINT once, twice, SIGTERM; starting, loading, estimating.

``python -m tools.soak.signals [--trials 200]``; `make soak` ends with it. Exit code 0 when every
process ended in time with exit code 0, or 130 (SIGINT) or 143 (SIGTERM) where nothing had started.
Python itself, interrupted while it starts and before the node's first line, ends with 1.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from tools.soak import names

LIMIT = 2.0  # s from the first signal to the end of the process
LONGEST = 60.0  # s until a process that hangs is killed
APART = 1.5  # s at most between two signals
RUNNING = 1.0  # s at most from the first frame's readiness to the first signal
READY = "listening to"  # the node's words once it is active
STARTED = "cope]: "  # in every line of the node's log, behind its namespace if it has one
KINDS = (
    (signal.SIGINT,),
    (signal.SIGINT, signal.SIGINT),
    (signal.SIGTERM,),
    (signal.SIGINT, signal.SIGTERM),
)


class Trial(NamedTuple):
    """What is sent, and when."""

    signals: tuple[signal.Signals, ...]
    after_ready: bool  # else after the start of the process
    delay: float  # s to the first signal
    apart: float  # s between two signals

    def __str__(self) -> str:
        sent = f" and {self.apart:.2f} s later ".join(number.name for number in self.signals)
        return (
            f"{sent}, {self.delay:.2f} s after {'readiness' if self.after_ready else 'the start'}"
        )


class Outcome(NamedTuple):
    """How a process ended."""

    trial: Trial
    code: int  # as a shell sees it
    seconds: float  # from the first signal on
    started: bool  # whether the node had said anything by then
    log: str

    @property
    def line(self) -> str:
        """One line about it."""
        return f"exit code {self.code} after {self.seconds:.2f} s ({self.trial})"

    @property
    def in_python(self) -> bool:
        """Whether the interpreter was interrupted before it came to the node's code."""
        return "KeyboardInterrupt" in self.log and "cope_ros" not in self.log

    def fault(self, limit: float) -> str | None:
        """What is wrong with it, None where nothing is; ``limit`` in s."""
        fine = {0} if self.started else {0, 128 + self.trial.signals[0]}
        if not self.started and self.in_python:
            fine.add(1)
        if self.seconds > limit:
            return f"took {self.seconds:.1f} s ({self.trial})"
        if self.code not in fine:
            return f"exit code {self.code} ({self.trial}): {self.log[-300:]}"
        return None


def plan(rng: random.Random, start_up: float) -> Trial:
    """A random trial; ``start_up`` is how long (s) the node takes to be ready."""
    after_ready = rng.random() < 0.5
    delay = rng.uniform(0, RUNNING if after_ready else start_up)
    return Trial(rng.choice(KINDS), after_ready, delay, rng.uniform(0, APART))


class Child(Protocol):
    """What a trial needs of a process; `subprocess.Popen` has it."""

    @property
    def stdout(self) -> Iterable[str] | None:
        """Lines of both outputs."""

    def send_signal(self, number: signal.Signals, /) -> None:
        """Sends it, unless the process has ended."""

    def kill(self) -> None:
        """Ends it at once."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal; raises `subprocess.TimeoutExpired`."""


Start = Callable[[bool], Child]  # told whether the signals come after the node's readiness only


def start_process(command: Sequence[str]) -> Child:
    """A process whose outputs are read as one."""
    return subprocess.Popen(
        command, cwd=names.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


class Process:
    """A node under trial; a thread reads its log."""

    def __init__(self, start: Start, after_ready: bool) -> None:
        self.began = time.monotonic()
        self._process = start(after_ready)
        self.ready = threading.Event()
        self.log = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log += line
            if READY in line:
                self.ready.set()

    def stop(self, trial: Trial) -> Outcome:
        """Sends the signals and waits for the end."""
        if trial.after_ready:
            self.ready.wait(LONGEST)
        time.sleep(trial.delay)
        started, first = STARTED in self.log, time.monotonic()
        for number in trial.signals:
            self._process.send_signal(number)
            try:
                self._process.wait(trial.apart)
                break
            except subprocess.TimeoutExpired:
                continue
        try:
            code = self._process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        seconds = time.monotonic() - first
        self._reader.join()
        return Outcome(trial, code if code >= 0 else 128 - code, seconds, started, self.log)


def measure_start_up(start: Start) -> float:
    """Seconds from the start of a process to its readiness."""
    process = Process(start, True)
    ready = process.ready.wait(LONGEST)
    seconds = time.monotonic() - process.began
    process.stop(Trial((signal.SIGTERM,), False, 0.0, 0.0))
    if not ready:
        raise TimeoutError(f"not ready within {LONGEST:.0f} s: {process.log[-500:]}")
    return seconds


def run_trials(start: Start, count: int, parallel: int, seed: int) -> list[Outcome]:
    """As many trials as asked for, ``parallel`` at a time."""
    slower = max(1.0, parallel / (os.cpu_count() or 1))  # nodes that start side by side
    start_up, rng = slower * measure_start_up(start), random.Random(seed)
    planned = [plan(rng, start_up) for _ in range(count)]
    outcomes = []
    with ThreadPoolExecutor(parallel) as pool:
        running = [pool.submit(_try, start, trial) for trial in planned]
        for number, ended in enumerate(as_completed(running), 1):
            outcomes.append(ended.result())
            print(f"signals: {number} of {count}: {outcomes[-1].line}", flush=True)
    return outcomes


def _try(start: Start, trial: Trial) -> Outcome:
    return Process(start, trial.after_ready).stop(trial)


def report(outcomes: Sequence[Outcome], limit: float = LIMIT) -> list[str]:
    """Prints the sum of all trials; returns the faults."""
    found = (outcome.fault(limit) for outcome in outcomes)
    faults = [fault for fault in found if fault is not None]
    slowest = max(outcome.seconds for outcome in outcomes)
    started = sum(outcome.started for outcome in outcomes)
    print(
        f"signals: {len(outcomes)} trials, {started} of a node that had started, "
        f"{len(faults)} failed, slowest end {slowest:.2f} s"
    )
    for fault in faults:
        print(f"signals: {fault}")
    return faults


@contextmanager
def camera() -> Iterator[None]:
    """The soak's camera, so that nodes have something to estimate."""
    command = [sys.executable, "-m", "tools.soak.camera", os.devnull]
    process = subprocess.Popen(command, cwd=names.ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.choice(range(1, 102))))
    command = [sys.executable, "-m", "cope_ros.node", "--ros-args", "-r", f"__ns:=/{names.RAW}"]
    settings = ["-p", f"model:={names.MODEL}", "-p", "device:=cpu"]

    def start(_after_ready: bool) -> Child:
        return start_process([*command, *settings])

    with camera():
        outcomes = run_trials(start, options.trials, options.parallel, options.seed)
    return 1 if report(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
