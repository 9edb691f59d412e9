"""The figure of calibration: how many errors lie within the ellipsoids they should lie within."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from cope_training.evaluation.uncertainty import Samples, coverage

PARTS = ("pose", "position", "rotation")
CURVE = np.linspace(0.0, 1.0, 101)
COLORS = ("#2a6fdb", "#e07a1f", "#3a9e5c", "#8a4fbf")


def save_reliability(path: Path, sets: Mapping[str, tuple[Samples, Samples]], title: str) -> None:
    """Writes a PNG: a panel each for pose, position and rotation.

    Args:
        sets: name -> samples before and after calibration.
    """
    figure, panels = plt.subplots(1, len(PARTS), figsize=(11.0, 3.9), sharey=True)
    for axes, part in zip(panels, PARTS, strict=True):
        _panel(axes, part, sets)
    panels[0].set_ylabel("share of the errors inside")
    panels[-1].legend(loc="lower right", fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _panel(axes: Axes, part: str, sets: Mapping[str, tuple[Samples, Samples]]) -> None:
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="chi-square")
    for color, (name, (before, after)) in zip(COLORS, sets.items(), strict=False):
        axes.plot(CURVE, coverage(before, CURVE, part), ":", color=color, label=f"{name}, spread")
        axes.plot(CURVE, coverage(after, CURVE, part), color=color, label=f"{name}, calibrated")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="nominal share of the ellipsoid", title=part)
    axes.grid(alpha=0.3)
