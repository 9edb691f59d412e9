"""Ctrl-C and SIGTERM as a wish, so that a training ends with a checkpoint."""

import signal
from typing import Any


class StopRequest:
    """True after SIGTERM or Ctrl-C inside its block, so that a slice ends with a checkpoint."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, *_: object) -> None:
        self.requested = True
