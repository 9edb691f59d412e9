"""What the losses are made of; see losses.py.

P regression locations, S symmetric hypotheses, C classes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core.detection.scores import FOCAL_ALPHA, FOCAL_GAMMA
from cope_training.tasks.dense.targets import IGNORE


def focal_loss(logits: Tensor, labels: Tensor, positives: Tensor | None = None) -> Tensor:
    """Focal loss, summed over locations and classes, divided by the number of positives.

    Args:
        logits: (B, L, C).
        labels: (B, L) int64 class index, BACKGROUND or IGNORE.
        positives: () divisor, the number of labels >= 0 where not given.
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
    positives = (labels >= 0).sum() if positives is None else positives
    return loss.sum() / positives.clamp_min(1)


def huber(error: Tensor, beta: float) -> Tensor:
    """Smooth L1, elementwise: quadratic below ``beta``, slope one above."""
    return F.smooth_l1_loss(error, torch.zeros_like(error), beta=beta, reduction="none")


def class_mean(values: Tensor, class_index: Tensor, count: Tensor) -> Tensor:
    """Mean over classes of the mean over each class's locations (paper, Eq. 4).

    Args:
        values: (P,) loss of each location.
        class_index: (P,) int64.
        count: (C,) locations of each class, of other processes too.

    Returns:
        () mean over the classes that are present; zero without any.
    """
    total = values.new_zeros(len(count)).index_add(0, class_index, values)
    count = count.to(values.dtype)
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
