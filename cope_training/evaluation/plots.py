"""Plots as SVG text to be put into a page; their lines and letters take the page's colours."""

import io
from collections.abc import Mapping, Sequence

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cope_training.evaluation.metrics.measure import Measurement

COLORS = {"mssd": "#3b82d0", "mspd": "#d07a1f", "vsd": "#2e9e6b", "add_s": "#9a63c0"}
NAMES = {
    "mssd": "MSSD, share of the diameter",
    "mspd": "MSPD, px at 640 px width",
    "vsd": "VSD, share of the visible pixels",
}
# Stands in the plots for the page's text colour, so that they suit light and dark.
INK = "#010203"
BAR, FAINT = "#3b82d0", "#8a8f98"
SIZE = (3.5, 2.4)  # inch: readable on a telephone, three beside one another on a screen
STYLE = {
    "svg.hashsalt": "cope",  # the same plot gives the same text
    "svg.fonttype": "none",  # letters stay letters
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.titlesize": 10.0,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
}
SHADES = ("#2e9e6b", "#8a8f98", "#c9485b", "#d07a1f", "#3b82d0", "#9a63c0")


@plt.rc_context(STYLE)
def recall_curves(result: Measurement) -> list[str]:
    """Recall over the threshold of correctness, one plot per error."""
    plots = []
    for kind in (kind for kind in NAMES if kind in result.recall_curves):
        thresholds, recall = result.recall_curves[kind]
        figure, axes = _axes(f"AR {kind.upper()} {recall.mean():.3f}")
        axes.plot(thresholds, recall, "o-", color=COLORS[kind], markersize=3)
        axes.fill_between(thresholds, recall, color=COLORS[kind], alpha=0.12)
        axes.set(xlabel=NAMES[kind], ylabel="recall", ylim=(0, 1.02))
        plots.append(to_svg(figure))
    return plots


@plt.rc_context(STYLE)
def recall_bars(title: str, label: str, rows: Sequence[tuple[str, int, int]]) -> str:
    """Share of right instances per group.

    Args:
        rows: name, how many are right, how many there are.
    """
    figure, axes = _axes(title, height=0.9 + 0.24 * len(rows))
    places = np.arange(len(rows))
    shares = [right / count if count else 0.0 for _, right, count in rows]
    axes.barh(places, [1.0 if count else 0.0 for _, _, count in rows], color=FAINT, alpha=0.18)
    axes.barh(places, shares, color=BAR)
    for place, share, (_, _, count) in zip(places.tolist(), shares, rows, strict=True):
        text = f"{share:.0%} of {count}" if count else "none"
        inside = share > 0.55
        axes.text(
            share + (-0.02 if inside else 0.02), place, text, va="center", fontsize=8,
            ha="right" if inside else "left", color="#ffffff" if inside else INK,
        )  # fmt: skip
    axes.set_yticks(places, [name for name, _, _ in rows])
    axes.set(xlim=(0, 1), xlabel=label)
    axes.invert_yaxis()
    return to_svg(figure)


@plt.rc_context(STYLE)
def error_histogram(
    title: str, unit: str, values: np.ndarray, limit: float, remark: str = ""
) -> str:
    """How an error is spread; what lies beyond ``limit`` counts in the outermost bars.

    Args:
        remark: behind the unit at the axis.
    """
    low = -limit if (values < 0).any() else 0.0
    figure, axes = _axes(title)
    axes.hist(np.clip(values, low, limit), bins=30, range=(low, limit), color=BAR)
    if len(values):
        middle = float(np.median(values))
        axes.axvline(middle, color=INK, linestyle="--", linewidth=1)
        axes.set_title(f"{title}: median {middle:.3g} {unit}")
    axes.set(xlabel=unit + remark, ylabel="instances")
    return to_svg(figure)


@plt.rc_context(STYLE)
def latency_histogram(seconds: np.ndarray) -> str:
    """Time per image, with median and 99th percentile."""
    figure, axes = _axes("time per image")
    ms = 1e3 * seconds
    axes.hist(ms, bins=min(40, max(8, len(ms) // 3)), color=BAR)
    for share, style in ((50, "--"), (99, ":")):
        value = float(np.percentile(ms, share))
        label = f"p{share} {value:.0f} ms"
        axes.axvline(value, color=INK, linestyle=style, linewidth=1, label=label)
    axes.set(xlabel="ms", ylabel="images", xlim=(0, None))
    axes.legend(fontsize=8)
    return to_svg(figure)


@plt.rc_context(STYLE)
def stage_bars(stages: Mapping[str, float]) -> str:
    """Median time of each stage."""
    figure, axes = _axes("where the time goes (medians)", height=0.9 + 0.24 * len(stages))
    ms = [1e3 * value for value in stages.values()]
    places = np.arange(len(stages))
    axes.barh(places, ms, color=BAR)
    for place, value in zip(places.tolist(), ms, strict=True):
        axes.text(value, place, f" {value:.1f} ms", va="center", fontsize=8)
    axes.set_yticks(places, list(stages))
    axes.set(xlabel="ms", xlim=(0, 1.35 * max(ms, default=1.0)))
    axes.invert_yaxis()
    return to_svg(figure)


@plt.rc_context(STYLE)
def failure_bars(counts: Mapping[str, Mapping[str, int]]) -> str:
    """One stacked bar per object: what became of its instances, as shares."""
    names, kinds = list(counts), list(next(iter(counts.values())))
    figure, axes = _axes("", height=1.2 + 0.3 * len(names))
    totals = np.array([max(sum(counts[name].values()), 1) for name in names])
    left = np.zeros(len(names))
    for kind, shade in zip(kinds, SHADES, strict=True):
        share = np.array([counts[name][kind] for name in names]) / totals
        axes.barh(names, share, left=left, color=shade, label=kind)
        left += share
    axes.set(xlim=(0, 1), xlabel="share of the instances")
    axes.invert_yaxis()
    axes.legend(fontsize=7, ncols=2, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    return to_svg(figure)


def _axes(title: str, height: float = SIZE[1]) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(SIZE[0], height))
    axes.set_title(title)
    return figure, axes


def to_svg(figure: Figure) -> str:
    """SVG element of a figure, which is closed."""
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", bbox_inches="tight", metadata={"Date": None}, transparent=True
    )
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")
