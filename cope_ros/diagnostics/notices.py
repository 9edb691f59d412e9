"""What is said once: in the log, and on /diagnostics for as long as it holds. Knows no ROS."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

RELAPSE = 30.0  # s without it after which a fact counts as new
Log = Callable[[str], object]  # a logger's info or warning


class _Said(NamedTuple):
    at: float  # s, steady clock
    part: str  # of the diagnostics, "" where it stands nowhere
    text: str


class Notices:
    """Remembers what has been said, so that a stream of frames says it once. Thread-safe.

    A notice with a ``part`` stands on /diagnostics, as a warning of that part, until it is
    withdrawn; one without is an event or good news, in the log alone.
    """

    def __init__(self, warn: Log, inform: Log, clock: Callable[[], float] = time.monotonic) -> None:
        """``warn`` and ``inform`` write to the log."""
        self._warn = warn
        self._inform = inform
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[str, _Said] = {}
        self._held: dict[str, dict[str, float]] = {}  # by part and key: when it held last

    def warn(self, key: str, text: str, part: str = "", every: float = math.inf) -> bool:
        """Warns, unless ``key`` was said within the last ``every`` seconds.

        Args:
            key: names the fact; other words for the same fact are not said again.
            part: of the diagnostics where it stands until withdrawn.

        Returns:
            Whether it was said.
        """
        said = self._note(key, part, text, every)
        if said:
            self._warn(text)
        return said

    def inform(self, key: str, text: str, every: float = math.inf) -> bool:
        """As :meth:`warn`, at level info."""
        said = self._note(key, "", text, every)
        if said:  # on a line of its own: rclpy refuses two severities from one
            self._inform(text)
        return said

    def hold(self, part: str, facts: Mapping[str, str]) -> None:
        """All that a frame says of a part of the diagnostics: what is gone is withdrawn.

        Facts may come and go with the frames: they stand on /diagnostics while they hold, and
        are logged when they arise anew, after RELAPSE seconds without them.

        Args:
            facts: text by key, of one caller per part.
        """
        new = []
        with self._lock:
            now = self._clock()
            for key in self._held.get(part, {}).keys() - facts.keys():
                self._said.pop(key, None)
            held = self._held.setdefault(part, {})
            for key, text in facts.items():
                if now - held.get(key, -math.inf) >= RELAPSE and key not in self._said:
                    new.append(text)
                self._said[key] = _Said(now, part, text)
                held[key] = now
        for text in new:
            self._warn(text)

    def withdraw(self, key: str) -> bool:
        """It holds no longer: said again when it returns. Whether it had been said."""
        with self._lock:
            return self._said.pop(key, None) is not None

    def clear(self) -> None:
        """Forgets everything: the node was deactivated."""
        with self._lock:
            self._said.clear()
            self._held.clear()

    @property
    def standing(self) -> dict[str, tuple[str, ...]]:
        """What holds, by part of the diagnostics, in the order in which it was said."""
        found: dict[str, tuple[str, ...]] = {}
        with self._lock:
            for said in self._said.values():
                if said.part:
                    found[said.part] = (*found.get(said.part, ()), said.text)
        return found

    def _note(self, key: str, part: str, text: str, every: float) -> bool:
        """Whether it is to be said now."""
        with self._lock:
            now = self._clock()
            last = self._said.get(key)
            if last is not None and now - last.at < every:
                return False
            self._said[key] = _Said(now, part, text)
            return True
