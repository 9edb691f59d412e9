"""What the corners' tower is to see before it says where they are; see ``heads.KeyTower``.

P regression locations, N instances, S symmetric hypotheses.
"""

import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.detection.decoding import STRIDE_SCALE
from cope_training.tasks.dense.targets import PIXEL_OFFSET, Targets
from cope_training.tasks.loss_terms import huber

UNIT = 0.25  # coordinates in quarters of the diameter, logarithms in quarters: order one


def surface_errors(
    seen: Tensor, targets: Targets, choice: Tensor, corners: Tensor, diameters: Tensor, beta: float
) -> dict[str, Tensor]:
    """Errors of each location by name.

    Args:
        seen: (P, 4) the tower's outputs: object coordinates from the box's centre over the
            diameter, and the logarithm of focal length times diameter over the centre's depth
            over the location's scale; both over UNIT.
        choice: (N,) int64, the symmetric hypothesis of each instance.
        corners, diameters: (C, 8, 3) and (C,) m, of all classes.
        beta: huber's turn.

    Returns:
        ``surface``, zero where the depth is unknown, and ``size``; (P,) each.
    """
    instance = targets.instance
    c, K, pick = targets.class_index[instance], targets.K[instance], choice[instance]
    R, t = targets.R[instance, pick], targets.t[instance, pick]
    middle, diameter = corners.mean(1)[c], diameters[c]
    pixels = (targets.centers + PIXEL_OFFSET).unsqueeze(1)
    ray = torch.cat((geometry.unproject(pixels, K).squeeze(1), torch.ones_like(t[:, :1])), 1)
    p_obj = (R.transpose(1, 2) @ (ray * targets.depth[:, None] - t).unsqueeze(-1)).squeeze(-1)
    coordinates = (p_obj - middle) / (UNIT * diameter[:, None])
    known = (targets.depth > 0).to(seen.dtype)
    depth = ((R @ middle.unsqueeze(-1)).squeeze(-1) + t)[:, 2].clamp_min(geometry.MIN_DEPTH)
    apparent = K[:, 0, 0] * diameter / depth
    size = torch.log(apparent / (STRIDE_SCALE * targets.strides)) / UNIT
    return {
        "surface": known * huber(seen[:, :3] - coordinates, beta).mean(-1),
        "size": huber(seen[:, 3] - size, beta),
    }
