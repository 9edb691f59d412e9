"""Failures, the most costly first: a crop with the right and the wrong outline each."""

from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np

from cope_training.evaluation.failures import FOUND, KINDS, MISSED
from cope_training.evaluation.metrics.errors import add, add_s, rotation_error
from cope_training.evaluation.page.content import Results, Truth
from cope_training.evaluation.page.frames import encode
from cope_training.evaluation.page.shapes import outline

MOST = 24
SIDE = 260  # px of a crop
MARGIN = 0.35  # of the outlines' extent around them
BUDGET = 1_500_000  # bytes of all crops before base64
# RGB: what is true, what was said; both told apart by the colour-blind (Okabe and Ito).
TRUTH_COLOUR, WRONG_COLOUR = (86, 180, 233), (230, 80, 0)
OUTSIDE = (112, 112, 112)  # RGB, beyond the image's edge
NEAR = 15  # images: failures of one thing that are no farther apart are shown once
WHOLE = 1.0  # diameters: farther off costs no more than a miss


@dataclass(frozen=True)
class Card:
    """One failure."""

    src: str  # data URI
    title: str
    text: str
    cost: float  # in [0, 1]
    frame: str  # its name


def costs_of(results: Results, truth: Truth) -> np.ndarray:
    """(G,) what each instance costs: visible share times error, zero for what is right.

    The error is ADD(-S) over the diameter, at most one; a miss and a wrong class cost one.
    """
    gts, failures, ests = truth.gts, truth.failures, results.estimates
    costs = np.zeros(len(gts))
    for g in np.flatnonzero(truth.asked & ~truth.right).tolist():
        obj, e = results.objects[int(gts.obj_id[g])], int(failures.attempt[g])
        share = WHOLE
        if e >= 0 and ests.obj_id[e] == gts.obj_id[g]:
            poses = (ests.R[[e]], ests.t[[e]], gts.R[[g]], gts.t[[g]])
            limit = WHOLE * obj.diameter
            error = add_s(obj, *poses, limit) if obj.model.is_symmetric else (
                add(obj.vertices, *poses, limit)
            )  # fmt: skip
            share = min(float(error[0]) / obj.diameter, WHOLE)
        costs[g] = gts.visibility[g] * share
    return costs


def failure_cards(results: Results, truth: Truth) -> list[Card]:
    """The most costly failures, each of a video's objects at its worst."""
    costs = costs_of(results, truth)
    frames = {frame.key: frame for frame in results.frames}
    alike = worst_of_each(truth, costs)
    keys = [(int(truth.gts.scene_id[g]), int(truth.gts.im_id[g])) for g in alike]
    shown = [(g, frames[key]) for g, key in zip(alike, keys, strict=True) if key in frames][:MOST]
    images: dict[tuple[int, int], np.ndarray] = {}
    crops, texts = [], []
    for g, frame in shown:
        if frame.key not in images:
            images[frame.key] = results.read_image(frame.key)
        crops.append(_crop(results, truth, g, images[frame.key]))
        text = _text(results, truth, g, frame.name)
        others = f", and in {alike[g]} images near it" if alike[g] else ""
        texts.append((_title(results, truth, g), text + others))
    sources = encode(crops, BUDGET)
    return [
        Card(src, title, text, float(costs[g]), frame.name)
        for src, (title, text), (g, frame) in zip(sources, texts, shown, strict=True)
    ]


def worst_of_each(truth: Truth, costs: np.ndarray) -> dict[int, int]:
    """Failures by their cost -> how many others are of the same thing in images near by.

    The same thing: an object at the same place in the annotations of its scene's images, which
    in a video is one and the same.
    """
    gts = truth.gts
    images = list(zip(gts.scene_id.tolist(), gts.im_id.tolist(), strict=True))
    count: Counter[tuple[int, int]] = Counter()
    things = []  # (scene, object, place in the image's annotations)
    for (scene, image), obj_id in zip(images, gts.obj_id.tolist(), strict=True):
        things.append((scene, obj_id, count[scene, image]))
        count[scene, image] += 1
    failed = np.flatnonzero(truth.asked & ~truth.right)
    found: dict[int, int] = {}
    for g in failed[np.argsort(-costs[failed], kind="stable")].tolist():
        alike = (h for h in found if things[h] == things[g])
        near = next((h for h in alike if abs(images[h][1] - images[g][1]) <= NEAR), None)
        if near is None:
            found[g] = 0
        else:
            found[near] += 1
    return found


def _title(results: Results, truth: Truth, g: int) -> str:
    name = results.names[int(truth.gts.obj_id[g])]
    return f"{name}: {KINDS[truth.failures.kind[g]]}"


def _text(results: Results, truth: Truth, g: int, frame: str) -> str:
    gts, ests, e = truth.gts, results.estimates, int(truth.failures.attempt[g])
    parts = [f"image {frame}", f"{gts.visibility[g]:.0%} visible"]
    if e < 0:
        return ", ".join(parts)
    if ests.obj_id[e] != gts.obj_id[g]:
        return ", ".join([*parts, f"said to be {results.names[int(ests.obj_id[e])]}"])
    depth, aside = offsets(ests.t[[e]], gts.t[[g]])
    obj = results.objects[int(gts.obj_id[g])]
    angle = np.degrees(rotation_error(obj, ests.R[[e]], gts.R[[g]])[0])
    numbers = f"depth {1e3 * depth[0]:+.0f} mm, aside {1e3 * aside[0]:.0f} mm, turned {angle:.0f}°"
    return ", ".join([*parts, numbers, f"score {ests.score[e]:.2f}"])


def offsets(t_est: np.ndarray, t_gt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) m along the viewing ray, positive where too far, and (N,) m across it."""
    ray = t_gt / np.linalg.norm(t_gt, axis=1, keepdims=True)
    shift = t_est - t_gt
    along = np.sum(shift * ray, axis=1)
    return along, np.linalg.norm(shift - along[:, None] * ray, axis=1)


def _crop(results: Results, truth: Truth, g: int, image: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE, 3) RGB around an instance: the truth's outline and the attempt's."""
    gts, ests, e = truth.gts, results.estimates, int(truth.failures.attempt[g])
    K, size = gts.K[int(gts.scene_id[g]), int(gts.im_id[g])], image.shape[1::-1]
    width, height = int(size[0]), int(size[1])
    obj = results.objects[int(gts.obj_id[g])]
    shapes = [(outline(obj, gts.R[g], gts.t[g], K, (width, height)), TRUTH_COLOUR)]
    if e >= 0 and truth.failures.kind[g] not in (FOUND, MISSED):
        said = results.objects[int(ests.obj_id[e])]
        shapes.append((outline(said, ests.R[e], ests.t[e], K, (width, height)), WRONG_COLOUR))
    points = [np.reshape(p, (-1, 2)) for polygons, _ in shapes for p in polygons]
    corners = np.concatenate(points) if points else np.array([[0, 0], [width, height]])
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    side = max(float(np.ptp(corners, axis=0).max()) * (1 + 2 * MARGIN), 24.0)
    scale = SIDE / side
    shift = SIDE / 2 - scale * middle
    M = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    canvas = cv2.warpAffine(image, M, (SIDE, SIDE), flags=cv2.INTER_AREA, borderValue=OUTSIDE)
    for polygons, colour in shapes:
        for polygon in polygons:
            moved = np.reshape(polygon, (-1, 2)) @ M[:, :2].T + M[:, 2]
            path = [(moved * 16).round().astype(np.int32)]
            cv2.polylines(canvas, path, True, (0, 0, 0), 4, cv2.LINE_AA, 4)
            cv2.polylines(canvas, path, True, colour, 2, cv2.LINE_AA, 4)
    return canvas
