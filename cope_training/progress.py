"""Progress on stderr, the same for all commands: one line on a terminal (tqdm), few elsewhere.

On a terminal a bar with the time left is updated; where stderr is a file or a pipe, a plain line
comes at most every ``EVERY`` seconds. Where there is nothing to do, nothing is said.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Progress = Callable[[str, float], object]  # told a stage and its share that is done, in [0, 1]
FORMAT = "{desc:<14} {percentage:3.0f}% |{bar:30}| {elapsed}, {remaining} left"
EVERY = 10.0  # s between plain lines


class ProgressBar:
    """Shows how far each of several stages is, where the work itself tells its share.

    Args:
        least: s; a stage that took less leaves no line behind.
    """

    def __init__(self, least: float = 0.0) -> None:
        self._stage, self._least = "", least
        self._bar: Any = None
        self._lines = _Lines("")

    def __call__(self, stage: str, share: float) -> None:
        """Shows that ``share`` (0 to 1) of ``stage`` is done."""
        if stage != self._stage:
            self.close()
            self._stage, self._lines = stage, _Lines(stage)
            on_terminal = sys.stderr.isatty()
            self._bar = tqdm(total=1.0, desc=stage, bar_format=FORMAT, disable=not on_terminal,
                             leave=not self._least)  # fmt: skip
        self._bar.update(min(share, 1.0) - self._bar.n)
        plain, lines = self._bar.disable, self._lines
        if share < 1:
            if plain and share > 0:
                left = tqdm.format_interval(lines.seconds * (1.0 - share) / share)
                lines.tell(f"{100 * share:3.0f}%, {left} left")
            return
        if plain and lines.seconds >= self._least:
            lines.tell(f"100% in {lines.seconds:.1f} s", now=True)
        self.close()

    def close(self) -> None:
        """Ends the bar of the stage."""
        if self._bar is not None:
            self._bar.close()
        self._stage, self._bar = "", None


def shown(items: Iterable[Item], name: str, total: int | None = None) -> Iterator[Item]:
    """The items, with how many of them are done.

    Args:
        items: what is worked on, one after another.
        name: of the work.
        total: how many there are, where that is known.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, desc=name, total=total, leave=False)
        return
    lines, of = _Lines(name), "" if total is None else f" of {total}"
    for done, item in enumerate(items, start=1):
        yield item
        lines.tell(f"{done}{of} done")


class _Lines:
    """Plain lines about one piece of work, not more often than anybody reads them."""

    def __init__(self, name: str) -> None:
        self._name, self._start = name, time.perf_counter()
        self._last = self._start

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return time.perf_counter() - self._start

    def tell(self, text: str, now: bool = False) -> None:
        """A line, if it is time for one."""
        if now or time.perf_counter() - self._last >= EVERY:
            self._last = time.perf_counter()
            print(f"{self._name:<14} {text}", file=sys.stderr, flush=True)
