"""Ends the process soon after SIGINT or SIGTERM, whatever it is doing. Knows no ROS.

Python's own way, a KeyboardInterrupt wherever the main thread happens to be, leaves a node
half-stopped when a second signal follows (a terminal and launch both send one), and waits for C++
code such as the loading of a model. Here a thread takes the signals and nobody is interrupted.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

GRACE = 0.8  # s for an orderly end; what still works on a frame or a model then is cut off
SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130  # exit code of an interrupted shell command: nothing had started


class Stopper:
    """Takes SIGINT and SIGTERM from its creation to the end of the process.

    Attributes:
        asked: whether a signal has come.
    """

    def __init__(self) -> None:
        """Takes over the signals; only in the main thread."""
        self.asked = False
        self._stop: Callable[[], object] | None = None
        self._lock = threading.Lock()
        self._reading, writing = os.pipe()
        os.set_blocking(writing, False)
        for number in SIGNALS:
            signal.signal(number, _ignore)
        # Written to in the moment of the signal, even while C++ code keeps the main thread.
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="cope_stopper", daemon=True).start()

    def started(self, stop: Callable[[], object]) -> None:
        """From now on there is something to stop: ``stop`` is called once, by another thread."""
        with self._lock:
            self._stop = stop

    def leave(self, code: int) -> int:
        """Ends the process with ``code``, at once, where a signal asked for it; else returns it."""
        if self.asked:
            os._exit(code)  # the interpreter's own end takes its time and knows no second signal
        return code

    def _watch(self) -> None:
        number = os.read(self._reading, 1)[0]
        with self._lock:
            self.asked = True
            stop = self._stop
        if stop is None:
            os._exit(INTERRUPTED if number == signal.SIGINT else 0)
        cut_off = threading.Timer(GRACE, os._exit, [0])
        cut_off.daemon = True
        cut_off.start()
        stop()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """The thread is told by itself; no KeyboardInterrupt must be raised."""
