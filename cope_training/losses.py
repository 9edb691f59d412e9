"""The training losses (paper, Eqs. 4 to 9) and the improved preset's point matching.

P regression locations, N instances, S symmetric hypotheses, C classes. All losses are
means without unit: pixels are divided by each location's output scale, metres by the
object's diameter.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.decode import decode_keypoints, output_scales
from cope_ros.core.network import CopeNetwork, catalogue_corners, catalogue_diameters
from cope_ros.core.pose_head import TRANSLATION_SCALE, GeometricPoseHead
from cope_ros.core.scores import FOCAL_ALPHA, FOCAL_GAMMA
from cope_training.config import LossConfig
from cope_training.targets import IGNORE, Targets

POINT_CAP = 1.0  # of the diameter: a pose wronger than this teaches no more


@dataclass(frozen=True)
class Predictions:
    """The network's raw outputs, see ``CopeNetwork.forward``."""

    logits: Tensor  # (B, L, C)
    boxes: Tensor  # (B, L, 4)
    keys: Tensor  # (B, L, 16)


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Focal loss, summed over locations and classes, divided by the number of positives.

    Args:
        logits: (B, L, C).
        labels: (B, L) int64 class index, BACKGROUND or IGNORE.
    """
    n_classes = logits.shape[-1]
    target = F.one_hot(labels.clamp_min(0), n_classes) * (labels >= 0).unsqueeze(-1)
    target = target.to(logits.dtype)
    probability = torch.sigmoid(logits)
    p_true = probability * target + (1 - probability) * (1 - target)
    alpha = FOCAL_ALPHA * target + (1 - FOCAL_ALPHA) * (1 - target)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = alpha * (1 - p_true) ** FOCAL_GAMMA * entropy
    loss = loss * (labels != IGNORE).unsqueeze(-1)
    return loss.sum() / (labels >= 0).sum().clamp_min(1)


def huber(error: Tensor, beta: float) -> Tensor:
    """Smooth L1, elementwise: quadratic below ``beta``, slope one above."""
    return F.smooth_l1_loss(error, torch.zeros_like(error), beta=beta, reduction="none")


def class_mean(values: Tensor, class_index: Tensor, n_classes: int) -> Tensor:
    """Mean over classes of the mean over each class's locations (paper, Eq. 4).

    Args:
        values: (P,) loss of each location.
        class_index: (P,) int64.

    Returns:
        () mean over the classes that are present; zero without any.
    """
    total = values.new_zeros(n_classes).index_add(0, class_index, values)
    count = torch.bincount(class_index, minlength=n_classes).to(values.dtype)
    return (total / count.clamp_min(1)).sum() / (count > 0).sum().clamp_min(1)


def choose_hypothesis(errors: Tensor, instance: Tensor, n_instances: int) -> Tensor:
    """The symmetric hypothesis that costs each instance's locations least (Eqs. 5 and 6).

    Args:
        errors: (P, S) keypoint loss of each location under each hypothesis.
        instance: (P,) int64.

    Returns:
        (N,) int64; one choice per instance, shared by keypoints, rotation and translation.
    """
    total = errors.new_zeros(n_instances, errors.shape[1]).index_add(0, instance, errors.detach())
    return total.argmin(1)


class CopeLoss:
    """All losses of one batch.

    Args:
        network: its pose head is evaluated at the regression locations.
        by_diameter: standardisation of the targets.
        config: weights and the point from which poses are supervised.
    """

    def __init__(
        self, network: CopeNetwork, catalogue: Catalogue, by_diameter: bool, config: LossConfig
    ) -> None:
        self.pose_head = network.pose_head
        self.n_classes = len(catalogue)
        self.by_diameter = by_diameter
        self.config = config
        self.corners = catalogue_corners(catalogue)
        self.diameters = catalogue_diameters(catalogue)

    def to(self, device: torch.device) -> "CopeLoss":
        """Moves the objects' constants."""
        self.corners, self.diameters = self.corners.to(device), self.diameters.to(device)
        return self

    def __call__(
        self, predictions: Predictions, targets: Targets, progress: float = 1.0
    ) -> dict[str, Tensor]:
        """Weighted losses by name and their sum as ``total``.

        Args:
            progress: share of the training that is done, in [0, 1].
        """
        weights = self.config
        losses = {"cls": weights.cls * focal_loss(predictions.logits.float(), targets.labels)}
        if len(targets.rows):
            losses |= self._regression(predictions, targets, progress)
        losses["total"] = torch.stack(list(losses.values())).sum()
        return losses

    def _regression(
        self, predictions: Predictions, targets: Targets, progress: float
    ) -> dict[str, Tensor]:
        config, instance = self.config, targets.instance
        c = targets.class_index[instance]
        scales = output_scales(self.by_diameter, self.diameters[c], targets.strides)
        raw_box = predictions.boxes.flatten(0, 1)[targets.rows].float()
        raw_key = predictions.keys.flatten(0, 1)[targets.rows].float()
        centers = targets.centers
        box_target = (centers.repeat(1, 2) - targets.boxes[instance]) / scales.box[:, None]
        key_target = centers[:, None, None] - targets.keypoints[instance]
        key_target = (key_target / scales.key[:, None, None, None]).flatten(2)
        per_hypothesis = huber(raw_key.unsqueeze(1) - key_target, config.beta).mean(-1)
        choice = choose_hypothesis(per_hypothesis, instance, len(targets.class_index))
        key_error = per_hypothesis.gather(1, choice[instance, None]).squeeze(1)
        box_error = huber(raw_box - box_target, config.beta).mean(-1)
        losses = {
            "key": config.key * class_mean(key_error, c, self.n_classes),
            "box": config.box * class_mean(box_error, c, self.n_classes),
        }
        if config.supervises_pose and progress >= config.pose_start:
            keypoints = decode_keypoints(raw_key, centers, scales.key)
            losses |= self._pose(keypoints, scales.key, targets, choice)
        return losses

    def _pose(
        self, keypoints: Tensor, scale: Tensor, targets: Targets, choice: Tensor
    ) -> dict[str, Tensor]:
        rows = torch.arange(len(keypoints), device=keypoints.device)
        if len(rows) > self.config.max_pose_rows:
            rows = torch.randperm(len(rows), device=rows.device)[: self.config.max_pose_rows]
        instance = targets.instance[rows]
        c, K, pick = targets.class_index[instance], targets.K[instance], choice[instance]
        R_gt, t_gt = targets.R[instance, pick], targets.t[instance, pick]
        keypoints, scale = keypoints[rows], scale[rows]
        R, t = self.pose_head(keypoints, c, K)
        config, corners = self.config, self.corners[c]
        points = geometry.transform(R, t, corners)
        errors: dict[str, Tensor] = {}
        if config.rot:
            columns = (R[..., :2] - R_gt[..., :2]).flatten(1)
            errors["rot"] = config.rot * huber(columns, config.beta).mean(-1)
        if config.tra:
            depth_weight = t.new_tensor([1.0, 1.0, 1.5]) / TRANSLATION_SCALE
            errors["tra"] = config.tra * huber((t - t_gt) * depth_weight, config.beta).mean(-1)
        if config.proj or config.cons:
            projected = geometry.project(points, K)
            truth = targets.keypoints[instance, pick]
            unit = scale[:, None, None]
            reprojection = huber((projected - truth) / unit, config.beta).mean((1, 2))
            consistency = huber((projected - keypoints) / unit, config.beta).mean((1, 2))
            errors["proj"], errors["cons"] = config.proj * reprojection, config.cons * consistency
        points_gt = geometry.transform(R_gt, t_gt, corners)
        if config.points:
            errors["points"] = config.points * self._matching(points, points_gt, c)
        if config.init and isinstance(self.pose_head, GeometricPoseHead):
            start = self.pose_head.initial_pose(keypoints.detach(), c, K)
            moved = geometry.transform(start[0], start[1], corners)
            errors["init"] = config.init * self._matching(moved, points_gt, c)
        return {k: class_mean(v, c, self.n_classes) for k, v in errors.items()}

    def _matching(self, points: Tensor, points_gt: Tensor, class_index: Tensor) -> Tensor:
        """(P,) mean distance of matching corners over the diameter, saturating at POINT_CAP."""
        distance = geometry.length(points - points_gt).mean(-1) / self.diameters[class_index]
        return POINT_CAP * distance / (POINT_CAP + distance)
