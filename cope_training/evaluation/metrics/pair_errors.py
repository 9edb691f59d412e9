"""Every pose error of every pair of an estimate and a ground truth.

Axes: N estimates, G ground-truth instances, P pairs of both, T misalignment tolerances.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from cope_training.evaluation.metrics import errors
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth, Pairs, pair_up
from cope_training.evaluation.metrics.vsd import TAUS, DepthRenderer, vsd_of_pairs
from cope_training.progress import Progress

MSSD_THRESHOLDS = np.arange(1, 11) * 0.05  # shares of the diameter (BOP)
MSPD_THRESHOLDS = np.arange(5, 51, 5).astype(float)  # px of an image of BOP's width
REFERENCE_WIDTH = 640  # px, the image width that MSPD's thresholds are meant for
ADD_THRESHOLD = 0.1  # share of the diameter
PAIRS_AT_ONCE = 2000  # pairs per step of the progress, bounds the memory of the symmetries

DepthImage = Callable[[int, int], np.ndarray | None]  # (scene_id, im_id) -> (H, W) m


@dataclass(frozen=True)
class PairErrors:
    """Every error of every pair; normalised so that one threshold serves all objects.

    Errors beyond the loosest threshold may be infinite.
    """

    pairs: Pairs
    mssd: np.ndarray  # (P,) shares of the diameter
    mspd: np.ndarray  # (P,) px of an image 640 px wide
    add: np.ndarray  # (P,) shares of the diameter
    adds: np.ndarray  # (P,) shares of the diameter
    add_s: np.ndarray  # (P,) ADD-S for symmetric objects, ADD for the others
    vsd: np.ndarray | None  # (P, T) in [0, 1], None without depth images


def pair_errors(
    ests: Estimates,
    gts: GroundTruth,
    objects: Mapping[int, EvalObject],
    progress: Progress,
    seconds: dict[str, float],
) -> PairErrors:
    """All errors but VSD; the time of each stage is added to ``seconds``."""
    pairs = pair_up(ests, gts)
    K = intrinsics(gts, gts)
    width_factor = REFERENCE_WIDTH / gts.image_size[0]
    values = {kind: np.full(len(pairs), np.inf) for kind in ("mssd", "mspd", "add", "adds")}
    add_s = np.full(len(pairs), np.inf)
    for rows, obj in _by_object(pairs, gts, objects, progress):
        e, g = pairs.est[rows], pairs.gt[rows]
        poses = (ests.R[e], ests.t[e], gts.R[g], gts.t[g])
        limits = (MSSD_THRESHOLDS[-1] * obj.diameter, MSPD_THRESHOLDS[-1] / width_factor)
        near = ADD_THRESHOLD * obj.diameter
        with timed(seconds, "mssd"):
            values["mssd"][rows] = errors.mssd(obj, *poses, limit=limits[0]) / obj.diameter
        with timed(seconds, "mspd"):
            values["mspd"][rows] = errors.mspd(obj, K[g], *poses, limit=limits[1]) * width_factor
        with timed(seconds, "add"):
            values["add"][rows] = errors.add(obj.vertices, *poses, limit=near) / obj.diameter
        with timed(seconds, "adds"):
            values["adds"][rows] = errors.add_s(obj, *poses, limit=near) / obj.diameter
        add_s[rows] = values["adds" if obj.model.is_symmetric else "add"][rows]
    return PairErrors(pairs, **values, add_s=add_s, vsd=None)


def _by_object(
    pairs: Pairs, gts: GroundTruth, objects: Mapping[int, EvalObject], progress: Progress
) -> Iterator[tuple[np.ndarray, EvalObject]]:
    """Rows of the pairs in portions of one object each."""
    done = 0
    obj_id = gts.obj_id[pairs.gt]
    for index in np.unique(obj_id).tolist():
        rows = np.flatnonzero(obj_id == index)
        for start in range(0, len(rows), PAIRS_AT_ONCE):
            part = rows[start : start + PAIRS_AT_ONCE]
            yield part, objects[index]
            done += len(part)
            progress("pose errors", done / len(pairs))


def discrepancies(
    ests: Estimates,
    gts: GroundTruth,
    objects: Mapping[int, EvalObject],
    pairs: Pairs,
    depth_image: DepthImage,
    renderer: DepthRenderer,
    progress: Progress,
) -> np.ndarray | None:
    """(P, T) discrepancies; None unless every image has its depth."""
    values = np.ones((len(pairs), len(TAUS)))
    image = np.stack([gts.scene_id[pairs.gt], gts.im_id[pairs.gt]], axis=1).reshape(-1, 2)
    names = list(gts.K)
    for number, (scene_id, im_id) in enumerate(names):
        scene = depth_image(scene_id, im_id)
        if scene is None:
            return None
        of_image = (image == (scene_id, im_id)).all(axis=1)
        for index in np.unique(gts.obj_id[pairs.gt[of_image]]).tolist():
            rows = np.flatnonzero(of_image & (gts.obj_id[pairs.gt] == index))
            e, g = pairs.est[rows], pairs.gt[rows]
            poses = (ests.R[e], ests.t[e]), (gts.R[g], gts.t[g])
            K = gts.K[scene_id, im_id]
            values[rows] = vsd_of_pairs(objects[index], *poses, scene, K, renderer)
        progress("vsd", (number + 1) / len(names))
    return values


def intrinsics(table: Estimates | GroundTruth, gts: GroundTruth) -> np.ndarray:
    """(N, 3, 3): of each row's image."""
    keys = zip(table.scene_id.tolist(), table.im_id.tolist(), strict=True)
    return np.array([gts.K[key] for key in keys]).reshape(-1, 3, 3)


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Adds the time spent inside to ``seconds[stage]``."""
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
