"""A progress bar on stderr."""

import sys
import time

WIDTH = 30  # characters
REFRESH = 0.1  # s between two drawings


class ProgressBar:
    """Draws ``stage [#####.....] 42 % 0:07`` on a terminal; one line per stage elsewhere."""

    def __init__(self) -> None:
        self._stage = ""
        self._start = self._drawn = 0.0
        self._terminal = sys.stderr.isatty()

    def __call__(self, stage: str, share: float) -> None:
        """Shows that ``share`` (0 to 1) of ``stage`` is done."""
        now = time.perf_counter()
        if stage != self._stage:
            self._stage, self._start, self._drawn = stage, now, 0.0
        done = share >= 1
        if not done and (not self._terminal or now - self._drawn < REFRESH):
            return
        self._drawn = now
        minutes, seconds = divmod(int(now - self._start), 60)
        bar = "#" * round(share * WIDTH)
        line = f"{stage:<14} [{bar:.<{WIDTH}}] {share:4.0%} {minutes}:{seconds:02d}"
        end = "\n" if done or not self._terminal else ""
        sys.stderr.write(("\r" if self._terminal else "") + line + end)
        sys.stderr.flush()
