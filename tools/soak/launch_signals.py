"""SIGINT to the real `ros2 launch` in random moments: to launch alone, or to its group as Ctrl-C.

``python -m tools.soak.launch_signals [--trials 40]`` where ROS is sourced. Exit code 0 when every
launch ended in time and left no process behind; its exit code is launch's own affair.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import psutil

COMMAND = ("ros2", "launch", "cope_ros", "cope.launch.py", "device:=cpu")
LATEST = 8.0  # s from the start to the first signal, at most: by then the node has a model
APART = 1.5  # s at most between two signals
LIMIT = 5.0  # s from the first signal to the end; then launch itself sends SIGTERM
LEFT = 3.0  # s that other processes may live on
HANGS = 20.0  # s


class Trial(NamedTuple):
    """What is sent, and when."""

    to_group: bool  # as a terminal does, else to launch alone
    times: int
    delay: float  # s from the start to the first signal
    apart: float  # s between two signals


class Outcome(NamedTuple):
    """How a launch ended."""

    trial: Trial
    code: int | None  # None where it hung
    seconds: float  # from the first signal on
    left: list[str]  # command lines of processes that outlived it

    @property
    def fine(self) -> bool:
        """Whether it ended in time and left nothing."""
        return self.code is not None and self.seconds <= LIMIT and not self.left


def plan(rng: random.Random) -> Trial:
    """A random trial."""
    return Trial(
        rng.random() < 0.5, rng.choice((1, 2)), rng.uniform(0.5, LATEST), rng.uniform(0, APART)
    )


def stop(trial: Trial, domain: int) -> Outcome:
    """Starts a launch in a session of its own, sends the signals and waits for its end."""
    process = subprocess.Popen(
        COMMAND,
        env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(trial.delay)
    began = time.monotonic()
    for _ in range(trial.times):
        if process.poll() is None:
            (os.killpg if trial.to_group else os.kill)(process.pid, signal.SIGINT)
            _wait(process, trial.apart)
    code = _wait(process, HANGS)
    return Outcome(trial, code, time.monotonic() - began, _end_left(process.pid))


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _end_left(session: int) -> list[str]:
    """Command lines of a session's processes that do not end by themselves; kills them."""
    deadline = time.monotonic() + LEFT
    while (left := _members(session)) and time.monotonic() < deadline:
        time.sleep(0.1)
    lines = [" ".join(process.cmdline()) for process in left]
    for process in left:
        process.kill()
    return lines


def _members(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            mine = os.getsid(process.pid) == session
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    if shutil.which(COMMAND[0]) is None:
        parser.error("ros2 is not on the PATH: source ROS and the workspace first")
    # As from a terminal: a script's "&" has SIGINT ignored, for all that is started from there.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng, first = random.Random(options.seed), random.choice(range(1, 90))
    planned = [plan(rng) for _ in range(options.trials)]
    with ThreadPoolExecutor(options.parallel) as pool:
        domains = [first + number % options.parallel for number in range(options.trials)]
        outcomes = []
        for outcome in pool.map(stop, planned, domains):
            outcomes.append(outcome)
            print(f"{'fine' if outcome.fine else 'FAULT'}: {outcome}", flush=True)
    slowest = max(outcome.seconds for outcome in outcomes)
    faults = sum(not outcome.fine for outcome in outcomes)
    print(f"{len(outcomes)} launches, {faults} failed, slowest end {slowest:.2f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
