"""Plots and the report of the latency benchmark."""

import base64
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from cope_training.bench.measure import STAGES
from cope_training.evaluation.page import page_style

COLORS = ("#2a6fdb", "#e07a1f", "#3a9e5c", "#8a4fbf", "#d1495b", "#7a5c3e", "#555555")
HEAD = ("model", "scenes", "p50 ms", "p99 ms", "1", "10", "50", "100", "100/1", "peak MB",
        "GFLOP", "over floor", "operations")  # fmt: skip


def write_report(out: Path, content: Mapping[str, Any]) -> None:
    """Writes ``latency.png``, ``stages.png``, ``report.md`` and ``report.html`` into ``out``."""
    models = content["models"]
    plot_instances(models, content["device"], out / "latency.png")
    plot_stages(models, content["device"], out / "stages.png")
    rows = [_row(name, result) for name, result in models.items()]
    stages = [[name, *(f"{r['stages_ms'][s]:.2f}" for s in STAGES)] for name, r in models.items()]
    note = (
        "p50 and p99 over all calls from host image to host instances; columns 1 to 100: p50 at "
        "that many instances, measured in turn in one run. Floor: the network's operations at the "
        "rate of a large matrix product on this device. Operations: those of one frame that launch "
        "a kernel. Stages: operations launched one by one, 100 planted instances. Peak: resident "
        "memory of the process on a CPU, torch's on a GPU."
    )
    texts = {p.stem: p.read_text() for p in sorted(out.glob("profile_*.txt"))}
    markdown = [f"# Latency on {content['device']}", note, _markdown(HEAD, rows)]
    markdown += ["## Stages, ms", _markdown(("model", *STAGES), stages)]
    markdown += [f"## {name}\n\n```\n{text}```" for name, text in texts.items()]
    (out / "report.md").write_text("\n\n".join(markdown) + "\n")
    page = [f"<h1>Latency on {html.escape(content['device'])}</h1><p>{note}</p>"]
    page += [_table(HEAD, rows), _image(out / "latency.png")]
    page += ["<h2>Stages, ms</h2>", _table(("model", *STAGES), stages), _image(out / "stages.png")]
    page += [f"<h2>{n}</h2><pre>{html.escape(text)}</pre>" for n, text in texts.items()]
    style = page_style() + "pre { font-size: 10px; overflow-x: auto }"
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>Latency</title><style>{style}"
    (out / "report.html").write_text(
        f"{head}</style><body><main>{''.join(page)}</main></body></html>\n"
    )


def plot_instances(models: Mapping[str, Any], device: str, path: Path) -> None:
    """p50 (line) and p99 (dotted) over the number of instances, one panel per model."""
    figure, panels = plt.subplots(1, len(models), figsize=(3.6 * len(models), 3.2), squeeze=False)
    for axes, (name, result) in zip(panels[0], models.items(), strict=True):
        lines = {result["scenes"]: result, "planted": result["planted"]}
        for color, (scenes, part) in zip(COLORS, lines.items(), strict=False):
            counts = [int(n) for n in part["by_instances"]]
            axes.plot(counts, part["by_instances"].values(), "o-", color=color, label=scenes)
            p99 = list(part["by_instances_p99"].values())
            axes.plot(counts, p99, ":", color=color, label=f"{scenes}, p99")
        axes.set(title=f"{name}\n100 over 1: {result['ratio_100_over_1']:.3f}", ylim=(0, None))
        axes.set_xlabel("instances in the image")
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="lower right")
    panels[0][0].set_ylabel("ms per image")
    figure.suptitle(device, fontsize=9, y=1.06)
    _save(figure, path)


def plot_stages(models: Mapping[str, Any], device: str, path: Path) -> None:
    """One stacked bar per model: the share of every stage."""
    figure, axes = plt.subplots(figsize=(7.2, 1.3 + 0.45 * len(models)))
    for row, (name, result) in enumerate(models.items()):
        ms = {stage: max(0.0, result["stages_ms"][stage]) for stage in STAGES}
        total, left = sum(ms.values()), 0.0
        for color, (stage, value) in zip(COLORS, ms.items(), strict=True):
            label = stage if row == 0 else None
            axes.barh(name, value / total, left=left, color=color, label=label)
            left += value / total
        axes.annotate(f" {total:.1f} ms", (1.0, row), va="center", fontsize=8)
    axes.set(xlim=(0, 1), xlabel=f"share of the time, {device}")
    axes.invert_yaxis()
    axes.legend(fontsize=7, ncols=len(STAGES), loc="lower center", bbox_to_anchor=(0.45, 1.0),
                columnspacing=0.8, handlelength=1.0)  # fmt: skip
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, bbox_inches="tight", dpi=130)
    plt.close(figure)


def _row(name: str, r: Mapping[str, Any]) -> list[str]:
    by = [f"{ms:.1f}" for ms in r["by_instances"].values()]
    head = [name, r["scenes"], f"{r['p50_ms']:.1f}", f"{r['p99_ms']:.1f}"]
    tail = [f"{r['peak_memory_mb']}", f"{r['gflop']:.1f}", f"{r['achieved_over_floor']:.1f}"]
    return [*head, *by, f"{r['ratio_100_over_1']:.3f}", *tail, str(r["operations"])]


def _markdown(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _image(path: Path) -> str:
    return f'<img alt="{path.stem}" src="data:image/png;base64,{_base64(path)}">'


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
