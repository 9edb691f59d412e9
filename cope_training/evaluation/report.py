"""A run as its page shows it: BOP's scores per object, curves, what became of all."""

import html
from collections.abc import Mapping

import numpy as np

from cope_training.data.photographs import read_image
from cope_training.evaluation.failures import KINDS
from cope_training.evaluation.inference import Run
from cope_training.evaluation.metrics.measure import Measurement
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.scenes import Scenes
from cope_training.evaluation.metrics.tables import Estimates
from cope_training.evaluation.page import Frame, Results, Truth
from cope_training.evaluation.plots import failure_bars, recall_curves

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


def results_of(
    scenes: Scenes,
    run: Run,
    ests: Estimates,
    cameras: Mapping[tuple[int, int], np.ndarray],
    facts: Mapping[str, str],
    objects: Mapping[int, EvalObject],
    names: Mapping[int, str],
) -> Results:
    """A run as its page shows it; images whose files are missing are left out.

    Args:
        run: times of the images of ``cameras``, in their order, or none.
        ests: what is shown.
        cameras: (scene_id, im_id) -> (3, 3) px.
    """
    timed = len(run.image_seconds) == len(cameras)
    frames = [
        Frame(
            key,
            f"{key[0]:06d}/{key[1]:06d}",
            K,
            float(run.image_seconds[index]) if timed else None,
        )
        for index, (key, K) in enumerate(cameras.items())
        if scenes.image_path(*key) is not None
    ]
    stages = {"read": float(np.median(run.read_seconds))} if len(run.read_seconds) else {}
    if timed:
        stages["estimate"] = float(np.median(run.image_seconds))
    return Results(
        title=f"{facts['model']} on {scenes.root.name}",
        facts=facts,
        frames=frames,
        read_image=lambda key: read_image(scenes.image_path(*key), str(scenes.root)),
        estimates=ests,
        labels=[names[i] for i in ests.obj_id.tolist()],
        objects=objects,
        names=names,
        stages=stages,
    )


def score_sections(result: Measurement, truth: Truth, names: Mapping[int, str]) -> list[str]:
    """Sections of HTML for ``Results.tables``; ``names``: obj_id to class_id."""
    counts = {names[i]: truth.failures.counts(truth.gts.obj_id == i) for i in result.per_object}
    curves = "".join(f"<div class=chart>{plot}</div>" for plot in recall_curves(result))
    note = (
        "Found: within ADD(-S) 10 % of the diameter. Missed: no estimate overlaps the box by half. "
        "Of a wrong pose, the part that moves the surface most names the kind."
    )
    bars = f"<div class=chart>{failure_bars(counts)}</div>" if counts else ""
    return [
        f"<section><h2>Scores</h2>{wide('scores', _score_table(result, names))}</section>",
        f"<section><h2>Recall over the threshold</h2><div class=charts>{curves}</div></section>",
        f"<section><h2>What became of the instances</h2><p class=note>{note}</p>"
        f"{wide('what became of the instances', _failure_table(counts, truth))}{bars}</section>",
    ]


def detection_section(page: Results) -> str:
    """A section of HTML for ``Results.tables``: how much was found of each class, and how far."""
    ests, images = page.estimates, max(len(page.frames), 1)
    heads = ("detections", "per image", "images with it", "score (median)", "distance, m (median)")
    head = "".join(f"<th>{title}</th>" for title in heads)
    lines = [f"<table><tr><th>object</th>{head}</tr>"]
    keys = np.stack([ests.scene_id, ests.im_id], axis=1)
    kinds = [(name, ests.obj_id == i) for i, name in page.names.items()]
    for name, rows in [*kinds, ("all", np.ones(len(ests), bool))]:
        count, inside = int(rows.sum()), len(np.unique(keys[rows], axis=0))
        score = float(np.median(ests.score[rows])) if count else None
        away = float(np.median(np.linalg.norm(ests.t[rows], axis=1))) if count else None
        values = (count, count / images, inside, score, away)
        cells = "".join(f"<td>{number(value)}</td>" for value in values)
        total = " class=total" if name == "all" else ""
        lines.append(f"<tr{total}><td>{html.escape(name)}</td>{cells}</tr>")
    table = "\n".join([*lines, "</table>"])
    return f"<section><h2>Detections</h2>{wide('detections', table)}</section>"


def wide(name: str, table: str) -> str:
    """A table that may be wider than the screen: focused, the arrow keys scroll it."""
    label = html.escape(name)
    return f'<div class=wide tabindex=0 role=region aria-label="{label}">{table}</div>'


def _score_table(result: Measurement, names: Mapping[int, str]) -> str:
    head = "".join(f"<th>{title}</th>" for _, title in COLUMNS)
    lines = [f"<table><tr><th>object</th>{head}</tr>"]
    for obj_id, row in result.per_object.items():
        lines.append(f"<tr><td>{html.escape(names[obj_id])}</td>{_cells(row)}</tr>")
    lines.append(f"<tr class=total><td>all</td>{_cells(result.summary)}</tr></table>")
    return "\n".join(lines)


def _cells(row: Mapping[str, float | None]) -> str:
    return "".join(f"<td>{number(row.get(key))}</td>" for key, _ in COLUMNS)


def number(value: float | None) -> str:
    """A score with three decimals, a count as it is, a dash for nothing."""
    if value is None:
        return "&ndash;"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _failure_table(by_name: Mapping[str, Mapping[str, int]], truth: Truth) -> str:
    head = "".join(f"<th>{kind}</th>" for kind in KINDS)
    lines = [f"<table><tr><th>object</th>{head}</tr>"]
    for name, counts in by_name.items():
        cells = "".join(f"<td>{n}</td>" for n in counts.values())
        lines.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    total = "".join(f"<td>{n}</td>" for n in truth.failures.counts().values())
    return "\n".join([*lines, f"<tr class=total><td>all</td>{total}</tr></table>"])
