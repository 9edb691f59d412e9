"""Poses of objects that are not there, so that the instance head learns to doubt them.

Axes: B images, L locations, C classes, N padded instances of each image, F poses of each.
"""

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.detection.decoding import decode_keypoints, output_scales
from cope_ros.core.detection.locations import make_locations
from cope_ros.core.detection.scores import class_probability
from cope_training.data.frame_batch import FrameBatch
from cope_training.tasks.dense.losses import CopeLoss, Predictions
from cope_training.tasks.dense.targets import IGNORE
from cope_training.tasks.instance_head.rows import NOWHERE, Rows

CLEAR = 0.5  # apparent sizes: a pose nearer to an object of its class may be refined to it


def absent_objects(
    predictions: Predictions,
    labels: Tensor,
    batch: FrameBatch,
    dense: CopeLoss,
    count: int,
) -> Rows:
    """The poses of likely classes at locations that show none of them: background or another.

    Args:
        predictions: of the network.
        labels: (B, L) of ``Targets``.
        batch: the images, with the true poses.
        dense: the objects' constants, and the head that makes poses of corners.
        count: F.
    """
    with torch.no_grad():
        chance = class_probability(predictions.logits.float())
        classes = torch.arange(chance.shape[-1], device=chance.device)
        chance = chance.masked_fill(labels.unsqueeze(-1) == classes, 0.0)
        chance = chance.masked_fill(labels.unsqueeze(-1) == IGNORE, 0.0)
        drawn = (chance * torch.rand_like(chance)).flatten(1).topk(count, 1)
        row = drawn.indices // len(classes)  # (B, F)
        c = drawn.indices % len(classes)
        height, width = batch.image.shape[1:3]
        centers, strides = make_locations(height, width, chance.device)
        scales = output_scales(dense.by_diameter, dense.diameters[c], strides[row])
        raw = predictions.keys.gather(1, row.unsqueeze(-1).expand(-1, -1, 16)).float()
        keypoints = decode_keypoints(raw, centers[row], scales.key)
        K = batch.K.unsqueeze(1).expand(-1, count, -1, -1)
        R, t = dense.pose_head(keypoints.flatten(0, 1), c.flatten(), K.flatten(0, 1))
        middle = _middles(R, t, dense.corners[c.flatten()]).view(*c.shape, 3)
        absent = (drawn.values > 0) & ~_near_their_class(c, middle, batch, dense)
        absent = absent.flatten() & (t[:, 2] > geometry.MIN_DEPTH) & t.isfinite().all(-1)
        # Rows that teach nothing are refined with the others, so that they have to be poses, too.
        R = torch.where(absent[:, None, None], R, torch.eye(3, device=R.device))
        t = torch.where(absent[:, None], t, torch.eye(3, device=R.device)[2])
        image = torch.arange(len(c), device=c.device).unsqueeze(1).expand_as(c).flatten()
        row = torch.full_like(image, NOWHERE)
        return Rows(image, row, c.flatten(), torch.zeros_like(absent), absent, R, t, R_gt=R, t_gt=t)


def _near_their_class(
    class_index: Tensor, middle: Tensor, batch: FrameBatch, dense: CopeLoss
) -> Tensor:
    """(B, F) bool, whether an object of that class, hidden or not, is at that place.

    Args:
        class_index: (B, F).
        middle: (B, F, 3) m, of the boxes.
    """
    true_middle = _middles(batch.R, batch.t, dense.corners[batch.class_index])
    pixel = geometry.project(middle, batch.K)
    true_pixel = geometry.project(true_middle, batch.K)
    depth = true_middle[..., 2].clamp_min(geometry.MIN_DEPTH)
    size = batch.K[:, :1, 0] * dense.diameters[batch.class_index] / depth  # (B, N) px
    distance = geometry.length(pixel.unsqueeze(2) - true_pixel.unsqueeze(1))  # (B, F, N)
    same = class_index.unsqueeze(2) == batch.class_index.unsqueeze(1)
    return (same & batch.valid.unsqueeze(1) & (distance < CLEAR * size.unsqueeze(1))).any(-1)


def _middles(R: Tensor, t: Tensor, corners: Tensor) -> Tensor:
    """(..., 3) m, the middles of posed boxes of (..., 8, 3) corners."""
    return geometry.transform(R, t, corners).mean(-2)
