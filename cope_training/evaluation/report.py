"""The report of an evaluation: one HTML page that needs nothing beside it."""

import base64
import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_training.evaluation.failures import KINDS, Failures
from cope_training.evaluation.metrics.measure import Measurement
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.scores import asked_instances
from cope_training.evaluation.metrics.tables import GroundTruth
from cope_training.evaluation.overlays import overlay, to_jpeg
from cope_training.evaluation.plots import failure_bars, recall_curves, visibility_curve

SHOWN = 6  # worst images, and as many best ones
COLUMNS = (
    ("targets", "targets"),
    ("add_s_recall", "ADD(-S)"),
    ("ar_mssd", "AR MSSD"),
    ("ar_mspd", "AR MSPD"),
    ("ar_vsd", "AR VSD"),
    ("bop24_ap_mssd", "AP MSSD"),
    ("bop24_ap_mspd", "AP MSPD"),
    ("coco_map", "mAP boxes"),
)
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; color: #222;
  padding: 0 1em }
table { border-collapse: collapse; margin: .6em 0 } td, th { padding: .25em .8em; text-align: right;
  border-bottom: 1px solid #ddd } td:first-child, th:first-child { text-align: left }
figure { display: inline-block; margin: .3em; width: 350px } img { width: 100% }
figcaption { font-size: 12px; color: #555 } svg { max-width: 100%; height: auto }
.total td { font-weight: 600 }
"""

ImageReader = Callable[[tuple[int, int]], np.ndarray]  # key -> (H, W, 3) uint8 RGB


@dataclass(frozen=True)
class ReportInput:
    """Everything the page shows."""

    title: str
    facts: Mapping[str, str]  # shown under the title: model, data, device, ...
    result: Measurement
    gts: GroundTruth
    failures: Failures
    objects: Mapping[int, EvalObject]
    names: Mapping[int, str]  # obj_id -> class_id
    read_image: ImageReader
    has_image: Callable[[tuple[int, int]], bool]


def write_report(path: Path, content: ReportInput) -> None:
    """Writes the page."""
    sections = [
        f"<h1>{html.escape(content.title)}</h1>",
        _facts(content.facts),
        "<h2>Scores</h2>",
        _score_table(content),
        "<h2>Recall over the threshold</h2>",
        recall_curves(content.result),
        "<h2>Recall over visibility</h2>",
        visibility_curve(content.result),
        "<h2>What became of the instances</h2>",
        "<p>Found: within ADD(-S) 10 % of the diameter. Missed: no estimate overlaps the box by "
        "half. Of a wrong pose, the part that moves the surface most names the kind.</p>",
        _failure_table(content),
        failure_bars(_failure_counts(content)),
        _pictures(content),
    ]
    page = "\n".join(sections)
    path.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(content.title)}"
        f"</title><style>{STYLE}</style><body>{page}</body></html>\n",
        encoding="utf-8",
    )


def image_scores(gts: GroundTruth, result: Measurement) -> dict[tuple[int, int], float]:
    """Share of the instances asked for that were found, per image that asks for any."""
    asked = asked_instances(gts)
    scores: dict[tuple[int, int], list[bool]] = {}
    for g in np.flatnonzero(asked).tolist():
        key = (int(gts.scene_id[g]), int(gts.im_id[g]))
        scores.setdefault(key, []).append(bool(result.found_by[g] >= 0))
    return {key: float(np.mean(found)) for key, found in scores.items()}


def _facts(facts: Mapping[str, str]) -> str:
    rows = (f"<b>{html.escape(k)}</b> {html.escape(v)}" for k, v in facts.items())
    return f"<p>{' &middot; '.join(rows)}</p>"


def _score_table(content: ReportInput) -> str:
    result = content.result
    head = "".join(f"<th>{title}</th>" for _, title in COLUMNS)
    lines = [f"<table><tr><th>object</th>{head}</tr>"]
    for obj_id, row in result.per_object.items():
        lines.append(f"<tr><td>{html.escape(content.names[obj_id])}</td>{_cells(row)}</tr>")
    lines.append(f"<tr class=total><td>all</td>{_cells(result.summary)}</tr></table>")
    return "\n".join(lines)


def _cells(row: Mapping[str, float | None]) -> str:
    return "".join(f"<td>{number(row.get(key))}</td>" for key, _ in COLUMNS)


def number(value: float | None) -> str:
    """A score with three decimals, a count as it is, a dash for nothing."""
    if value is None:
        return "&ndash;"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _failure_counts(content: ReportInput) -> dict[str, dict[str, int]]:
    return {
        content.names[i]: content.failures.counts(content.gts.obj_id == i)
        for i in content.result.per_object
    }


def _failure_table(content: ReportInput) -> str:
    head = "".join(f"<th>{kind}</th>" for kind in KINDS)
    lines = [f"<table><tr><th>object</th>{head}</tr>"]
    for name, counts in _failure_counts(content).items():
        cells = "".join(f"<td>{n}</td>" for n in counts.values())
        lines.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    total = "".join(f"<td>{n}</td>" for n in content.failures.counts().values())
    return "\n".join([*lines, f"<tr class=total><td>all</td>{total}</tr></table>"])


def _pictures(content: ReportInput) -> str:
    scores = image_scores(content.gts, content.result)
    ranked = [key for key in sorted(scores, key=lambda k: scores[k]) if content.has_image(key)]
    shown = min(SHOWN, (len(ranked) + 1) // 2)
    legend = "<p>Blue: ground truth. Green: within ADD(-S) 10 %. Red: other estimates.</p>"
    parts = [legend]
    for title, keys in (("Worst", ranked[:shown]), ("Best", ranked[::-1][:shown])):
        figures = [_figure(content, key, scores[key]) for key in keys]
        parts.append(f"<h2>{title} images</h2>{''.join(figures)}")
    return "\n".join(parts)


def _figure(content: ReportInput, key: tuple[int, int], score: float) -> str:
    caption = f"scene {key[0]}, image {key[1]}: {score:.0%} found"
    image, ests = content.read_image(key), content.result.estimates
    drawn = overlay(image, key, ests, content.gts, content.failures, content.objects)
    data = base64.b64encode(to_jpeg(drawn)).decode()
    return (
        f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
