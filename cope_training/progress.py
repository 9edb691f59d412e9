"""Progress bars on stderr (tqdm): with the time left on a terminal, a line per stage elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
FORMAT = "{desc:<14} {percentage:3.0f}% |{bar:30}| {elapsed}, {remaining} left"


class ProgressBar:
    """Shows how far each of several stages is, where the work itself tells its share."""

    def __init__(self) -> None:
        self._stage, self._start = "", 0.0
        self._bar: Any = None

    def __call__(self, stage: str, share: float) -> None:
        """Shows that ``share`` (0 to 1) of ``stage`` is done."""
        if stage != self._stage:
            self.close()
            self._stage, self._start = stage, time.perf_counter()
            on_terminal = sys.stderr.isatty()
            self._bar = tqdm(total=1.0, desc=stage, bar_format=FORMAT, disable=not on_terminal)
        self._bar.update(min(share, 1.0) - self._bar.n)
        if share >= 1:
            if self._bar.disable:
                seconds = time.perf_counter() - self._start
                print(f"{stage:<14} 100% in {seconds:.1f} s", file=sys.stderr, flush=True)
            self.close()

    def close(self) -> None:
        """Ends the bar of the stage."""
        if self._bar is not None:
            self._bar.close()
        self._stage, self._bar = "", None


def shown(items: Iterable[Item], name: str, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar on a terminal and no word elsewhere."""
    return iter(tqdm(items, desc=name, total=total, disable=None, leave=False))
