"""What `make setup` draws while pip works: a bar on a terminal, a line per step in a log.

Standard library alone: it runs before anything is installed.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

WIDTH = 24  # characters of the bar
TICK = 0.5  # s between two drawings on a terminal
# Downloads of at least this size (MB) are named one by one.
LARGE_DOWNLOAD = 10.0
# How the bar is shared out: what is looked up and fetched, then installed.
FETCHED = 0.6
DOWNLOAD = re.compile(r"\s*(?:Downloading|Using cached) (\S+) \(([\d.]+) ([kMG])B\)")
MEGABYTES = {"k": 0.001, "M": 1.0, "G": 1000.0}
INSTALLING = "Installing collected packages:"


class Bar:
    """Shows a share of the work and what is at hand. Used by two threads."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._drawn = stream.isatty()
        self._lock = threading.Lock()
        self._share = 0.0
        self._text = ""
        self._since = clock()

    def show(self, share: float, text: str = "") -> None:
        """Moves the bar, never back; a new ``text`` (of one line) replaces the old one."""
        with self._lock:
            self._share = max(self._share, min(share, 1.0))
            fresh = bool(text) and text != self._text
            if fresh:
                self._text, self._since = text, self._clock()
            if self._drawn:
                self._draw()
            elif fresh:
                print(f"  {self._share:4.0%}  {text}", file=self._stream, flush=True)

    def end(self) -> None:
        """Leaves the line."""
        if self._drawn:
            print(file=self._stream, flush=True)

    @contextmanager
    def ticking(self, look: Callable[[], None]) -> Generator[None, None, None]:
        """Meanwhile calls ``look`` and redraws now and then, so that seconds count up."""
        over = threading.Event()

        def tick() -> None:
            while not over.wait(TICK):
                look()
                self.show(0.0)

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _draw(self) -> None:
        full = round(WIDTH * self._share)
        seconds = int(self._clock() - self._since)
        waited = f" {seconds // 60}:{seconds % 60:02d}" if seconds >= 2 else ""
        bar = f"  [{'#' * full:<{WIDTH}}] {self._share:4.0%}  {self._text}{waited}"
        self._stream.write(f"\r\x1b[K{bar[:100]}")
        self._stream.flush()


class PipProgress:
    """Reads pip's output for a bar, from ``start`` to ``end`` of it."""

    def __init__(self, bar: Bar, packages: int, folder: Path, start: float, end: float) -> None:
        """``packages``: how many are asked for; ``folder``: site-packages."""
        self._bar = bar
        self._packages = max(packages, 1)
        self._folder = folder
        self._start, self._span = start, end - start
        self._seen = 0
        self._before = 0
        self._installing = 0

    def read(self, line: str) -> None:
        """Takes a line of pip's output."""
        if line.startswith(("Collecting ", "Requirement already satisfied")):
            self._seen += 1
            self._move(FETCHED * min(self._seen / self._packages, 1.0))
        elif line.startswith(INSTALLING):
            self._before, self._installing = self._installed(), line.count(",") + 1
            self._move(FETCHED, f"installing {self._installing} packages")
        elif text := large_download(line):
            self._move(0.0, f"fetching {text}")

    def look(self) -> None:
        """Counts what has been installed: pip itself is silent meanwhile."""
        if self._installing:
            share = (self._installed() - self._before) / self._installing
            self._move(FETCHED + (1 - FETCHED) * min(max(share, 0.0), 1.0))

    def _move(self, share: float, text: str = "") -> None:
        self._bar.show(self._start + self._span * share, text)

    def _installed(self) -> int:
        return sum(1 for _ in self._folder.glob("*.dist-info"))


def large_download(line: str) -> str | None:
    """Package, version and size of a large download that a line of pip's tells of."""
    found = DOWNLOAD.match(line)
    if found is None:
        return None
    name, size, unit = found.groups()
    megabytes = float(size) * MEGABYTES[unit]
    package = "-".join(name.rsplit("/", 1)[-1].split("-")[:2])
    return f"{package} ({megabytes:.0f} MB)" if megabytes > LARGE_DOWNLOAD else None
