"""The training losses (paper, Eqs. 4 to 9) and the improved preset's point matching.

P regression locations, N instances, S symmetric hypotheses, C classes. All losses are
means without unit: pixels are divided by each location's output scale, metres by the
object's diameter.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.decoding import decode_keypoints, output_scales
from cope_ros.core.network.cope_network import CopeNetwork, catalogue_corners, catalogue_diameters
from cope_ros.core.network.pose_head import TRANSLATION_SCALE, GeometricPoseHead
from cope_ros.core.types import DenseOutputs
from cope_training.engine.configuration import LossConfig
from cope_training.engine.distributed import Ranks
from cope_training.tasks.dense.object_coordinates import surface_errors
from cope_training.tasks.dense.targets import Targets
from cope_training.tasks.loss_terms import choose_hypothesis, class_mean, focal_loss, huber

POINT_CAP = 1.0  # of the diameter: a pose wronger than this teaches no more


@dataclass(frozen=True)
class Predictions:
    """The network's raw outputs, see ``CopeNetwork.forward``."""

    logits: Tensor  # (B, L, C)
    boxes: Tensor  # (B, L, 4)
    keys: Tensor  # (B, L, 16)
    seen: Tensor | None = None  # (B, L, SURFACE_OUTPUTS), of networks with a surface tower

    @classmethod
    def of(cls, outputs: DenseOutputs) -> "Predictions":
        """What is learned of a network's outputs."""
        return cls(outputs.class_logits, outputs.boxes, outputs.keypoints, outputs.coordinates)


@dataclass(frozen=True)
class Counts:
    """What the losses of a batch are divided by, over all processes."""

    positives: Tensor  # () locations of objects
    regression: Tensor  # (C,) locations of each class that regress
    pose: Tensor  # (C,) of these with a pose


class CopeLoss:
    """All losses of one batch.

    Args:
        network: its pose head is evaluated at the regression locations.
        by_diameter: standardisation of the targets.
        config: weights and the point from which poses are supervised.
        ranks: the processes that share a batch; each one's losses are such that their mean
            over the processes is the loss of the whole batch.
        generator: chooses the locations that get a pose where there are too many.
    """

    def __init__(
        self,
        network: CopeNetwork,
        catalogue: Catalogue,
        by_diameter: bool,
        config: LossConfig,
        ranks: Ranks | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self.pose_head = network.pose_head
        self.n_classes = len(catalogue)
        self.by_diameter = by_diameter
        self.config = config
        self.ranks = ranks or Ranks()
        self.generator = generator
        self.corners = catalogue_corners(catalogue)
        self.diameters = catalogue_diameters(catalogue)

    def to(self, *target: Any) -> "CopeLoss":
        """Moves the objects' constants to a device or to a type, as ``Tensor.to``."""
        self.corners, self.diameters = self.corners.to(*target), self.diameters.to(*target)
        return self

    def __call__(
        self, predictions: Predictions, targets: Targets, progress: float = 1.0
    ) -> dict[str, Tensor]:
        """Weighted losses by name and their sum as ``total``.

        Args:
            progress: share of the training that is done, in [0, 1].
        """
        weights = self.config
        pose_rows = self._pose_rows(targets, progress)
        counts = self._count(targets, pose_rows)
        focal = focal_loss(_full(predictions.logits), targets.labels, counts.positives)
        losses = {"cls": weights.cls * focal}
        if counts.regression.any():
            losses |= self._regression(predictions, targets, pose_rows, counts)
        losses = {name: self.ranks.world * loss for name, loss in losses.items()}
        losses["total"] = torch.stack(list(losses.values())).sum()
        return losses

    def _pose_rows(self, targets: Targets, progress: float) -> Tensor:
        """Which of the P regression locations get a pose, int64."""
        config = self.config
        if not config.supervises_pose or progress < config.pose_start:
            return targets.rows[:0]
        most = max(1, config.max_pose_rows // self.ranks.world)
        if len(targets.rows) <= most:
            return torch.arange(len(targets.rows), device=targets.rows.device)
        order = torch.randperm(len(targets.rows), generator=self.generator)
        return order[:most].to(targets.rows.device)

    def _count(self, targets: Targets, pose_rows: Tensor) -> Counts:
        n = self.n_classes
        classes = targets.class_index[targets.instance]
        own = (
            (targets.labels >= 0).sum()[None],
            torch.bincount(classes, minlength=n),
            torch.bincount(classes[pose_rows], minlength=n),
        )
        total = self.ranks.total(torch.cat(own))
        return Counts(total[0], total[1 : 1 + n], total[1 + n :])

    def _regression(
        self, predictions: Predictions, targets: Targets, pose_rows: Tensor, counts: Counts
    ) -> dict[str, Tensor]:
        config, instance = self.config, targets.instance
        c = targets.class_index[instance]
        scales = output_scales(self.by_diameter, self.diameters[c], targets.strides)
        raw_box = _full(predictions.boxes.flatten(0, 1)[targets.rows])
        raw_key = _full(predictions.keys.flatten(0, 1)[targets.rows])
        centers = targets.centers
        box_target = (centers.repeat(1, 2) - targets.boxes[instance]) / scales.box[:, None]
        key_target = centers[:, None, None] - targets.keypoints[instance]
        key_target = (key_target / scales.key[:, None, None, None]).flatten(2)
        per_hypothesis = huber(raw_key.unsqueeze(1) - key_target, config.beta).mean(-1)
        choice = choose_hypothesis(per_hypothesis, instance, len(targets.class_index))
        key_error = per_hypothesis.gather(1, choice[instance, None]).squeeze(1)
        box_error = huber(raw_box - box_target, config.beta).mean(-1)
        losses = {
            "key": config.key * class_mean(key_error, c, counts.regression),
            "box": config.box * class_mean(box_error, c, counts.regression),
        }
        if (
            config.supervises_coordinates
            and predictions.seen is not None
            and predictions.seen.shape[-1]
        ):
            seen = _full(predictions.seen.flatten(0, 1)[targets.rows])
            looks = surface_errors(seen, targets, choice, self.corners, self.diameters, config.beta)
            for name, error in looks.items():
                losses[name] = getattr(config, name) * class_mean(error, c, counts.regression)
        if counts.pose.any():
            keypoints = decode_keypoints(raw_key, centers, scales.key)[pose_rows]
            errors = self._pose(keypoints, scales.key[pose_rows], targets, choice, pose_rows)
            classes = c[pose_rows]
            losses |= {k: class_mean(v, classes, counts.pose) for k, v in errors.items()}
        return losses

    def _pose(
        self, keypoints: Tensor, scale: Tensor, targets: Targets, choice: Tensor, rows: Tensor
    ) -> dict[str, Tensor]:
        """Weighted losses of each chosen location by name; ``keypoints`` and ``scale`` are theirs.

        ``choice`` is the keypoints' hypothesis of each instance: rotation, translation,
        projection and consistency take the same one.
        """
        instance = targets.instance[rows]
        c, K, pick = targets.class_index[instance], targets.K[instance], choice[instance]
        R_gt, t_gt = targets.R[instance, pick], targets.t[instance, pick]
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
        projected = geometry.project(points, K)
        unit = scale[:, None, None]
        if config.proj:
            truth = targets.keypoints[instance, pick]
            errors["proj"] = huber((projected - truth) / unit, config.beta).mean((1, 2))
            errors["proj"] = config.proj * errors["proj"]
        if config.cons:
            errors["cons"] = huber((projected - keypoints) / unit, config.beta).mean((1, 2))
            errors["cons"] = config.cons * errors["cons"]
        points_gt = geometry.transform(R_gt, t_gt, corners)
        if config.points:
            errors["points"] = config.points * self._matching(points, points_gt, c)
        if config.init and isinstance(self.pose_head, GeometricPoseHead):
            start = self.pose_head.initial_pose(keypoints.detach(), c, K)
            moved = geometry.transform(start[0], start[1], corners)
            errors["init"] = config.init * self._matching(moved, points_gt, c)
        return errors

    def _matching(self, points: Tensor, points_gt: Tensor, class_index: Tensor) -> Tensor:
        """(P,) mean distance of matching corners over the diameter, saturating at POINT_CAP."""
        distance = geometry.length(points - points_gt).mean(-1) / self.diameters[class_index]
        return POINT_CAP * distance / (POINT_CAP + distance)


def _full(values: Tensor) -> Tensor:
    """Mixed precision's half numbers as float32; others stay."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
