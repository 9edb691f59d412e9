"""Nodes in processes of their own that are forked from one with all imports made: ready in 0.3 s.

For tests of what happens once a node runs; what happens while it starts needs true starts.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["cope_ros.process"])


def run(output: Connection, arguments: Sequence[str]) -> None:
    """In the new process: the node's own ``main``."""
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output.fileno(), stream.fileno())
    from cope_ros.main import main

    sys.exit(main([sys.executable, *arguments]))


class ForkedNode:
    """What `subprocess.Popen` is, as far as the trials of signals go."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """``arguments``: of the command line, behind the program."""
        output, written = CONTEXT.Pipe(duplex=False)
        self._process = CONTEXT.Process(target=run, args=(written, tuple(arguments)))
        self._process.start()
        written.close()
        self.stdout = os.fdopen(os.dup(output.fileno()))
        output.close()

    def send_signal(self, number: signal.Signals) -> None:
        if self._process.is_alive():
            os.kill(self._process.pid or 0, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal; raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("a forked node", timeout or 0.0)
        return code
