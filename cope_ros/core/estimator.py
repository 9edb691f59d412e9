"""The whole pipeline: image and intrinsics in, padded instances out.

This module is what gets exported; every step has a fixed shape and nothing waits for the
device in between.
"""

from typing import Final

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.averaging import SymmetryAligner
from cope_ros.core.calibration import CovarianceCalibration
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.clustering import cluster, select_leaders
from cope_ros.core.decode import decode_boxes, decode_keypoints, output_scales
from cope_ros.core.instance_windows import Looked
from cope_ros.core.locations import make_locations
from cope_ros.core.network import CopeNetwork, catalogue_corners, catalogue_diameters
from cope_ros.core.scores import class_probability
from cope_ros.core.types import (
    Hypotheses,
    Instances,
    best_first,
    by_turns,
    replace_non_finite,
    with_poses,
)

MAX_HYPOTHESES = 1024  # K: locations that get a pose; 100 instances with ten each
MAX_VOTES = 64  # most hypotheses of one instance that can be averaged
MIN_SUPPORT = 2  # a hypothesis that no other supports is discarded (appendix B)
UNSEEN = 0.3  # share of an outline taken to be seen, of instances that were not looked at
CONSISTENCY_SCALE = 0.1  # of the apparent size: reprojection error that costs a factor e


class CopeEstimator(nn.Module):
    """COPE's inference (paper, section 3.1) on a batch.

    Thresholds are buffers; they can change on a loaded model: ``score_threshold.fill_(0.4)``.

    Args:
        network: trained or not.
        catalogue: its objects.
        by_diameter: whether targets were standardised by diameter (else by stride).
        score_power: exponent of scores in votes, beside consistency; 0 as published.
        max_instances: M, rows of the padded output.
    """

    max_hypotheses: Final[int] = MAX_HYPOTHESES
    max_votes: Final[int] = MAX_VOTES
    min_support: Final[int] = MIN_SUPPORT
    unseen: Final[float] = UNSEEN
    consistency_scale: Final[float] = CONSISTENCY_SCALE
    min_depth: Final[float] = geometry.MIN_DEPTH
    corners: Tensor
    diameters: Tensor
    score_threshold: Tensor
    iou_threshold: Tensor
    n_hypotheses: Tensor
    enabled: Tensor

    def __init__(
        self,
        network: CopeNetwork,
        catalogue: Catalogue,
        by_diameter: bool,
        score_power: float = 0.0,
        max_instances: int = 100,
    ) -> None:
        super().__init__()
        self.network = network
        self.align = SymmetryAligner(catalogue)
        self.calibrate = CovarianceCalibration(len(catalogue))
        self.by_diameter = by_diameter
        self.score_power = score_power
        self.max_instances = max_instances
        self.register_buffer("corners", catalogue_corners(catalogue))
        self.register_buffer("diameters", catalogue_diameters(catalogue))
        self.register_buffer("score_threshold", torch.tensor(0.5))
        self.register_buffer("iou_threshold", torch.tensor(0.5))
        self.register_buffer("n_hypotheses", torch.tensor(10))
        self.register_buffer("enabled", torch.ones(len(catalogue), dtype=torch.bool))

    def forward(self, image: Tensor, K: Tensor) -> Instances:
        """Estimates all instances.

        Args:
            image: (B, H, W, 3) uint8 RGB, H and W multiples of 32.
            K: (B, 3, 3) float intrinsics of that image, px.

        Returns:
            Padded instances, best first.
        """
        found = self.group(self.hypothesize(image, K))
        if self.network.closeup is not None:
            found = self._look_closer(image, K.float(), found)
        return found

    def look_closer(
        self, image: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The close-up's poses, mean of its views, or the best of its guesses.

        Args:
            image: (B, H, W, 3) uint8 RGB.
            K: (B, 3, 3) px.
            class_index: (B, M).
            R, t: (B, M, 3, 3) and (B, M, 3) m, where the instances seem to be.
        """
        assert self.network.closeup is not None
        if self.network.refiner is not None and self.network.closeup.guesses > 1:
            guesses = self.network.closeup.guess(image, K, class_index, R, t)
            return self.network.refiner.choose(image, K, class_index, guesses)
        looked = self.network.closeup.refine(image, K, class_index, R, t)
        return self._mean_view(looked, class_index)

    def correct(
        self, image: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The refiner's corrections of poses, mean of its views; shapes as in ``look_closer``.

        Returns:
            Poses, and where they were looked at and seen, see ``instance_windows.Looked``.
        """
        assert self.network.refiner is not None
        looked = self.network.refiner.refine(image, K, class_index, R, t)
        R, t = self._mean_view(looked, class_index)
        return R, t, looked.center, looked.visible

    def settle(
        self, image: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Corrections and fits to the outlines, in turn, at last the mean of both.

        Returns:
            Poses, and (B, M) the share of each outline that is seen, see ``region.RegionFit``.
        """
        assert self.network.refiner is not None
        assert self.network.region is not None
        points, seen = self.network.refiner.points, torch.ones_like(t[..., 0])
        for _ in range(self.network.region.rounds):
            R, t, center, visible = self.correct(image, K, class_index, R, t)
            R, t, seen = self.network.region(image, K, class_index, R, t, center, visible, points)
        R_last, t_last, _, _ = self.correct(image, K, class_index, R, t)
        R, t = self.align.between(R, t, R_last, t_last, self.network.region.last, class_index)
        return R, t, seen

    def _mean_view(self, looked: Looked, class_index: Tensor) -> tuple[Tensor, Tensor]:
        """Mean poses of the views, (B, M, 3, 3) and (B, M, 3)."""
        t_view = looked.t.flatten(0, 1)
        weight = torch.ones_like(t_view[..., 0])
        R, t, _ = self.align.mean(looked.R.flatten(0, 1), t_view, weight, class_index.reshape(-1))
        return R.unflatten(0, class_index.shape), t.unflatten(0, class_index.shape)

    def _look_closer(self, image: Tensor, K: Tensor, found: Instances) -> Instances:
        """Gives as many instances as there are slots better poses, in any scene as many."""
        assert self.network.closeup is not None
        found = by_turns(found)
        n = min(self.network.closeup.slots, found.valid.shape[1])
        classes, score = found.class_index[:, :n], found.score
        R, t = self.look_closer(image, K, classes, found.R[:, :n], found.t[:, :n])
        if self.network.region is not None:
            R, t, seen = self.settle(image, K, classes, R, t)
            score = torch.cat((score[:, :n] * seen, score[:, n:] * self.unseen), 1)
        elif self.network.refiner is not None:
            R, t, _, _ = self.correct(image, K, classes, R, t)
        return best_first(with_poses(found, score, R, t))

    def hypothesize(self, image: Tensor, K: Tensor) -> Hypotheses:
        """The network, then poses for the K best locations (all below or above threshold)."""
        logits, raw_boxes, raw_keys = self.network(image)
        centers, strides = make_locations(image.shape[1], image.shape[2], image.device)
        best, best_class = logits.float().masked_fill(~self.enabled, float("-inf")).max(-1)
        best, rows = best.topk(min(self.max_hypotheses, best.shape[1]), dim=1)
        class_index = best_class.gather(1, rows)
        score = class_probability(best) * self.enabled[class_index].to(best.dtype)
        center, stride = centers[rows], strides[rows]
        scales = output_scales(self.by_diameter, self.diameters[class_index], stride)
        raw_box = raw_boxes.float().gather(1, rows.unsqueeze(-1).expand(-1, -1, 4))
        raw_key = raw_keys.float().gather(1, rows.unsqueeze(-1).expand(-1, -1, 16))
        boxes = decode_boxes(raw_box, center, scales.box)
        keypoints = decode_keypoints(raw_key, center, scales.key)
        R, t, consistency = self._poses(keypoints, class_index, K)
        return Hypotheses(score, class_index, boxes, keypoints, R, t, consistency)

    def _poses(
        self, keypoints: Tensor, class_index: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, k = class_index.shape
        K_row = K.float().unsqueeze(1).expand(batch, k, 3, 3).reshape(-1, 3, 3)
        flat_keys, flat_class = keypoints.reshape(-1, 8, 2), class_index.reshape(-1)
        R, t = self.network.pose_head(flat_keys, flat_class, K_row)
        projected = geometry.project(geometry.transform(R, t, self.corners[flat_class]), K_row)
        error = geometry.length(projected - flat_keys).mean(-1)
        depth = t[:, 2].clamp_min(self.min_depth)
        size = K_row[:, 0, 0] * self.diameters[flat_class] / depth
        consistency = torch.exp(-error / (self.consistency_scale * size))
        return R.view(batch, k, 3, 3), t.view(batch, k, 3), consistency.view(batch, k)

    def group(self, hypotheses: Hypotheses) -> Instances:
        """Clusters hypotheses by box overlap and averages the most consistent of each."""
        h, finite = replace_non_finite(hypotheses)
        active = (h.score >= self.score_threshold) & finite
        leads, leader = cluster(h.boxes, h.class_index, active, self.iou_threshold)
        support = torch.zeros_like(leader).scatter_add_(1, leader, active.long())
        leads = leads & (support >= self.min_support)
        rows, valid = select_leaders(leads, self.max_instances)
        member = (leader.unsqueeze(1) == rows.unsqueeze(-1)) & active.unsqueeze(1)
        member = member & valid.unsqueeze(-1)
        R, t, covariance, first = self._average(h, rows, member)
        keypoints = h.keypoints.gather(1, first.unsqueeze(-1).unsqueeze(-1).expand(-1, -1, 8, 2))
        return Instances(
            valid,
            h.class_index.gather(1, rows),
            h.score.gather(1, rows),
            R,
            t,
            covariance,
            h.boxes.gather(1, rows.unsqueeze(-1).expand(-1, -1, 4)),
            keypoints,
            support.gather(1, rows),
        )

    def _average(
        self, h: Hypotheses, rows: Tensor, member: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Poses (B, M, ...) and the row (B, M) of each instance's most consistent hypothesis."""
        batch = rows.shape[0]
        quality = h.consistency * h.score.pow(self.score_power)
        vote = torch.where(member, quality.unsqueeze(1), torch.zeros_like(quality[:, :1, None]))
        n = min(self.max_votes, vote.shape[2])
        if not vote.is_cuda:  # reading the number would wait for a GPU
            n = max(1, min(n, int(self.n_hypotheses.item())))
        weight, index = vote.topk(n, dim=2)
        rank = torch.arange(n, device=index.device)
        weight = torch.where(rank < self.n_hypotheses, weight, torch.zeros_like(weight))
        # Padding rows average their (arbitrary) first hypothesis, which keeps them finite.
        weight[:, :, 0] = weight[:, :, 0].clamp_min(1e-3)
        flat = index.reshape(batch, -1)
        R = h.R.gather(1, flat.view(batch, -1, 1, 1).expand(-1, -1, 3, 3)).view(-1, n, 3, 3)
        t = h.t.gather(1, flat.unsqueeze(-1).expand(-1, -1, 3)).view(-1, n, 3)
        class_index = h.class_index.gather(1, rows).reshape(-1)
        R_m, t_m, covariance = self.align.mean(R, t, weight.reshape(-1, n), class_index)
        support = member.sum(2).view(-1)
        covariance = self.calibrate(covariance, t_m, class_index, support)
        R_m, t_m = R_m.unflatten(0, rows.shape), t_m.unflatten(0, rows.shape)
        return R_m, t_m, covariance.unflatten(0, rows.shape), index[:, :, 0]
