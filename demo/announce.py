"""What the demonstration says of itself: what it is about to do, how far it is, what came out."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from demo.record import RATE

# Seconds on two CPU cores, for the announcement alone.
START = 10  # until the node answers
REPORT = 30  # for judging, page and pictures
ROUND = 5  # s, to which the estimate is rounded up


def announcement(count: int, images: Path, model: Path) -> str:
    """Two sentences: what happens, and how long it takes."""
    seconds = math.ceil((START + count / RATE + REPORT) / ROUND) * ROUND
    return (
        f"demo: a camera plays {count} images at {RATE:.0f} Hz, the node finds the objects' poses, "
        "a listener shows and judges them: three processes over DDS, about "
        f"{seconds} s\n"
        f"demo: images {shown(images)}, model {shown(model)}"
    )


def shown(path: Path) -> Path:
    """A path as short as it can be typed here."""
    here, whole = Path.cwd(), path.resolve()
    return whole.relative_to(here) if whole.is_relative_to(here) else path


def headline(summary: Mapping[str, Any], page: Path) -> str:
    """The line that matters: share of right poses, latency, and where to look."""
    recall, p50 = summary["add_s_recall"], summary["latency_ms"]["p50"]
    if recall is None:
        frames = summary["frames_processed"]
        found = f"{summary['detections']} poses in {frames} images (no ground truth)"
    else:
        found = f"{recall:.1%} of {summary['instances']} poses right"
    latency = "" if p50 is None else f", p50 {p50:.0f} ms"
    return f"demo: {found}{latency}, look at {shown(page)}"


class Waiting:
    """How long the node has been awaited: drawn in place on a terminal, said once in a log."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._began = clock()
        self._drawn = stream.isatty()
        self._over = False
        self._second = -1

    def show(self, ready: bool) -> None:
        """Called again and again; ``ready``: whether the node has answered."""
        if self._over:
            return
        second = int(self._clock() - self._began)
        lead = "\r\x1b[K" if self._drawn else ""
        if ready:
            self._over = True
            self._write(f"{lead}demo: the node answers after {second} s; now the images\n")
        elif (second != self._second) if self._drawn else (self._second < 0):
            tail = f" {second} s" if self._drawn else "\n"
            self._write(f"{lead}demo: the node loads its model{tail}")
            self._second = second

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
