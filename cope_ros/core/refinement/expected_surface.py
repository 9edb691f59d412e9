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
    middle: Tensor
    reach: Tensor
    unit: Tensor
    axes: Tensor
    depths: Tensor
    mean: Tensor
    deviation: Tensor
    steps: Final[int] = STEPS
    behind: Final[int] = len(DEPTHS)
    gradient_step: Final[float] = GRADIENT_STEP
    voxels: Final[int]

    def __init__(self, objects: int, voxels: int) -> None:
        super().__init__()
        self.voxels = voxels
        # (C * G, G, G) over the diameter, of z y x, outside positive: objects one on the other.
        grids = torch.zeros(objects * voxels, voxels, voxels, dtype=torch.float16)
        self.register_buffer("distance", grids)
        self.register_buffer("color", torch.zeros(3, *grids.shape, dtype=torch.uint8))
        # Coordinates as ``grid_sample`` takes them, from -1 to 1 over all objects' grids.
        middle = torch.zeros(objects, 1, 3)
        middle[:, 0, 2] = (2.0 * torch.arange(objects) + 1.0) / objects - 1.0
        self.register_buffer("middle", middle, persistent=False)  # of each object's
        unit = torch.tensor([2.0, 2.0, 2.0 / objects]) / SIDE
        self.register_buffer("unit", unit, persistent=False)  # per diameter
        reach = 0.5 * SIDE * (1.0 - 1.0 / voxels) * unit
        self.register_buffer("reach", reach, persistent=False)  # to the last voxels' centres
        axes = torch.diag(unit) * self.gradient_step
        self.register_buffer("axes", axes, persistent=False)
        self.register_buffer("depths", torch.tensor(DEPTHS), persistent=False)
        self.register_buffer("mean", torch.tensor(IMAGENET.mean), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET.std), persistent=False)

    @torch.jit.export
    def volume(self) -> Tensor:
        """(1, 4, C * G, G, G) float32, what rays are traced through: distances and colours."""
        return torch.cat((self.distance[None].float(), self.color.float())).unsqueeze(0)

    def forward(
        self, volume: Tensor, enter: Tensor, way: Tensor, hit: Tensor, class_index: Tensor
    ) -> SurfacePoints:
        """Traces rays to surfaces.

        Args:
            volume: see ``volume``.
            enter: (N, P, 3) where rays enter the objects' boxes, over the diameter.
            way: (N, P, 3) directions of rays, of any length.
            hit: (N, P, 1) one where a ray meets the box; others stay where they start.
            class_index: (N,) int64.
        """
        # One image of the volume for each instance, without copies: CPUs share the images out.
        volumes = volume.expand(enter.shape[0], -1, -1, -1, -1)
        distances = volumes[:, :1]
        middle = self.middle[class_index]
        low, high = middle - self.reach, middle + self.reach
        unit = way * (hit * way.square().sum(-1, keepdim=True).rsqrt())
        start, step = torch.addcmul(middle, enter, self.unit), unit * self.unit
        passed = [torch.zeros_like(hit)]  # lengths of the ray, and the surface's distance there
        apart = [_look_up(distances, start, low, high)]
        for _ in range(self.steps):
            passed.append(passed[-1] + apart[-1])
            place = torch.addcmul(start, step, passed[-1])
            apart.append(_look_up(distances, place, low, high))
        nearest, number = torch.cat(apart, 2).abs().min(2, keepdim=True)
        nearest_length = torch.cat(passed, 2).gather(2, number)
        beyond = (nearest_length + self.depths).unsqueeze(-1)  # (N, P, depths, 1)
        within = torch.addcmul(start.unsqueeze(2), step.unsqueeze(2), beyond).flatten(1, 2)
        deepest = _look_up(distances, within, low, high).unflatten(1, (-1, self.behind)).amin(2)
        place = torch.addcmul(start, step, nearest_length)
        here = _look_up(volumes, place, low, high)
        aside = (place.unsqueeze(2) + self.axes).flatten(1, 2)
        rise = _look_up(distances, aside, low, high).view(enter.shape) - here[..., :1]
        return SurfacePoints(
            torch.addcmul(enter, unit, nearest_length),
            rise / self.gradient_step,
            torch.minimum(nearest, deepest),
            (here[..., 1:] - self.mean) / self.deviation * hit,
        )


def _look_up(volumes: Tensor, grid: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """(N, F, C * G, G, G) at (N, Q, 3) -> (N, Q, F); beyond a cube what its faces have."""
    grid = torch.clamp(grid, low, high)[:, None, None]
    return F.grid_sample(volumes, grid, align_corners=False).flatten(2).transpose(1, 2)
