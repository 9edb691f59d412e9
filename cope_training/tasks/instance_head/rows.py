"""Which instances of a batch the instance head learns from.

Axes: B images, N padded instances of each, n of these that are drawn.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.refinement.instance_refinement import image_size
from cope_training.data.frame_batch import FrameBatch
from cope_training.tasks.instance_head.config import InstanceHeadTraining
from cope_training.tasks.instance_head.starts import Starts

NOWHERE = -2  # row of what is not in its image; instance maps have 1 + row, and 0 for background
CENTER_MARGIN = 0.1  # of the image's side, that an instance's centre may lie beyond it


class Rows(NamedTuple):
    """As many instances of each image, image by image: here N is the number of all."""

    image: Tensor  # (N,) int64
    row: Tensor  # (N,) int64, of the instance in its image
    class_index: Tensor  # (N,) int64
    counts: Tensor  # (N,) bool: instances to be learned from
    absent: Tensor  # (N,) bool: there is no such object, visible nowhere and never right
    R: Tensor  # (N, 3, 3) of the start
    t: Tensor  # (N, 3) m
    R_gt: Tensor  # (N, 3, 3) true; the start's of what is not there
    t_gt: Tensor  # (N, 3) m

    def joined(self, other: "Rows", images: int) -> "Rows":
        """These and others, image by image, as features are pooled; as many of each of B images."""
        pairs = zip(self, other, strict=True)
        each = ([x.unflatten(0, (images, -1)) for x in pair] for pair in pairs)
        return Rows(*(torch.cat(pair, 1).flatten(0, 1) for pair in each))


def draw_rows(
    starts: Starts, batch: FrameBatch, centers: Tensor, config: InstanceHeadTraining
) -> Rows:
    """A few instances of each image at random, or all.

    Args:
        starts: of all instances.
        batch: with the true poses.
        centers: (C, 3) m, of the objects' boxes.
        config: how many, and how well they have to be seen.
    """
    row, counts = _drawn(_counts(batch, centers, config.visibility), config.instances)
    image = torch.arange(len(row), device=row.device).unsqueeze(1).expand_as(row)
    starts_and_truth = (starts.R, starts.t, batch.R, batch.t)
    return Rows(
        image.flatten(),
        row.flatten(),
        batch.class_index[image, row].flatten(),
        counts.flatten(),
        torch.zeros_like(counts).flatten(),
        *(x[image, row].flatten(0, 1) for x in starts_and_truth),
    )


def _counts(batch: FrameBatch, centers: Tensor, visibility: float) -> Tensor:
    """(B, N) bool: seen well enough, the centre in the image or near it."""
    center = batch.t + (batch.R @ centers[batch.class_index].unsqueeze(-1)).squeeze(-1)
    place = geometry.project(center, batch.K) / image_size(batch.image)
    inside = ((place > -CENTER_MARGIN) & (place < 1.0 + CENTER_MARGIN)).all(-1)
    return batch.valid & inside & (batch.visibility >= visibility)


def _drawn(counts: Tensor, instances: int) -> tuple[Tensor, Tensor]:
    """(B, n) rows to learn from, those that count first, and whether they do."""
    total = counts.shape[1]
    few = min(instances or total, total)
    if few == total:
        return torch.arange(total, device=counts.device).expand_as(counts), counts
    row = (counts + torch.rand(counts.shape, device=counts.device)).topk(few, 1).indices
    return row, counts.gather(1, row)
