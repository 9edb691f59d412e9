"""Time over the number of instances, ours beside what the paper's Figures 3 and 4 state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

REAL_TIME_MS = 1e3 / 24  # the paper's threshold for real time
COLORS = ("#2a6fdb", "#e07a1f", "#3a9e5c", "#8a4fbf")
MARKS = {"about": "D", "at least": "^"}
Timings = Sequence[tuple[str, Mapping[str, Mapping[int, float]]]]  # device, model -> ms by count


def plot_runtime(published: Sequence[Mapping[str, Any]], timings: Timings, path: Path) -> None:
    """Writes one picture of two panels.

    Args:
        published: rows of ``method``, ``instances``, ``ms``, ``bound`` (``about``, ``at least``)
            and ``note``.
        timings: per device the median ms per image over the number of instances.
    """
    figure, (absolute, relative) = plt.subplots(1, 2, figsize=(10.0, 4.2))
    for device, models in timings:
        for (name, by_count), color in zip(models.items(), COLORS, strict=False):
            counts, ms = list(by_count), list(by_count.values())
            absolute.plot(counts, ms, "o-", ms=4, color=color, label=f"models/{name}, {device}")
            relative.plot(counts, [v / ms[0] for v in ms], "o-", ms=4, color=color, label=name)
    _published(absolute, published)
    absolute.axhline(REAL_TIME_MS, color="black", ls="--", lw=1)
    absolute.text(0, REAL_TIME_MS * 0.94, "24 images per second", fontsize=8, va="top")
    absolute.set(yscale="log", ylim=(20, 2000), ylabel="ms per image", title="time (Figure 3)")
    relative.axhline(1.05, color="black", ls="--", lw=1)
    relative.text(0, 1.055, "1.05", fontsize=8, va="bottom")
    relative.set(ylim=(0, 1.5), title="time over that with one instance (Figure 4)")
    for axes in (absolute, relative):
        axes.set_xlabel("instances in the image")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7, loc="lower right" if axes is relative else "upper right")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _published(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        axes.plot(row["instances"], row["ms"], MARKS[row["bound"]], color="#777777", ms=6)
        sign = "over " if row["bound"] == "at least" else ""
        text = f"  {row['method']}, GPU: {sign}{row['note']}"
        right = row["instances"] > 50
        axes.annotate(
            text, (row["instances"], row["ms"]), (0, 5 if right else 0), fontsize=7,
            textcoords="offset points", color="#444444", ha="right" if right else "left",
            va="bottom" if right else "center",
        )  # fmt: skip
