"""What is left of a demonstration: overlays, the contact sheet and summary.json."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_training.evaluation.page import write_page
from demo.announce import shown
from demo.images import CameraImage, read_folder
from demo.overlay import Drawable, caption, contact_sheet, draw, enlarge, make_drawable, save
from demo.page import results_of
from demo.record import Processed, Shot
from demo.shapes import load_shapes
from demo.summary import Accuracy, measure_accuracy, read_truth, summarise, table_of

MAX_OVERLAYS = 120
OVERLAY_SECONDS = 25.0  # then no further one is begun: the demonstration must end in time
OVERLAY_WIDTH = 1280  # px; smaller images are enlarged so that thin lines stay thin
SHEET_COLUMNS, SHEET_ROWS, SHEET_WIDTH = 4, 3, 480


def write_report(
    out: Path,
    source: tuple[Path, Path | None],
    model: Path,
    device: str,
    shots: Sequence[Shot],
    processed: Sequence[Processed],
    stages: Mapping[str, float] | None = None,
    until: float = math.inf,
) -> dict[str, Any]:
    """Writes ``summary.json``, ``index.html`` and overlays into ``out``; returns the summary.

    Args:
        source: the folder of images and the camera.json that were published.
        model: the model's directory, for its meshes.
        shots, processed: what was sent and what came back, joined by the stamp.
        stages: s, medians of the node's stages by name.
        until: s, steady clock; no further picture is begun after it.

    Raises:
        CopeError: a file of the images or of the model is at fault.
    """
    folder, camera = source
    images = read_folder(folder, camera)
    catalogue = Catalogue.from_models_info(model / "models_info.json")
    objects, exact = load_shapes(model, folder, catalogue)
    by_stamp = {shot.stamp: shot.index for shot in shots}
    known = [(images[by_stamp[p.stamp]], p) for p in processed if p.stamp in by_stamp]
    truth = read_truth(folder, known, catalogue)
    accuracy, found_by = Accuracy(), None
    ests, labels = table_of(known, catalogue)
    if truth is None and known:
        print("demo: no ground truth of these objects beside the images, errors are null")
    if truth is not None and not exact:
        print("demo: no meshes in the model directory or beside the images, errors are null")
    elif truth is not None:
        accuracy, found_by = measure_accuracy(ests, truth, objects)
    content = summarise(len(shots), [frame for _, frame in known], accuracy)
    content |= {"device": device, "model": str(model)}
    # Before the pictures: whatever happens to those, the figures are there.
    (out / "summary.json").write_text(json.dumps(content, indent=2) + "\n")
    judged = None if truth is None or found_by is None else (truth, found_by)
    facts = {"model": str(shown(model)), "images": str(shown(folder)), "device": device}
    page = results_of(known, facts, ests, labels, objects, catalogue, judged, stages or {})
    write_page(out / "index.html", page)
    drawables = {
        item.class_id: make_drawable(item, index, objects[item.obj_id])
        for index, item in enumerate(catalogue)
    }
    _write_overlays(out, known, drawables, min(until, time.monotonic() + OVERLAY_SECONDS))
    return content


def _write_overlays(
    out: Path,
    known: Sequence[tuple[CameraImage, Processed]],
    drawables: Mapping[str, Drawable],
    until: float,
) -> None:
    """Writes a sheet of some frames, evenly spread, and a picture of each while time lasts."""
    legend = {name: item.colour for name, item in drawables.items()}
    chosen = _spread(len(known), MAX_OVERLAYS)
    for_sheet = [chosen[i] for i in _spread(len(chosen), SHEET_COLUMNS * SHEET_ROWS)]
    others = [place for place in chosen if place not in for_sheet]
    sheet: list[np.ndarray] = []
    for place in [*for_sheet, *others]:
        if len(sheet) == len(for_sheet) and time.monotonic() > until:
            break
        image, frame = known[place]
        pixels, K = enlarge(image.read(), image.K, OVERLAY_WIDTH)
        text = f"{image.path.stem}: {len(frame.poses)} poses, {frame.latency:.0f} ms"
        picture = caption(draw(pixels, K, frame.poses, drawables), text, legend)
        save(out / f"frame_{place:04d}.jpg", picture)
        if len(sheet) < len(for_sheet):
            sheet.append(picture)
    if sheet:
        save(out / "overview.png", contact_sheet(sheet, SHEET_COLUMNS, SHEET_WIDTH))


def _spread(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` of the indices below ``count``, evenly spread, first and last included."""
    if count <= wanted:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, wanted).round()]
