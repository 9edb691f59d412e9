"""Estimates and ground truth as columns, and the pairs of both that can match.

Axes: N estimates, G ground-truth instances, P pairs. Lengths in metres; poses map the
object's frame to the camera's optical frame.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

UNKNOWN_TIME = -1.0  # BOP's mark for a result without a time, s


@dataclass(frozen=True)
class Estimates:
    """N estimated poses, in the order of the file or the run that made them."""

    scene_id: np.ndarray  # (N,) int64
    im_id: np.ndarray  # (N,) int64
    obj_id: np.ndarray  # (N,) int64, BOP's
    score: np.ndarray  # (N,) float64
    R: np.ndarray  # (N, 3, 3) float64
    t: np.ndarray  # (N, 3) float64, m
    time: np.ndarray  # (N,) float64, s for the whole image, -1 where unknown
    boxes: np.ndarray | None = None  # (N, 4) float64 amodal x1 y1 x2 y2, px
    covariance: np.ndarray | None = None  # (N, 6, 6) float64 of the pose, REP-103 order

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: np.ndarray) -> "Estimates":
        """The estimates at ``rows`` (indices or a mask)."""
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        boxes = None if self.boxes is None else self.boxes[rows]
        covariance = None if self.covariance is None else self.covariance[rows]
        return replace(self, **columns, boxes=boxes, covariance=covariance)

    @classmethod
    def empty(cls) -> "Estimates":
        """No estimate at all."""
        i, x, t = np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 3))
        return cls(i, i, i, x, np.zeros((0, 3, 3)), t, x, boxes=np.zeros((0, 4)))


COLUMNS = ("scene_id", "im_id", "obj_id", "score", "R", "t", "time")


@dataclass(frozen=True)
class GroundTruth:
    """G annotated instances of the images that are evaluated."""

    scene_id: np.ndarray  # (G,) int64
    im_id: np.ndarray  # (G,) int64
    obj_id: np.ndarray  # (G,) int64
    R: np.ndarray  # (G, 3, 3) float64
    t: np.ndarray  # (G, 3) float64, m
    visibility: np.ndarray  # (G,) float64 in [0, 1], visible share of the whole silhouette
    boxes: np.ndarray  # (G, 4) float64 amodal x1 y1 x2 y2, px, NaN where unknown
    K: Mapping[tuple[int, int], np.ndarray]  # (scene_id, im_id) -> (3, 3), every image
    image_size: tuple[int, int]  # (width, height), px
    inst_count: Mapping[tuple[int, int, int], int]  # (scene, image, object) -> instances asked

    def __len__(self) -> int:
        return len(self.obj_id)

    @property
    def images(self) -> list[tuple[int, int]]:
        """(scene_id, im_id) of every evaluated image, those without an instance too."""
        return list(self.K)

    @property
    def targets(self) -> int:
        """How many instances are asked for in all."""
        return sum(self.inst_count.values())

    def of_images(self, images: Iterable[tuple[int, int]]) -> "GroundTruth":
        """The part of these (scene_id, im_id), in the order of the images here."""
        kept = set(images) & set(self.K)
        rows = np.fromiter(
            (key in kept for key in zip(self.scene_id.tolist(), self.im_id.tolist(), strict=True)),
            dtype=bool,
            count=len(self),
        )
        columns = ("scene_id", "im_id", "obj_id", "R", "t", "visibility", "boxes")
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in columns},
            K={key: K for key, K in self.K.items() if key in kept},
            inst_count={key: n for key, n in self.inst_count.items() if key[:2] in kept},
        )


@dataclass(frozen=True)
class Pairs:
    """Every estimate with every ground-truth instance of its object in its image.

    Rows are ordered so that each estimate's pairs are adjacent and the estimates of one image
    and object follow one another by descending score: the order of greedy matching.
    """

    est: np.ndarray  # (P,) int64, row of the estimate
    gt: np.ndarray  # (P,) int64, row of the ground truth
    first: np.ndarray  # (E + 1,) int64, where each estimate's pairs start; the last is P
    owner: np.ndarray  # (E,) int64, row of the estimate of each run of pairs

    def __len__(self) -> int:
        return len(self.est)

    def keep(self, use: np.ndarray) -> tuple["Pairs", np.ndarray]:
        """The pairs of the estimates under the mask ``use`` (N,), and the mask (P,) of them."""
        mask, runs = use[self.est], use[self.owner]
        lengths = np.diff(self.first)[runs]
        first = np.concatenate([[0], np.cumsum(lengths)])
        return Pairs(self.est[mask], self.gt[mask], first, self.owner[runs]), mask


def rank_in_image(ests: Estimates) -> np.ndarray:
    """(N,) int64: rank by score (0 is best) among the image's estimates of the same object."""
    order, keys = _ordered(ests)
    rank = np.empty(len(ests), np.int64)
    rank[order] = _place_in_run(keys)
    return rank


def best_per_image(ests: Estimates, most: int) -> np.ndarray:
    """(N,) bool: the ``most`` estimates of highest score of every image."""
    order = np.lexsort((-ests.score, ests.im_id, ests.scene_id))
    keep = np.empty(len(ests), bool)
    keep[order] = _place_in_run(np.stack([ests.scene_id, ests.im_id], axis=1)[order]) < most
    return keep


def asked_for(ests: Estimates, gts: GroundTruth) -> np.ndarray:
    """(N,) bool: the best ``inst_count`` estimates of every target (BOP's localisation task)."""
    limit = np.array([gts.inst_count.get(key, 0) for key in keys_of(ests)], dtype=np.int64)
    return rank_in_image(ests) < limit


def pair_up(ests: Estimates, gts: GroundTruth) -> Pairs:
    """Every pair of an estimate and a ground truth of the same image and object.

    Estimates without any instance of their object in their image have no pair.
    """
    order, keys = _ordered(ests)
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, key in enumerate(keys_of(gts)):
        rows.setdefault(key, []).append(row)
    est_out: list[int] = []
    gt_out: list[int] = []
    first, owner = [0], []
    for row, key in zip(order.tolist(), map(tuple, keys.tolist()), strict=True):
        partners = rows.get(key, [])
        if partners:
            est_out += [row] * len(partners)
            gt_out += partners
            owner.append(row)
            first.append(len(gt_out))
    return Pairs(*(np.array(column, dtype=np.int64) for column in (est_out, gt_out, first, owner)))


def keys_of(table: Estimates | GroundTruth) -> list[tuple[int, int, int]]:
    """(scene_id, im_id, obj_id) of every row."""
    columns = (table.scene_id.tolist(), table.im_id.tolist(), table.obj_id.tolist())
    return list(zip(*columns, strict=True))


def _ordered(ests: Estimates) -> tuple[np.ndarray, np.ndarray]:
    """Rows by scene, image, object and descending score (ties keep their order), and the keys."""
    keys = np.stack([ests.scene_id, ests.im_id, ests.obj_id], axis=1)
    order = np.lexsort((-ests.score, keys[:, 2], keys[:, 1], keys[:, 0]))
    return order, keys[order]


def _place_in_run(keys: np.ndarray) -> np.ndarray:
    """(N,) place of each row within its run of equal rows of the sorted keys (N, k)."""
    if len(keys) == 0:
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.r_[True, (np.diff(keys, axis=0) != 0).any(axis=1)])
    return np.arange(len(keys)) - np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
