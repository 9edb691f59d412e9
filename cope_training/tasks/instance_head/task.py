"""Dense outputs and instance head, trained together or the head alone.

Axes: B images, N padded instances of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.averaging import SymmetryAligner
from cope_ros.core.detection.decoding import decode_keypoints, output_scales
from cope_ros.core.errors import CopeError
from cope_ros.core.network.cope_network import CopeNetwork, catalogue_corners
from cope_ros.core.network.pose_head import GeometricPoseHead
from cope_ros.core.refinement.instance_refinement import image_size
from cope_training.data.frame_batch import FrameBatch
from cope_training.data.frames import Frame
from cope_training.tasks.computation import mixed_precision
from cope_training.tasks.dense.losses import CopeLoss, Predictions
from cope_training.tasks.dense.targets import TargetBuilder, Targets
from cope_training.tasks.instance_head.absent import absent_objects
from cope_training.tasks.instance_head.config import InstanceHeadTraining
from cope_training.tasks.instance_head.losses import (
    InstanceHeadLoss,
    Truth,
    cells_of,
)
from cope_training.tasks.instance_head.rows import Rows, draw_rows
from cope_training.tasks.instance_head.starts import Starts, displaced, from_dense


@dataclass(frozen=True)
class InstanceHeadTargets:
    """What a batch should give."""

    dense: Targets
    batch: FrameBatch

    def to(self, device: torch.device) -> "InstanceHeadTargets":
        """The same on another device."""
        return InstanceHeadTargets(self.dense.to(device), self.batch.to(device))


class InstanceHeadTargetBuilder:
    """Targets of both stages."""

    def __init__(self, dense: TargetBuilder) -> None:
        self.dense = dense

    def to(self, device: torch.device) -> "InstanceHeadTargetBuilder":
        """Moves the objects' constants."""
        self.dense.to(device)
        return self

    def __call__(self, frames: Sequence[Frame]) -> InstanceHeadTargets:
        """Targets of a batch of frames."""
        return self.build(FrameBatch.of(frames))

    def build(self, batch: FrameBatch) -> InstanceHeadTargets:
        """Targets of a batch of tensors."""
        return InstanceHeadTargets(self.dense.build(batch), batch)


class InstanceHeadTask(nn.Module):
    """Dense outputs, and refined poses of starts on the features they share.

    Args:
        network: with an instance head.
        catalogue: its objects.
        dense: losses of the dense outputs; None trains the head alone.
        targets: makes the targets.
        config: settings.
        bfloat16: whether layers compute with it, see ``mixed_precision``.
    """

    def __init__(
        self,
        network: CopeNetwork,
        catalogue: Catalogue,
        dense: CopeLoss,
        targets: InstanceHeadTargetBuilder,
        config: InstanceHeadTraining,
        bfloat16: bool,
    ) -> None:
        super().__init__()
        if network.instance_head is None or not isinstance(network.pose_head, GeometricPoseHead):
            raise CopeError("task joint: expected a preset with an instance head")
        if network.crop_head is not None:  # it has a task of its own
            network.crop_head.requires_grad_(False)
        self.network, self.targets, self.config = network, targets, config
        self.mixed = bfloat16
        self.align = SymmetryAligner(catalogue)
        corners = catalogue_corners(catalogue)
        self.loss = JointLoss(dense, InstanceHeadLoss(network.instance_head, corners, config))

    @property
    def trained(self) -> CopeNetwork:
        """The part that learns."""
        return self.network

    def forward(
        self, images: Tensor, targets: InstanceHeadTargets, progress: float
    ) -> dict[str, Tensor]:
        """(B, H, W, 3) uint8 images and their targets -> losses and shares of right poses."""
        with mixed_precision(images.device, self.mixed):
            outputs = self.network(images)
        predictions = Predictions.of(outputs)
        losses = self.loss.dense(predictions, targets.dense, progress)
        rows = self._rows(predictions, targets, progress)
        own = self._refine(outputs.shared, rows, targets.batch)  # geometry, in full precision
        losses |= own
        weighted = [v for k, v in own.items() if not k.startswith("right")]
        losses["total"] = losses["total"] + torch.stack(weighted).sum()
        return losses

    def _rows(
        self, predictions: Predictions, targets: InstanceHeadTargets, progress: float
    ) -> Rows:
        """Instances that are there, and once dense poses are worth it some that are not."""
        head, batch, config = self.network.instance_head, targets.batch, self.config
        assert head is not None
        starts = self._starts(predictions, targets, progress)
        rows = draw_rows(starts, batch, head.regions.centers, config)
        if progress < config.dense_from or not config.absent:
            return rows
        labels = targets.dense.labels
        other = absent_objects(predictions, labels, batch, self.loss.dense, config.absent)
        return rows.joined(other, len(batch.K))

    def _starts(
        self, predictions: Predictions, targets: InstanceHeadTargets, progress: float
    ) -> Starts:
        head, batch, dense = self.network.instance_head, targets.batch, targets.dense
        assert head is not None
        starts = displaced(batch, head.regions.centers, head.regions.diameters, None)
        if progress < self.config.dense_from or self.config.dense_share <= 0:
            return starts
        raw = predictions.keys.flatten(0, 1)[dense.rows].detach().float()
        loss = self.loss.dense
        c = dense.class_index[dense.instance]
        scales = output_scales(loss.by_diameter, head.regions.diameters[c], dense.strides)
        keypoints = decode_keypoints(raw, dense.centers, scales.key)
        share, pose_head = self.config.dense_share, self.network.pose_head
        assert isinstance(pose_head, GeometricPoseHead)
        return from_dense(starts, share, keypoints, dense, batch, pose_head, head.regions.diameters)

    def _refine(self, shared: Tensor, rows: Rows, batch: FrameBatch) -> dict[str, Tensor]:
        """Weighted losses of all rounds and the share of right poses before and after."""
        head = self.network.instance_head
        assert head is not None
        size, K, classes = image_size(batch.image), batch.K[rows.image], rows.class_index
        R, t, R_gt, t_gt = rows.R, rows.t, rows.R_gt, rows.t_gt
        maps = head.maps(shared)
        totals: dict[str, Tensor] = {}
        for number in range(self.config.rounds):
            R_gt, t_gt = self.align(R_gt, t_gt, R, classes)
            truth = Truth(rows.image, rows.row, classes, rows.counts, rows.absent, R_gt, t_gt, K)
            regions = head.regions(classes, R, t, K, size)
            cells = cells_of(batch, truth, regions)
            prediction = head(maps, classes, regions)
            fitted = head.fit(prediction, classes, regions)
            losses, distance = self.loss.head(prediction, fitted, regions, truth, cells)
            for name, value in losses.items():
                weighted = self.config.weight * value / self.config.rounds
                totals[f"head_{name}"] = totals.get(f"head_{name}", 0.0) + weighted
            counted = (distance >= 0).float().sum().clamp_min(1.0)
            right = ((distance >= 0) & (distance < 0.1)).float().sum() / counted
            totals[f"right{number + 1}"] = right
            R, t = fitted.R.detach(), fitted.t.detach()
        return totals


class JointLoss:
    """Both stages' losses."""

    def __init__(self, dense: CopeLoss, head: InstanceHeadLoss) -> None:
        self.dense, self.head = dense, head

    def to(self, device: torch.device) -> "JointLoss":
        """Moves the constants."""
        self.dense.to(device)
        self.head.to(device)
        return self
