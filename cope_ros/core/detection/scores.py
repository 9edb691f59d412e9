"""From class logits to probabilities that mean what they say."""

import torch
from torch import Tensor

FOCAL_ALPHA = 0.25  # weight of the positives, as published
FOCAL_GAMMA = 2.0  # the closed form below holds for this exponent
EPS = 1e-6


def class_probability(logits: Tensor, alpha: float = FOCAL_ALPHA, eps: float = EPS) -> Tensor:
    """Posterior probability of each class from logits trained with the focal loss.

    The sigmoid ``p`` that minimises the focal loss is not the posterior ``q``: it shrinks
    towards one half and, with alpha below one half, down. Where the expected loss is
    stationary, ``q / (1 - q) = (1 - alpha) f(1 - p) / (alpha f(p))`` with
    ``f(p) = (1 - p)^2 / p - 2 (1 - p) log p`` (Charoenphakdee et al. 2021, with alpha).

    Args:
        logits: (...) float.

    Returns:
        (...) in [0, 1], growing with the logit; 0.5 where object and background are
        equally likely.
    """
    p = torch.sigmoid(logits).clamp(eps, 1.0 - eps)
    positive = (1.0 - p).square() / p - 2.0 * (1.0 - p) * torch.log(p)
    negative = p.square() / (1.0 - p) - 2.0 * p * torch.log(1.0 - p)
    object_side = (1.0 - alpha) * negative
    return object_side / (object_side + alpha * positive)
