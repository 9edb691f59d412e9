"""What is left of a demonstration: overlays, the contact sheet and summary.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.errors import CopeError
from demo.images import CameraImage, read_folder, truth_fits
from demo.overlay import Drawable, caption, contact_sheet, draw, enlarge, make_drawable, save
from demo.record import Processed, Shot
from demo.summary import VISIBLE, Match, match_image, model_points, summarise

MAX_OVERLAYS = 120  # more would keep the demonstration from ending in time
OVERLAY_WIDTH = 1280  # px; smaller images are enlarged so that thin lines stay thin
SHEET_COLUMNS, SHEET_ROWS, SHEET_WIDTH = 4, 3, 480


def write_report(
    out: Path,
    source: tuple[Path, Path | None],
    model: Path,
    device: str,
    shots: Sequence[Shot],
    processed: Sequence[Processed],
) -> dict[str, Any]:
    """Writes overlays and ``summary.json`` into ``out`` and returns the summary.

    Args:
        source: the folder of images and the camera.json that were published.
        model: the model's directory, for its meshes.
        shots, processed: what was sent and what came back, joined by the stamp.

    Raises:
        CopeError: a file of the images or of the model is at fault.
    """
    images = read_folder(*source)
    catalogue = Catalogue.from_models_info(model / "models_info.json")
    by_stamp = {shot.stamp: shot.index for shot in shots}
    known = [(images[by_stamp[p.stamp]], p) for p in processed if p.stamp in by_stamp]
    meshes = load_meshes(model / "meshes", catalogue)
    matches, visible = _compare(known, meshes, catalogue)
    frames = [frame for _, frame in known]
    content = summarise(len(shots), frames, matches, visible)
    content |= {"device": device, "model": str(model)}
    # Before the pictures: whatever happens to those, the figures are there.
    (out / "summary.json").write_text(json.dumps(content, indent=2) + "\n")
    drawables = {o.class_id: make_drawable(o, i, meshes[i]) for i, o in enumerate(catalogue)}
    _write_overlays(out, known, drawables)
    return content


def load_meshes(folder: Path, catalogue: Catalogue) -> list[trimesh.Trimesh]:
    """The objects' meshes in metres, in the order of the catalogue.

    Raises:
        CopeError: a mesh is missing or cannot be read.
    """
    meshes = []
    for item in catalogue:
        path = folder / f"obj_{item.obj_id:06d}.ply"
        try:
            mesh = trimesh.load(path, process=False, force="mesh")
        except (OSError, ValueError) as error:
            raise CopeError(f"{path}: expected a mesh in PLY ({error})") from error
        meshes.append(mesh.apply_scale(MM))
    return meshes


def _compare(
    known: Sequence[tuple[CameraImage, Processed]],
    meshes: Sequence[trimesh.Trimesh],
    catalogue: Catalogue,
) -> tuple[list[Match] | None, int]:
    """All matches, None where there is no ground truth, and the number of visible instances."""
    with_truth = [(i.truth, p.poses) for i, p in known if i.truth is not None]
    if not with_truth:
        return None, 0
    if not truth_fits([image for image, _ in known], catalogue):
        print("the images' ground truth is of other objects than the model's: no errors measured")
        return None, 0
    points = {o.class_id: model_points(m.vertices) for o, m in zip(catalogue, meshes, strict=True)}
    ids = [item.obj_id for item in catalogue]
    visible = sum(
        int((np.isin(t.obj_id, ids) & (t.visibility >= VISIBLE)).sum()) for t, _ in with_truth
    )
    found = [m for t, poses in with_truth for m in match_image(poses, t, catalogue, points)]
    return found, visible


def _write_overlays(
    out: Path,
    known: Sequence[tuple[CameraImage, Processed]],
    drawables: Mapping[str, Drawable],
) -> None:
    """Writes one picture for each frame and a sheet of some of them, evenly spread."""
    legend = {name: item.colour for name, item in drawables.items()}
    chosen = _spread(len(known), MAX_OVERLAYS)
    for_sheet = {chosen[i] for i in _spread(len(chosen), SHEET_COLUMNS * SHEET_ROWS)}
    sheet = []
    for place in chosen:
        image, frame = known[place]
        pixels, K = enlarge(image.read(), image.K, OVERLAY_WIDTH)
        text = f"{image.path.stem}: {len(frame.poses)} poses, {frame.latency:.0f} ms"
        picture = caption(draw(pixels, K, frame.poses, drawables), text, legend)
        save(out / f"frame_{place:04d}.jpg", picture)
        if place in for_sheet:
            sheet.append(picture)
    if sheet:
        save(out / "overview.png", contact_sheet(sheet, SHEET_COLUMNS, SHEET_WIDTH))


def _spread(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` of the indices below ``count``, evenly spread, first and last included."""
    if count <= wanted:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, wanted).round()]
