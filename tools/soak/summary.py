"""From samples to the soak's verdict: figures, picture, and what is wrong."""

import csv
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


def settling(minutes: float) -> float:
    """Seconds after which memory must not grow in a soak of so many minutes."""
    return min(SETTLED, minutes / 3) * MINUTE


def growth_percent(samples: Sequence[Sample], minutes: float) -> float | None:
    """Growth of resident memory from the settled minute to the last one, of their medians.

    Returns:
        None where the soak ended too early to have samples of both.
    """
    start = settling(minutes)
    length = min(MEASURED, minutes / 6) * MINUTE
    end = samples[-1].at if samples else 0.0
    first = [s.rss_mib for s in samples if start <= s.at < start + length]
    last = [s.rss_mib for s in samples if s.at > end - length]
    if not first or not last:
        return None
    return round(float(100 * (np.median(last) / np.median(first) - 1)), 3)


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
        "rss_growth_percent": growth_percent(watched.samples, minutes),
        "rss_mib": round(watched.samples[-1].rss_mib, 1) if watched.samples else None,
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


def write_samples(nodes: Mapping[str, Watched], path: Path) -> None:
    """All samples as a table."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["node", *Sample._fields])
        for name, watched in nodes.items():
            table.writerows([name, *sample] for sample in watched.samples)


def plot(nodes: Mapping[str, Watched], path: Path) -> None:
    """Memory, latency and service answers over time."""
    figure, (memory, latency, answer) = plt.subplots(
        3, 1, figsize=(9, 8), sharex=True, constrained_layout=True
    )
    for name, watched in nodes.items():
        if not watched.samples:
            continue
        at = [s.at / MINUTE for s in watched.samples]
        settled = [s.rss_mib for s in watched.samples if s.at >= settling(at[-1])]
        growth = [100 * (s.rss_mib / settled[0] - 1) for s in watched.samples]
        memory.plot(at, growth, label=f"{name}, from {settled[0]:.0f} MiB")
        answer.plot(at, [1000 * s.answer for s in watched.samples], lw=0.8, label=name)
        when = [at / MINUTE for at, _ in watched.latencies]
        latency.plot(when, [1000 * value for _, value in watched.latencies], ".", ms=2, label=name)
        memory.axvline(settling(at[-1]) / MINUTE, color="gray", ls=":")
    memory.set(ylabel="growth of resident memory [%]", ylim=(-2, 3))
    memory.axhline(MAX_GROWTH, color="gray", ls=":")
    latency.set(ylabel="latency of true frames [ms]")
    answer.set(ylabel="answer of get_state [ms]", xlabel="time [min]")
    for axes in (memory, latency, answer):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right")
    for axes in (latency, answer):
        if any((np.asarray(line.get_ydata()) > 0).any() for line in axes.lines):
            axes.set_yscale("log", nonpositive="mask")
    figure.savefig(path, dpi=100)
    plt.close(figure)
