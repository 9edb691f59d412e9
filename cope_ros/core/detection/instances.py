"""From hypotheses to instances: clustering by IoU, then averaging (paper, section 3.4).

Axes: B images, K hypotheses and M instances of each, n votes of each instance.
"""

from typing import Final

import torch
from torch import Tensor, nn

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.averaging import SymmetryAligner
from cope_ros.core.detection.clustering import cluster, select_leaders
from cope_ros.core.types import Hypotheses, Instances, replace_non_finite

MAX_VOTES = 64  # most hypotheses of one instance that can be averaged
MIN_SUPPORT = 2  # a hypothesis that no other supports is discarded (appendix B)
MIN_QUALITY = 1e-12  # weight of the least consistent hypothesis of an instance


class InstanceClustering(nn.Module):
    """Clusters hypotheses by box overlap and averages the most consistent of each cluster.

    Args:
        catalogue: the objects.
        score_power: exponent of scores in votes, beside consistency; 0 as published.
        max_instances: M, rows of the padded output.
    """

    max_votes: Final[int] = MAX_VOTES
    min_support: Final[int] = MIN_SUPPORT
    min_quality: Final[float] = MIN_QUALITY

    def __init__(self, catalogue: Catalogue, score_power: float, max_instances: int) -> None:
        super().__init__()
        self.align = SymmetryAligner(catalogue)
        self.score_power = score_power
        self.max_instances = max_instances

    def forward(
        self,
        hypotheses: Hypotheses,
        score_threshold: Tensor,
        iou_threshold: Tensor,
        n_hypotheses: Tensor,
    ) -> Instances:
        """The instances, best first; their covariance is the spread of their hypotheses.

        Args:
            hypotheses: best score first.
            score_threshold: () float, least score of a hypothesis.
            iou_threshold: () float, overlap above which two are of one instance.
            n_hypotheses: () int64, most consistent ones that are averaged.
        """
        h, finite = replace_non_finite(hypotheses)
        active = (h.score >= score_threshold) & finite
        leads, leader = cluster(h.boxes, h.class_index, active, iou_threshold)
        support = torch.zeros_like(leader).scatter_add_(1, leader, active.long())
        leads = leads & (support >= self.min_support)
        rows, valid = select_leaders(leads, self.max_instances)
        member = (leader.unsqueeze(1) == rows.unsqueeze(-1)) & active.unsqueeze(1)
        member = member & valid.unsqueeze(-1)
        R, t, covariance, first = self.average(h, rows, member, n_hypotheses)
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
            torch.zeros_like(valid, dtype=h.score.dtype),
        )

    def average(
        self, h: Hypotheses, rows: Tensor, member: Tensor, n_hypotheses: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean poses, their spread, and the row of each instance's most consistent hypothesis.

        Args:
            h: the hypotheses.
            rows: (B, M) int64, the leader of each instance.
            member: (B, M, K) bool.
            n_hypotheses: () int64.

        Returns:
            (B, M, 3, 3), (B, M, 3) m, (B, M, 6, 6) and (B, M) int64.
        """
        batch = rows.shape[0]
        # A member whose consistency is too small for a float still comes before all others.
        quality = (h.consistency * h.score.pow(self.score_power)).clamp_min(self.min_quality)
        vote = torch.where(member, quality.unsqueeze(1), torch.zeros_like(quality[:, :1, None]))
        n = min(self.max_votes, vote.shape[2])
        if not vote.is_cuda:  # reading the number would wait for a GPU
            n = max(1, min(n, int(n_hypotheses.item())))
        weight, index = vote.topk(n, dim=2)
        rank = torch.arange(n, device=index.device)
        weight = torch.where(rank < n_hypotheses, weight, torch.zeros_like(weight))
        # Padding rows average their (arbitrary) first hypothesis, which keeps them finite.
        weight[:, :, 0] = weight[:, :, 0].clamp_min(1e-3)
        flat = index.reshape(batch, -1)
        R = h.R.gather(1, flat.view(batch, -1, 1, 1).expand(-1, -1, 3, 3)).view(-1, n, 3, 3)
        t = h.t.gather(1, flat.unsqueeze(-1).expand(-1, -1, 3)).view(-1, n, 3)
        class_index = h.class_index.gather(1, rows).reshape(-1)
        R, t, covariance = self.align.mean(R, t, weight.reshape(-1, n), class_index)
        shape = rows.shape
        covariance = covariance.unflatten(0, shape)
        return R.unflatten(0, shape), t.unflatten(0, shape), covariance, index[:, :, 0]
