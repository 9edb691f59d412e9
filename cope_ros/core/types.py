"""What passes between the stages of the pipeline.

Axes: B batch, L locations of the whole pyramid, K kept hypotheses, M padded
instances, C classes. Lengths in metres, image coordinates in pixels of the network's
input image (pixel centres at integers), frames as in REP-103: camera optical frame with
x right, y down, z forward; poses map object to camera, ``p_cam = R @ p_obj + t``.

NamedTuples, because TorchScript carries them through ``torch.jit.script``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

RANK_DECAY = 0.8  # of each better instance of a class, see ``rank_within_class``


class DenseOutputs(NamedTuple):
    """The network's outputs at every location, standardised (paper, Eq. 3)."""

    class_logits: Tensor  # (B, L, C) float, before the sigmoid
    boxes: Tensor  # (B, L, 4) float, amodal box x1 y1 x2 y2
    keypoints: Tensor  # (B, L, 16) float, projected corners of the object's box
    coordinates: Tensor  # (B, L, SURFACE_OUTPUTS) float, see ``heads.KeyTower``; else (B, L, 0)
    shared: Tensor  # (B, F, H/4, W/4) float, features of an instance head; else (B, 0, ...)


class Hypotheses(NamedTuple):
    """The K best locations with the pose each of them votes for."""

    score: Tensor  # (B, K) float in [0, 1], descending
    class_index: Tensor  # (B, K) int64, 0-based channel
    boxes: Tensor  # (B, K, 4) float, px
    keypoints: Tensor  # (B, K, 8, 2) float, px
    R: Tensor  # (B, K, 3, 3) float
    t: Tensor  # (B, K, 3) float, m
    consistency: Tensor  # (B, K) float in (0, 1], 1 where pose and keypoints agree


class PoseBatch(NamedTuple):
    """Poses of objects, M in each of B images, and the images' intrinsics."""

    class_index: Tensor  # (B, M) int64, 0-based channel
    R: Tensor  # (B, M, 3, 3) float
    t: Tensor  # (B, M, 3) float, m
    K: Tensor  # (B, 3, 3) float, px


class RefinementInputs(NamedTuple):
    """What a refinement stage may look at, beside the instances (``refinement.stages``)."""

    image: Tensor  # (B, H, W, 3) uint8 RGB
    K: Tensor  # (B, 3, 3) float, px
    shared: Tensor  # (B, F, H/4, W/4) float, see ``DenseOutputs``


class Instances(NamedTuple):
    """The estimate: one row per instance, padded to M rows, best score first."""

    valid: Tensor  # (B, M) bool, false in the padding
    class_index: Tensor  # (B, M) int64, 0-based channel
    score: Tensor  # (B, M) float in [0, 1]
    R: Tensor  # (B, M, 3, 3) float
    t: Tensor  # (B, M, 3) float, m
    covariance: Tensor  # (B, M, 6, 6) float, x y z rotation-x rotation-y rotation-z (REP-103)
    boxes: Tensor  # (B, M, 4) float, amodal box of the best hypothesis or a refined pose, px
    keypoints: Tensor  # (B, M, 8, 2) float, of the most consistent hypothesis or a refined pose
    support: Tensor  # (B, M) int64, hypotheses in the cluster
    depth_share: Tensor  # (B, M) float, of the surface that depth confirms; 0: by the image alone


def from_outputs(outputs: Sequence[Tensor]) -> Instances:
    """What a model file returns; those of older exports know nothing of depth."""
    missing = len(Instances._fields) - len(outputs)
    return Instances(*outputs, *[torch.zeros_like(outputs[2])] * missing)


def with_depth(
    found: Instances, R: Tensor, t: Tensor, covariance: Tensor, share: Tensor
) -> Instances:
    """The same instances with poses and covariances fitted to depth; all are (B, M, ...)."""
    return Instances(
        found.valid,
        found.class_index,
        found.score,
        R,
        t,
        covariance,
        found.boxes,
        found.keypoints,
        found.support,
        share,
    )


def replace_non_finite(h: Hypotheses) -> tuple[Hypotheses, Tensor]:
    """Zero poses where they are not finite, and (B, K) bool where they are.

    Weight zero does not silence a NaN.
    """
    finite = torch.isfinite(h.t).all(-1) & torch.isfinite(h.R).all(-1).all(-1)
    R = torch.where(finite[..., None, None], h.R, torch.zeros_like(h.R))
    t = torch.where(finite.unsqueeze(-1), h.t, torch.zeros_like(h.t))
    consistency = torch.where(finite, h.consistency, torch.zeros_like(h.consistency))
    return Hypotheses(h.score, h.class_index, h.boxes, h.keypoints, R, t, consistency), finite


def first_poses(found: Instances, count: int, K: Tensor) -> PoseBatch:
    """The poses of the first ``count`` instances of images with intrinsics K (B, 3, 3) px."""
    return PoseBatch(found.class_index[:, :count], found.R[:, :count], found.t[:, :count], K)


def repeat_poses(poses: PoseBatch, count: int) -> PoseBatch:
    """Each pose ``count`` times in a row."""
    return PoseBatch(
        poses.class_index.repeat_interleave(count, 1),
        poses.R.repeat_interleave(count, 1),
        poses.t.repeat_interleave(count, 1),
        poses.K,
    )


def box_centers(poses: PoseBatch, centers: Tensor) -> Tensor:
    """(B, M, 3) m: the posed middles of the objects' boxes, which are ``centers`` (C, 3) m."""
    return (poses.R @ centers[poses.class_index].unsqueeze(-1)).squeeze(-1) + poses.t


def with_poses(found: Instances, score: Tensor, poses: PoseBatch) -> Instances:
    """Other scores (B, M), and other poses of the first instances, as many as there are poses."""
    n = poses.t.shape[1]
    valid = found.valid[:, :n]
    R = torch.where(valid[..., None, None], poses.R, found.R[:, :n])
    t = torch.where(valid.unsqueeze(-1), poses.t, found.t[:, :n])
    return Instances(
        found.valid,
        found.class_index,
        score,
        torch.cat((R, found.R[:, n:]), 1),
        torch.cat((t, found.t[:, n:]), 1),
        found.covariance,
        found.boxes,
        found.keypoints,
        found.support,
        found.depth_share,
    )


def with_covariance(found: Instances, covariance: Tensor) -> Instances:
    """The same instances with other covariances (B, M, 6, 6)."""
    return Instances(
        found.valid,
        found.class_index,
        found.score,
        found.R,
        found.t,
        covariance,
        found.boxes,
        found.keypoints,
        found.support,
        found.depth_share,
    )


def with_boxes(found: Instances, boxes: Tensor, keypoints: Tensor) -> Instances:
    """Other boxes (B, n, 4) and keypoints (B, n, 8, 2) of the first n."""
    n = boxes.shape[1]
    valid = found.valid[:, :n]
    boxes = torch.where(valid.unsqueeze(-1), boxes, found.boxes[:, :n])
    keypoints = torch.where(valid[..., None, None], keypoints, found.keypoints[:, :n])
    return Instances(
        found.valid,
        found.class_index,
        found.score,
        found.R,
        found.t,
        found.covariance,
        torch.cat((boxes, found.boxes[:, n:]), 1),
        torch.cat((keypoints, found.keypoints[:, n:]), 1),
        found.support,
        found.depth_share,
    )


def mask_out(found: Instances, gone: Tensor) -> Instances:
    """The same, those that are ``gone`` (B, M) as padding."""
    return Instances(
        found.valid & ~gone,
        found.class_index,
        found.score,
        found.R,
        found.t,
        found.covariance,
        found.boxes,
        found.keypoints,
        found.support,
        found.depth_share,
    )


def best_first(found: Instances) -> Instances:
    """The same instances in the order of their scores, padding last."""
    return select_rows(found, descending_order(found.score, found.valid))


def rank_within_class(found: Instances) -> Instances:
    """The same instances, best first, but many of one class do not all come before others."""
    value = within_class_scores(found.score, found.class_index, found.valid)
    return select_rows(found, descending_order(value, found.valid))


def within_class_scores(
    score: Tensor, class_index: Tensor, valid: Tensor, decay: float = RANK_DECAY
) -> Tensor:
    """(B, M) scores, smaller for each better instance of a class; all are (B, M), best first."""
    alike = (class_index.unsqueeze(2) == class_index.unsqueeze(1)) & valid.unsqueeze(1)
    better = torch.tril(alike, -1).sum(2)
    return score * torch.pow(decay, better.to(score.dtype))


def descending_order(value: Tensor, valid: Tensor) -> Tensor:
    """(B, M) rows, those of the greatest values >= 0 first, padding last."""
    value = torch.where(valid, value, -torch.ones_like(value))
    return torch.sort(value, dim=1, descending=True, stable=True)[1]


def select_rows(found: Instances, row: Tensor) -> Instances:
    """The instances in these rows (B, M)."""
    first = torch.arange(len(row), device=row.device).unsqueeze(1)
    return Instances(
        found.valid[first, row],
        found.class_index[first, row],
        found.score[first, row],
        found.R[first, row],
        found.t[first, row],
        found.covariance[first, row],
        found.boxes[first, row],
        found.keypoints[first, row],
        found.support[first, row],
        found.depth_share[first, row],
    )
