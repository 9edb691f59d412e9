"""Draws an object as the points of its surface: what a refiner compares an image with.

Fixed shapes, no mesh and no graphics library, so that it can be exported with the network.

Axes: N renderings, P points of each surface.
"""

import torch
from torch import Tensor

from cope_ros.core import geometry

CELL = 2  # px of the crop per cell of a rendering
CHANNELS = 7  # of a rendering: point x y z, normal x y z, covered


def render_points(
    surface: Tensor, R: Tensor, center: Tensor, K: Tensor, diameter: Tensor, size: int,
    cell: int = CELL,
) -> Tensor:  # fmt: skip
    """What of a surface is seen: in each cell the nearest point that faces the camera.

    Args:
        surface: (N, P, 6) m, points about the centre of the object's box and their normals.
        R: (N, 3, 3), p_cam = R p + center.
        center: (N, 3) m, of the object's box.
        K: (N, 3, 3) px of the crop, pixel centres at integers.
        diameter: (N,) m.
        size: px, side of the crop.

    Returns:
        (N, CHANNELS, size / CELL, size / CELL), channels_last in memory: the point about the
        centre in diameters, its normal, both in the camera's frame, one; zeros where there is
        no point.
    """
    side = size // cell
    turned = surface[..., :3] @ R.transpose(1, 2)
    normal = surface[..., 3:] @ R.transpose(1, 2)
    point = turned + center.unsqueeze(1)
    x, y = torch.floor((geometry.project(point, K) + 0.5) / cell).long().unbind(-1)
    seen = (x >= 0) & (x < side) & (y >= 0) & (y < side) & ((normal * point).sum(-1) < 0)
    nowhere = torch.full_like(x, side * side)
    place = torch.where(seen, y * side + x, nowhere)
    depth = point[..., 2]
    far = depth.new_full((len(depth), side * side + 1), float("inf"))
    nearest = far.scatter_reduce(1, place, depth, "amin")
    place = torch.where(depth <= nearest.gather(1, place), place, nowhere)
    values = torch.cat((turned / diameter[:, None, None], normal), -1)
    values = torch.cat((values, torch.ones_like(values[..., :1])), -1)
    drawing = values.new_zeros(len(values), side * side + 1, values.shape[-1])
    drawing = drawing.scatter(1, place.unsqueeze(-1).expand_as(values), values)
    return drawing[:, :-1].unflatten(1, (side, side)).permute(0, 3, 1, 2)
