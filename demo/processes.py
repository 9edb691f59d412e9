"""Child processes that never outlive the demonstration."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE = 4.0  # s between asking and killing


class Child:
    """A process in a session of its own, so that a Ctrl-C reaches the parent alone."""

    def __init__(self, name: str, command: Sequence[str], log: Path | None = None) -> None:
        self.name = name
        self._log = log
        output = log.open("w") if log is not None else None
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        finally:
            if output is not None:
                output.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Signals the process and whatever it started; a process that is gone is no error."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def wait(self, seconds: float) -> None:
        """Waits for the end, at most ``seconds``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, seconds))

    def last_words(self) -> str:
        """The last line of its log, where it has one."""
        lines = self._log.read_text(errors="replace").split("\n") if self._log else []
        said = [line.strip() for line in lines if line.strip()]
        return f"{said[-1]} (all of it: {self._log})" if said else ""


def stop_all(children: Sequence[Child]) -> None:
    """Asks all children to end, and kills those that do not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + GRACE
        running = [child for child in children if child.poll() is None]
        for child in running:
            child.signal(number)
        for child in running:
            child.wait(deadline - time.monotonic())


def _die_with_parent() -> None:
    """In the child: be terminated if the parent is killed outright."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
