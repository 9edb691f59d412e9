"""The whole pipeline: image and intrinsics in, padded instances out.

This module is what gets exported; every step has a fixed shape and nothing waits for the
device in between.
"""

from typing import Final

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.clustering import cluster, select_leaders
from cope_ros.core.detection.covariance import CovarianceCalibration
from cope_ros.core.detection.decoding import decode_boxes, decode_keypoints, output_scales
from cope_ros.core.detection.locations import make_locations
from cope_ros.core.detection.scores import class_probability
from cope_ros.core.network.cope_network import CopeNetwork
from cope_ros.core.refinement.refinement import InstanceRefinement
from cope_ros.core.types import Hypotheses, Instances, replace_non_finite

MAX_HYPOTHESES = 1024  # K: locations that get a pose; 100 instances with ten each
MAX_VOTES = 64  # most hypotheses of one instance that can be averaged
MIN_SUPPORT = 2  # a hypothesis that no other supports is discarded (appendix B)
CONSISTENCY_SCALE = 0.1  # of the apparent size: reprojection error that costs a factor e


class CopeEstimator(InstanceRefinement):
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
    consistency_scale: Final[float] = CONSISTENCY_SCALE
    min_depth: Final[float] = geometry.MIN_DEPTH
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
        super().__init__(network, catalogue)
        self.calibrate = CovarianceCalibration(len(catalogue))
        self.by_diameter = by_diameter
        self.score_power = score_power
        self.max_instances = max_instances
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
        if self.network.crop_head is not None:
            found = self.refine_instances(image, K.float(), found)
        return found

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
