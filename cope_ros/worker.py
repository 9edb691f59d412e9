"""The one thread that estimates and publishes."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from cope_ros.input.mailbox import Mailbox, Pair

POLL = 0.2  # s; how long a stop may have to wait for an idle worker


class Worker:
    """Takes pairs from the mailbox and processes them, one at a time, in its own thread."""

    def __init__(
        self,
        mailbox: Mailbox,
        process: Callable[[Pair], None],
        period: Callable[[], float],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        """Starts the thread.

        Args:
            process: handles whatever a frame can do to it; an exception ends the worker.
            period: least time (s) between the starts of two frames, 0 for none.
            on_fault: called with the exception that ended the worker, from its thread.
        """
        self._mailbox = mailbox
        self._process = process
        self._period = period
        self._on_fault = on_fault
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cope_worker")
        self._future = self._pool.submit(self._loop)
        self._future.add_done_callback(self._report)

    def stop(self) -> None:
        """Ends the thread after the frame in hand."""
        self._stopping.set()
        self._pool.shutdown(wait=True)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            pair = self._mailbox.take(POLL)
            if pair is None:
                continue
            started = time.monotonic()
            self._process(pair)
            # Frames that come during the pause replace each other, so the next is fresh.
            self._stopping.wait(max(0.0, started + self._period() - time.monotonic()))

    def _report(self, future: "Future[None]") -> None:
        error = future.exception()
        if error is not None:
            self._on_fault(error)
