"""Why an instance was not found: which of the usual mistakes explains it.

An instance counts as found within ADD(-S) 10 % of its diameter (matched greedily by score).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cope_training.data.boxes import box_iou
from cope_training.evaluation.metrics.errors import rotation_error
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.scores import asked_instances
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth

KINDS = ("found", "missed", "wrong class", "wrong rotation", "wrong depth", "wrong place")
FOUND, MISSED, WRONG_CLASS, WRONG_ROTATION, WRONG_DEPTH, WRONG_PLACE = range(len(KINDS))
OVERLAP = 0.5  # box overlap from which an estimate is an attempt at an instance


@dataclass(frozen=True)
class Failures:
    """What became of each instance that was asked for."""

    kind: np.ndarray  # (G,) int64 into KINDS, -1 for instances that nobody asked for
    attempt: np.ndarray  # (G,) int64, row of the estimate that was judged, -1 for none

    def counts(self, rows: np.ndarray | None = None) -> dict[str, int]:
        """How many instances (of the mask ``rows``) fall into each kind."""
        kinds = self.kind if rows is None else self.kind[rows]
        return {name: int((kinds == i).sum()) for i, name in enumerate(KINDS)}


def explain(
    ests: Estimates, gts: GroundTruth, found_by: np.ndarray, objects: Mapping[int, EvalObject]
) -> Failures:
    """Sorts every instance asked for into one kind.

    The attempt at an instance is the estimate of its class with the largest box overlap of at
    least a half; without one, any class counts (wrong class). Of a wrong pose, the part that
    moves the surface most names the kind: rotation, depth, or place in the image.

    Args:
        ests: with boxes.
        found_by: (G,) int64, row of the estimate that found an instance, -1 for none.
    """
    if ests.boxes is None:
        raise ValueError("explain: expected estimates with boxes, got none")
    asked = asked_instances(gts)
    kind = np.where(asked, np.where(found_by >= 0, FOUND, MISSED), -1)
    attempt = found_by.copy()
    by_image: dict[tuple[int, int], list[int]] = {}
    for row, key in enumerate(zip(ests.scene_id.tolist(), ests.im_id.tolist(), strict=True)):
        by_image.setdefault(key, []).append(row)
    for g in np.flatnonzero(kind == MISSED).tolist():
        rows = np.array(by_image.get((int(gts.scene_id[g]), int(gts.im_id[g])), []), dtype=np.int64)
        if len(rows) == 0:
            continue
        overlap = box_iou(ests.boxes[rows], gts.boxes[g])
        same = ests.obj_id[rows] == gts.obj_id[g]
        best = _best(np.where(same, overlap, 0)), _best(np.where(same, 0, overlap))
        if best[0] >= 0:
            attempt[g] = rows[best[0]]
            kind[g] = _pose_mistake(ests, int(attempt[g]), gts, g, objects)
        elif best[1] >= 0:
            attempt[g], kind[g] = rows[best[1]], WRONG_CLASS
    return Failures(kind, attempt)


def _best(overlap: np.ndarray) -> int:
    """Place of the largest overlap, -1 if it is too small."""
    place = int(overlap.argmax())
    return place if overlap[place] >= OVERLAP else -1


def _pose_mistake(
    ests: Estimates, e: int, gts: GroundTruth, g: int, objects: Mapping[int, EvalObject]
) -> int:
    obj = objects[int(gts.obj_id[g])]
    ray = gts.t[g] / np.linalg.norm(gts.t[g])
    shift = ests.t[e] - gts.t[g]
    depth = abs(float(shift @ ray))
    aside = float(np.linalg.norm(shift - (shift @ ray) * ray))
    angle = float(rotation_error(obj, ests.R[e][None], gts.R[g][None])[0])
    # A rotation moves the surface by about the angle times half the diameter.
    moved = {WRONG_ROTATION: angle * obj.diameter / 2, WRONG_DEPTH: depth, WRONG_PLACE: aside}
    return max(moved, key=lambda kind: moved[kind])
