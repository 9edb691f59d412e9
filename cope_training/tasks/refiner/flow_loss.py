"""What flows of N crops are to say: where each drawn place is seen, and whether it is."""

import torch
from torch import Tensor
from torch.nn import functional as F

from cope_ros.core import geometry
from cope_ros.core.refinement.flow import Flow, log_likelihood
from cope_training.tasks.refiner.targets import FINE, RefinerTargets

TOLERANCE = 0.04  # of the diameter, in depth, up to which it is the place that is seen


def flow_errors(flow: Flow, targets: RefinerTargets, diameter: Tensor) -> dict[str, Tensor]:
    """Mean errors by name.

    Args:
        flow: of N crops, P places.
        targets: what is true in them.
        diameter: (N,) m.

    Returns:
        ``flow``, the negative logarithm of the likelihood of where seen places are, with tails
        that fall exponentially; ``seen``, the cross-entropy of being seen, of drawn places.
    """
    turn = targets.R @ flow.R.transpose(1, 2)
    point = flow.point @ turn.transpose(1, 2) + targets.center.unsqueeze(1)
    pixel = geometry.project(point, targets.K)
    shown = (flow.rendered > 0) & is_seen(pixel, point[..., 2], targets.depth, TOLERANCE * diameter)
    seen = shown.to(pixel.dtype)
    surprise = -log_likelihood(flow.sqrt_information, pixel - flow.pixel)
    doubt = F.binary_cross_entropy_with_logits(flow.seen, seen, reduction="none")
    return {
        "flow": (surprise * seen).sum() / seen.sum().clamp_min(1.0),
        "seen": (doubt * flow.rendered).sum() / flow.rendered.sum().clamp_min(1.0),
    }


def is_seen(pixel: Tensor, z: Tensor, depth: Tensor, tolerance: Tensor) -> Tensor:
    """(N, P) bool: a map has about that depth at a pixel or beside it.

    Args:
        pixel: (N, P, 2) px of the crop.
        z: (N, P) m.
        depth: (N, S/FINE, S/FINE) m, zero where it shows something else.
        tolerance: (N,) m.
    """
    side = depth.shape[-1]
    place = (pixel / FINE).round().long()
    flat = depth.flatten(1)
    seen = torch.zeros_like(z, dtype=torch.bool)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            x, y = place[..., 0] + dx, place[..., 1] + dy
            inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
            there = flat.gather(1, (y * side + x).clamp(0, side * side - 1))
            close = (there - z).abs() < tolerance.unsqueeze(1)
            seen |= inside & (there > 0) & close
    return seen
