"""The report's plots, as SVG text to be put into a page."""

import io
from collections.abc import Mapping

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cope_training.evaluation.metrics.measure import Measurement
from cope_training.evaluation.metrics.scores import VISIBILITY_EDGES

COLORS = {"mssd": "#2a6fdb", "mspd": "#e07a1f", "vsd": "#3a9e5c", "add_s": "#8a4fbf"}
NAMES = {
    "mssd": "MSSD, share of the diameter",
    "mspd": "MSPD, px at 640 px width",
    "vsd": "VSD, share of the visible pixels",
}


def recall_curves(result: Measurement) -> str:
    """Recall over the threshold of correctness, one panel per error."""
    kinds = [kind for kind in NAMES if kind in result.recall_curves]
    figure, panels = plt.subplots(1, len(kinds), figsize=(3.6 * len(kinds), 2.8), squeeze=False)
    for axes, kind in zip(panels[0], kinds, strict=True):
        thresholds, recall = result.recall_curves[kind]
        axes.plot(thresholds, recall, "o-", color=COLORS[kind], markersize=3)
        axes.fill_between(thresholds, recall, color=COLORS[kind], alpha=0.12)
        axes.set(xlabel=NAMES[kind], ylim=(0, 1.02), title=f"AR {recall.mean():.3f}")
        axes.grid(alpha=0.3)
    panels[0][0].set_ylabel("recall")
    return to_svg(figure)


def visibility_curve(result: Measurement) -> str:
    """Recall over the visible share of the instance, with the number of instances below."""
    centers = (VISIBILITY_EDGES[1:] + VISIBILITY_EDGES[:-1]) / 2
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(6.4, 3.8), sharex=True, height_ratios=(3, 1)
    )
    for kind, color in COLORS.items():
        if kind in result.by_visibility:
            label = "ADD(-S) 10 %" if kind == "add_s" else f"AR {kind.upper()}"
            upper.plot(centers, result.by_visibility[kind], "o-", color=color, label=label)
    upper.set(ylabel="recall", ylim=(0, 1.02))
    upper.grid(alpha=0.3)
    upper.legend(fontsize=8)
    lower.bar(centers, result.instances_by_visibility, width=0.085, color="#999999")
    lower.set(xlabel="visible share of the instance", ylabel="instances", xlim=(0, 1))
    return to_svg(figure)


def failure_bars(counts: Mapping[str, Mapping[str, int]]) -> str:
    """One stacked bar per object: what became of its instances, as shares."""
    names, kinds = list(counts), list(next(iter(counts.values())))
    figure, axes = plt.subplots(figsize=(7.2, 0.8 + 0.36 * len(names)))
    shades = ["#3a9e5c", "#9e9e9e", "#d1495b", "#e07a1f", "#2a6fdb", "#8a4fbf"]
    totals = np.array([max(sum(counts[name].values()), 1) for name in names])
    left = np.zeros(len(names))
    for kind, shade in zip(kinds, shades, strict=True):
        share = np.array([counts[name][kind] for name in names]) / totals
        axes.barh(names, share, left=left, color=shade, label=kind)
        left += share
    axes.set(xlim=(0, 1), xlabel="share of the instances")
    axes.invert_yaxis()
    axes.legend(fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return to_svg(figure)


def to_svg(figure: Figure) -> str:
    """SVG element of a figure, which is closed."""
    buffer = io.StringIO()
    with plt.rc_context({"svg.hashsalt": "cope"}):  # the same plot gives the same text
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
