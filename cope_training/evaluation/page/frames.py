"""The frames of a page: small pictures, and outlines, ids and ellipses to be drawn over them."""

import base64
import time
from typing import Any

import cv2
import numpy as np

from cope_training.evaluation.failures import FOUND, KINDS
from cope_training.evaluation.page.content import Frame, Results
from cope_training.evaluation.page.shapes import SIGMAS, ellipse, outline

MOST = 120  # frames on a page
WIDTH = 720  # px, of the largest picture
BUDGET = 7_000_000  # bytes of all pictures before base64, which adds a third
QUALITIES = (80, 65, 50, 35)  # of JPEG, tried until the budget holds
PATIENCE = 20.0  # s, then no further frame is prepared
RIGHT, WRONG, UNKNOWN = range(3)


def frames_of(results: Results) -> list[dict[str, Any]]:
    """The page's frames, evenly spread over the run, in its order.

    Each has ``name``, ``w``, ``h`` (px of the coordinates), ``ms``, ``src``, ``est`` and ``gt``.
    """
    chosen = [results.frames[i] for i in spread(len(results.frames), MOST)]
    started = time.monotonic()
    prepared: dict[int, tuple[dict[str, Any], np.ndarray]] = {}
    # Coarse to fine: whenever time is up, the run is covered evenly.
    for index in coarse_to_fine(len(chosen)):
        if prepared and time.monotonic() - started > PATIENCE:
            break
        image = results.read_image(chosen[index].key)
        prepared[index] = _frame(results, chosen[index], image), _small(image)
    ordered = [prepared[index] for index in sorted(prepared)]
    sources = encode([picture for _, picture in ordered], BUDGET)
    return [{**frame, "src": src} for (frame, _), src in zip(ordered, sources, strict=True)]


def spread(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` of the indices below ``count``, evenly spread, first and last included."""
    if count <= wanted:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, wanted).round()]


def coarse_to_fine(count: int) -> list[int]:
    """All indices below ``count``: every 16th, then those half-way between, and so on."""
    order: dict[int, None] = {}
    for step in (16, 8, 4, 2, 1):
        order.update(dict.fromkeys(range(0, count, step)))
    return list(order)


def encode(pictures: list[np.ndarray], budget: int) -> list[str]:
    """JPEG data URIs of (H, W, 3) RGB pictures, of the best quality with which they fit."""
    for quality in QUALITIES:
        files = [
            cv2.imencode(
                ".jpg", cv2.cvtColor(p, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
            )[1].tobytes()
            for p in pictures
        ]
        if sum(map(len, files)) <= budget:
            break
    return ["data:image/jpeg;base64," + base64.b64encode(f).decode() for f in files]


def _small(image: np.ndarray) -> np.ndarray:
    scale = WIDTH / image.shape[1]
    if scale >= 1:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _frame(results: Results, frame: Frame, image: np.ndarray) -> dict[str, Any]:
    size = (image.shape[1], image.shape[0])
    return {
        "name": frame.name,
        "w": size[0],
        "h": size[1],
        "ms": None if frame.seconds is None else round(1e3 * frame.seconds, 1),
        "est": _estimates(results, frame, size),
        "gt": _annotations(results, frame, size),
    }


def _estimates(results: Results, frame: Frame, size: tuple[int, int]) -> list[dict[str, Any]]:
    ests = results.estimates
    rows = np.flatnonzero((ests.scene_id == frame.key[0]) & (ests.im_id == frame.key[1]))
    right: set[int] = set()
    judged = results.truth is not None and frame.key in results.truth.gts.K
    if results.truth is not None:
        failures = results.truth.failures
        right = set(failures.attempt[failures.kind == FOUND].tolist())
    found = []
    for row in rows[np.argsort(-ests.t[rows, 2], kind="stable")].tolist():
        obj = results.objects[int(ests.obj_id[row])]
        kind = UNKNOWN if not judged else RIGHT if row in right else WRONG
        center = ests.R[row] @ obj.model.box_center + ests.t[row]
        entry: dict[str, Any] = {
            "id": results.labels[row],
            "score": round(float(ests.score[row]), 2),
            "kind": kind,
            "c": int(list(results.names).index(int(ests.obj_id[row]))),
            "out": outline(obj, ests.R[row], ests.t[row], frame.K, size),
            "at": [round(float(v), 3) for v in ests.t[row]],
        }
        if ests.covariance is not None:
            entry["ell"] = ellipse(center, ests.covariance[row], frame.K)
            depth = float(np.sqrt(max(ests.covariance[row, 2, 2], 0)))
            entry["dz"] = round(1e3 * SIGMAS * depth, 1)  # mm
        found.append(entry)
    return found


def _annotations(results: Results, frame: Frame, size: tuple[int, int]) -> list[dict[str, Any]]:
    if results.truth is None:
        return []
    gts, kind = results.truth.gts, results.truth.failures.kind
    of_image = (gts.scene_id == frame.key[0]) & (gts.im_id == frame.key[1]) & (kind >= 0)
    return [
        {
            "id": results.names[int(gts.obj_id[g])],
            "ok": bool(kind[g] == FOUND),
            "kind": KINDS[kind[g]],
            "out": outline(results.objects[int(gts.obj_id[g])], gts.R[g], gts.t[g], frame.K, size),
        }
        for g in np.flatnonzero(of_image).tolist()
    ]
