"""What each cell should show under the pose so far: rays traced to the object's surface.

Every object is a grid of signed distances and colours, through which each cell's ray is traced
for a fixed number of steps (sphere tracing, Hart 1996). The smallest distance along a ray,
negative within the object's outline, says where that outline lies, to a fraction of a cell.

Axes: N instances, P cells of each, C objects, G voxels a side.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cope_ros.core.network.backbone import IMAGENET

SIDE = 1.1  # of the grid's cube about the box's centre, in diameters
STEPS = 8
DEPTHS = (0.03, 0.08, 0.16, 0.3)  # diameters beyond the surface that rays are followed
GRADIENT_STEP = 0.02  # diameters, of normals


class SurfacePoints(NamedTuple):
    """Points of N objects that rays meet, or pass nearest to."""

    points: Tensor  # (N, P, 3) over the diameter, from the box's centre, object's axes
    normals: Tensor  # (N, P, 3) object's axes, not quite of unit length
    clearance: Tensor  # (N, P, 1) smallest signed distance of the ray, in diameters
    colors: Tensor  # (N, P, 3) RGB, normalised as images are


class ExpectedSurface(nn.Module):
    """Signed distances and colours of objects, and rays traced through them.

    Args:
        objects: C.
        voxels: G.
    """

    distance: Tensor
    color: Tensor
    axes: Tensor
    layer: Tensor
    unit: Tensor
    depths: Tensor
    mean: Tensor
    deviation: Tensor
    steps: Final[int] = STEPS
    behind: Final[int] = len(DEPTHS)
    side: Final[float] = SIDE
    gradient_step: Final[float] = GRADIENT_STEP
    voxels: Final[int]
    extent: Final[float]
    last: Final[float]

    def __init__(self, objects: int, voxels: int) -> None:
        super().__init__()
        self.voxels, self.extent, self.last = voxels, float(voxels), voxels - 1.0
        # (C * G, G, G) over the diameter, of z y x, outside positive: objects one on the other.
        grids = torch.zeros(objects * voxels, voxels, voxels, dtype=torch.float16)
        self.register_buffer("distance", grids)
        self.register_buffer("color", torch.zeros(3, *grids.shape, dtype=torch.uint8))
        self.register_buffer("axes", torch.eye(3) * self.gradient_step, persistent=False)
        self.register_buffer("layer", torch.tensor([0.0, 0.0, voxels]), persistent=False)
        unit = 2.0 / torch.tensor([voxels, voxels, objects * voxels])
        self.register_buffer("unit", unit, persistent=False)
        depths = torch.tensor(DEPTHS).unsqueeze(-1)
        self.register_buffer("depths", depths, persistent=False)
        self.register_buffer("mean", torch.tensor(IMAGENET.mean), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET.std), persistent=False)

    def forward(
        self, enter: Tensor, way: Tensor, hit: Tensor, class_index: Tensor
    ) -> SurfacePoints:
        """Traces rays to surfaces.

        Args:
            enter: (N, P, 3) where rays enter the objects' boxes, over the diameter.
            way: (N, P, 3) directions of rays, of any length.
            hit: (N, P, 1) one where a ray meets the box; others stay where they start.
            class_index: (N,) int64.
        """
        volume = torch.cat((self.distance[None].float(), self.color.float())).unsqueeze(0)
        distances = volume[:, :1]
        unit = way / way.square().sum(-1, keepdim=True).sqrt() * hit
        point = points = enter
        distance = self._look_up(distances, point, class_index)
        nearest = distance.abs()
        for _ in range(self.steps):
            point = point + unit * distance
            distance = self._look_up(distances, point, class_index)
            nearer = distance.abs() < nearest
            points = torch.where(nearer, point, points)
            nearest = torch.where(nearer, distance.abs(), nearest)
        within = (points.unsqueeze(2) + unit.unsqueeze(2) * self.depths).flatten(1, 2)
        deepest = self._look_up(distances, within, class_index).unflatten(1, (-1, self.behind))
        clearance = torch.minimum(nearest, deepest.amin(2))
        here = self._look_up(volume, points, class_index)
        aside = (points.unsqueeze(2) + self.axes).flatten(1, 2)
        rise = self._look_up(distances, aside, class_index).view(points.shape) - here[..., :1]
        colors = (here[..., 1:] - self.mean) / self.deviation
        return SurfacePoints(points, rise / self.gradient_step, clearance, colors * hit)

    def _look_up(self, volume: Tensor, points: Tensor, class_index: Tensor) -> Tensor:
        """(1, F, C * G, G, G) at (N, Q, 3) -> (N, Q, F); beyond the cube what its faces have."""
        inside = (points / self.side + 0.5) * self.extent - 0.5
        place = inside.clamp(0.0, self.last) + class_index.view(-1, 1, 1) * self.layer
        grid = (place + 0.5) * self.unit - 1.0
        # One image of the volume for each instance, without copies: CPUs share the images out.
        volumes = volume.expand(points.shape[0], -1, -1, -1, -1)
        seen = F.grid_sample(volumes, grid[:, None, None], align_corners=False)
        return seen.flatten(2).transpose(1, 2)
