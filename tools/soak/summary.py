"""From samples to the soak's verdict: figures, picture, and what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from tools.soak.watch import Sample, Watched

matplotlib.use("Agg")
from matplotlib import pyplot as plt

MINUTE = 60.0  # s
SETTLED = 2.0  # min after which memory must not grow; a third of a shorter soak
MEASURED = 1.0  # min of memory compared at either end; a sixth of a shorter soak
ENDS = 5.0  # min of latency summed up at either end; a quarter of a shorter soak
MAX_GROWTH = 1.0  # %


@dataclass(frozen=True)
class Limits:
    """What a soak may show at most."""

    growth_percent: float = MAX_GROWTH
    crashes: int = 0
    hangs: int = 0
    non_finite: int = 0


def growth_percent(samples: Sequence[Sample], minutes: float) -> float:
    """Growth of resident memory from the settled minute to the last one, of their medians.

    Raises:
        ValueError: no samples in either.
    """
    start = min(SETTLED, minutes / 3) * MINUTE
    length = min(MEASURED, minutes / 6) * MINUTE
    end = samples[-1].at
    first = [s.rss_mib for s in samples if start <= s.at < start + length]
    last = [s.rss_mib for s in samples if s.at > end - length]
    if not first or not last:
        raise ValueError(f"expected samples around {start:.0f} s and {end:.0f} s, got none")
    return float(100 * (np.median(last) / np.median(first) - 1))


def latency_ms(latencies: Sequence[tuple[float, float]], minutes: float) -> dict[str, Any]:
    """Median and 99th percentile of the first and last minutes; None where no frame came."""
    length = min(ENDS, minutes / 4) * MINUTE
    end = max((at for at, _ in latencies), default=0.0)
    parts = {
        "first": [value for at, value in latencies if at < length],
        "last": [value for at, value in latencies if at > end - length],
    }
    return {
        "minutes_each": length / MINUTE,
        **{
            name: {
                f"p{q}": round(1000 * float(np.percentile(part, q)), 1) if part else None
                for q in (50, 99)
            }
            for name, part in parts.items()
        },
    }


def faults(summary: Mapping[str, Any], limits: Limits) -> list[str]:
    """What exceeds the limits, in words; empty for a sound soak."""
    found = [
        f"{name}: expected at most {getattr(limits, name)}, got {summary[name]}"
        for name in ("crashes", "hangs", "non_finite")
        if summary[name] > getattr(limits, name)
    ]
    growth = summary["rss_growth_percent"]
    if growth is None or not growth <= limits.growth_percent:
        text = "rss_growth_percent: expected at most {} %, got {}"
        found.append(text.format(limits.growth_percent, growth))
    if summary["latency_ms"]["last"]["p50"] is None:
        found.append("no true frame was answered at the end")
    return found


def describe(watched: Watched, minutes: float) -> dict[str, Any]:
    """The figures of one node."""
    values = watched.values
    causes = {
        key.removeprefix("output.dropped_"): int(value)
        for key, value in values.items()
        if key.startswith("output.dropped_") and int(value)
    }
    return {
        "rss_growth_percent": round(growth_percent(watched.samples, minutes), 3),
        "rss_mib": round(watched.samples[-1].rss_mib, 1),
        "hangs": watched.hangs,
        "non_finite": watched.non_finite,
        "slowest_answer_s": round(watched.slowest_answer, 2),
        "latency_ms": latency_ms(watched.latencies, minutes),
        "frames_published": watched.published,
        "instances": watched.instances,
        "images_received": int(values.get("input.images_received", 0)),
        "camera_infos_received": int(values.get("input.camera_infos_received", 0)),
        "dropped": causes,
    }


def plot(nodes: Mapping[str, Watched], path: Path) -> None:
    """Memory, latency and service answers over time."""
    figure, (memory, latency, answer) = plt.subplots(
        3, 1, figsize=(9, 8), sharex=True, constrained_layout=True
    )
    for name, watched in nodes.items():
        at = [s.at / MINUTE for s in watched.samples]
        memory.plot(at, [s.rss_mib for s in watched.samples], label=name)
        answer.plot(at, [1000 * s.answer for s in watched.samples], lw=0.8, label=name)
        when = [at / MINUTE for at, _ in watched.latencies]
        latency.plot(when, [1000 * value for _, value in watched.latencies], ".", ms=2, label=name)
    memory.set(ylabel="resident memory [MiB]", ylim=(0, None))
    memory.axvline(SETTLED, color="gray", ls=":")
    latency.set(ylabel="latency of true frames [ms]", yscale="log")
    answer.set(ylabel="answer of get_state [ms]", yscale="log", xlabel="time [min]")
    for axes in (memory, latency, answer):
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.savefig(path, dpi=100)
    plt.close(figure)
