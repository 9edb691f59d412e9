"""Training targets: which location answers for which instance, and what it should say."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.locations import STRIDES, make_locations, pyramid_level
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_training.data.frame_batch import DEPTH_UNIT, FrameBatch
from cope_training.data.frames import Frame
from cope_training.tasks.symmetric_poses import SymmetricPoses

BACKGROUND = -1
IGNORE = -2
PIXEL_OFFSET = 0.5  # px from a location's centre to the pixel whose label and depth it has


@dataclass(frozen=True)
class VisibilityRules:
    """What an instance's visible fraction entitles it to (paper, appendix B)."""

    foreground: float = 0.25  # below: background for the classification
    regression: float = 0.5  # from here on boxes, keypoints and poses are learned
    ignore: float = 0.25  # from here to ``foreground``: no classification loss at all
    min_locations: int = 2  # an object with fewer is background


@dataclass(frozen=True)
class Targets:
    """One batch. L locations, N instances of all images, P regression locations."""

    labels: Tensor  # (B, L) int64 class index, BACKGROUND or IGNORE
    rows: Tensor  # (P,) int64, into the flattened (B * L) locations
    instance: Tensor  # (P,) int64, into the instances below
    centers: Tensor  # (P, 2) float px
    strides: Tensor  # (P,) float px
    class_index: Tensor  # (N,) int64
    K: Tensor  # (N, 3, 3) float px
    R: Tensor  # (N, S, 3, 3) float, one per symmetric hypothesis
    t: Tensor  # (N, S, 3) float m
    keypoints: Tensor  # (N, S, 8, 2) float px
    boxes: Tensor  # (N, 4) float px, amodal
    depth: Tensor  # (P,) float m of the surface seen at the location, 0 where unknown

    def to(self, device: torch.device) -> "Targets":
        """The same on another device."""
        return Targets(**{k: v.to(device, non_blocking=True) for k, v in vars(self).items()})


class TargetBuilder:
    """Builds targets of batches of frames of equal size (paper, Eqs. 2 and 3), on any device.

    Args:
        catalogue: the objects.
        rules: visibility thresholds.
    """

    def __init__(self, catalogue: Catalogue, rules: VisibilityRules | None = None) -> None:
        self.rules = rules or VisibilityRules()
        self.corners = catalogue_corners(catalogue)
        self.diameters = catalogue_diameters(catalogue)
        self.symmetric = SymmetricPoses(catalogue)

    def to(self, device: torch.device) -> "TargetBuilder":
        """Moves the objects' constants."""
        self.corners, self.diameters = self.corners.to(device), self.diameters.to(device)
        self.symmetric.to(device)
        return self

    def __call__(self, frames: Sequence[Frame]) -> Targets:
        """Targets of a batch; frames without instances are fine."""
        return self.build(FrameBatch.of(frames))

    def build(self, batch: FrameBatch) -> Targets:
        """Targets of a batch; images without instances are fine."""
        height, width = batch.image.shape[1:3]
        centers, strides = make_locations(height, width, batch.image.device)
        image = torch.arange(len(batch.K), device=batch.K.device)
        image = image.unsqueeze(1).expand_as(batch.valid)[batch.valid]
        classes, K = batch.class_index[batch.valid], batch.K[image]
        instance = _instances_at_locations(batch)
        level = self._levels(classes, batch.t[batch.valid], K)
        labels, regress = self._assign(instance, level, classes, batch.visibility[batch.valid])
        rows = regress.flatten().nonzero().squeeze(1)
        within = rows % centers.shape[0]
        R, t = self.symmetric(batch.R[batch.valid], batch.t[batch.valid], classes)
        points = geometry.transform(R, t, self.corners[classes].unsqueeze(1))
        return Targets(
            labels=labels,
            rows=rows,
            instance=instance.flatten()[rows],
            centers=centers[within],
            strides=strides[within],
            class_index=classes,
            K=K,
            R=R,
            t=t,
            keypoints=geometry.project(points, K.unsqueeze(1)),
            boxes=batch.boxes[batch.valid],
            depth=_at_locations(batch.depth).flatten()[rows] * DEPTH_UNIT,
        )

    def _levels(self, class_index: Tensor, t: Tensor, K: Tensor) -> Tensor:
        depth = t[:, 2].clamp_min(geometry.MIN_DEPTH)
        return pyramid_level(K[:, 0, 0] * self.diameters[class_index] / depth)

    def _assign(
        self, instance: Tensor, level: Tensor, class_index: Tensor, visibility: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Labels (B, L) and whether each location regresses, (B, L) bool."""
        rules, seen = self.rules, instance >= 0
        if not len(class_index):
            return torch.full_like(instance, BACKGROUND), torch.zeros_like(seen)
        row = instance.clamp_min(0)
        on_level = seen & (level[row] == _location_levels(instance))
        count = torch.zeros_like(class_index)
        count = count.scatter_add(0, row.flatten(), on_level.flatten().long())
        on_level = on_level & (count >= rules.min_locations)[row]
        seen_fraction = visibility[row]
        positive = on_level & (seen_fraction >= rules.foreground)
        unsure = on_level & (seen_fraction >= rules.ignore) & ~positive
        labels = torch.where(positive, class_index[row], BACKGROUND)
        labels = torch.where(unsure, IGNORE, labels)
        return labels, positive & (seen_fraction >= rules.regression)


def _instances_at_locations(batch: FrameBatch) -> Tensor:
    """(B, L) row of the batch's instance seen at each location, -1 for none."""
    number = batch.valid.flatten().cumsum(0).view_as(batch.valid) - 1
    number = torch.where(batch.valid, number, -1)
    number = torch.cat((torch.full_like(number[:, :1], -1), number), 1)
    return number.gather(1, _at_locations(batch.instance).long())


def _location_levels(instance: Tensor) -> Tensor:
    """(L,) level of each location; a level has four times the next one's."""
    unit = instance.shape[1] // (1 + 4 + 16)
    counts = torch.tensor([16 * unit, 4 * unit, unit], device=instance.device)
    return torch.arange(len(STRIDES), device=instance.device).repeat_interleave(counts)


def _at_locations(maps: Tensor) -> Tensor:
    """(B, H, W) -> (B, L): the pixels at the locations' centres."""
    return torch.cat([maps[:, s // 2 :: s, s // 2 :: s].flatten(1) for s in STRIDES], 1)
