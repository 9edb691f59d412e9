"""Where a mesh's contour lies in a view, to a fraction of a pixel.

An edge of the mesh is on the contour where one of its triangles faces the camera and the other does
not. Of those edges, the ones with nothing of the object beyond them are its contour.

Axes: N views, C classes, F triangles, E edges, S edges on the contour, L places on a contour,
P points of a surface, W px, side of a view.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cope_ros.core import geometry

MAX_CONTOUR_EDGES = 1024  # at once, of a mesh of some thousand triangles
OUTSIDE = 1.8  # px beyond a contour there is nothing of the object
INSIDE = 2.0  # px within it there is
GAP = 5  # px, of gaps between points of a surface
LEAST_LENGTH = 1.0  # px of a contour, else there is none


class Contour(NamedTuple):
    """Places along the contours of N views."""

    point: Tensor  # (N, L, 3) m, in the camera's frame
    pixel: Tensor  # (N, L, 2) px
    normal: Tensor  # (N, L, 2) of length one, away from the object
    valid: Tensor  # (N, L) bool: a contour was found


class ContourExtractor(nn.Module):
    """Finds the contours of all classes' meshes.

    Its buffers describe the meshes, about the centres of the objects' boxes; they are part of a
    model's weights.

    Args:
        n_classes: C.
        faces: F, most triangles of a mesh.
        edges: E, most edges of a mesh.
        count: L, places on each contour, at equal distances.
    """

    max_contour_edges: Final[int] = MAX_CONTOUR_EDGES
    outside: Final[float] = OUTSIDE
    inside: Final[float] = INSIDE
    least_length: Final[float] = LEAST_LENGTH
    planes: Tensor
    ends: Tensor
    sides: Tensor

    def __init__(self, n_classes: int, faces: int, edges: int, count: int) -> None:
        super().__init__()
        self.count = count
        # Of each triangle its normal n and d = n p, in m, of a point p on it.
        self.register_buffer("planes", torch.zeros(n_classes, faces, 4))
        self.register_buffer("ends", torch.zeros(n_classes, edges, 6))  # m, two points of each
        # The two triangles at each edge; a border names its one twice, -1 is no edge.
        self.register_buffer("sides", torch.full((n_classes, edges, 2), -1, dtype=torch.int32))

    def forward(
        self, class_index: Tensor, R: Tensor, center: Tensor, K: Tensor, covered: Tensor
    ) -> Contour:
        """Equally spaced places on the contours.

        Args:
            class_index: (N,) int64.
            R: (N, 3, 3), p_cam = R p + center.
            center: (N, 3) m, of the objects' boxes.
            K: (N, 3, 3) px.
            covered: (N, W, W), see ``cover``.
        """
        ends, on_contour = self._contour_edges(class_index, R, center)
        corner = ends.flatten(1, 2) @ R.transpose(1, 2) + center.unsqueeze(1)
        pixel = geometry.project(corner, K).unflatten(1, (-1, 2))
        along = pixel[:, :, 1] - pixel[:, :, 0]
        length = geometry.length(along)
        normal = torch.stack((along[..., 1], -along[..., 0]), -1) / length.unsqueeze(-1)
        middle = pixel.mean(2)
        inward = look_up(covered, middle + self.outside * normal) > 0
        normal = torch.where(inward.unsqueeze(-1), -normal, normal)
        free = look_up(covered, middle + self.outside * normal) <= 0
        backed = look_up(covered, middle - self.inside * normal) > 0
        weight = on_contour * length * (free & backed).to(R.dtype)
        point, normal, found = self._spaced(corner.unflatten(1, (-1, 2)), normal, weight)
        pixel = geometry.project(point, K)
        found = found & (look_up(covered, pixel + self.outside * normal) <= 0)
        return Contour(point, pixel, normal, found)

    def _contour_edges(
        self, class_index: Tensor, R: Tensor, center: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(N, S, 2, 3) m, edges in the object's frame, and (N, S) one where on the contour."""
        eye = -(R.transpose(1, 2) @ center.unsqueeze(-1))  # the camera in the object's frame
        eye = torch.cat((eye, -torch.ones_like(eye[:, :1])), 1)
        facing = (self.planes[class_index] @ eye).squeeze(-1) > 0
        sides = self.sides[class_index]
        first, second = sides[..., 0], sides[..., 1]
        silhouette = take(facing, first.clamp_min(0)) != take(facing, second.clamp_min(0))
        found = ((silhouette | (first == second)) & (first >= 0)).to(R.dtype)
        kept, row = found.topk(min(self.max_contour_edges, found.shape[1]), dim=1)
        row = row + class_index.unsqueeze(1) * self.ends.shape[1]
        return self.ends.flatten(0, 1)[row].unflatten(2, (2, 3)), kept

    def _spaced(
        self, corner: Tensor, normal: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Places at equal steps along all edges, put in a row by their lengths ``weight``.

        Args:
            corner: (N, S, 2, 3) m, ends of the edges.
            normal: (N, S, 2).
            weight: (N, S) px.

        Returns:
            (N, L, 3) m, (N, L, 2) and (N, L) bool, whether there is anything at all.
        """
        reached = weight.cumsum(1)
        total = reached[:, -1:].contiguous()
        steps = torch.arange(self.count, device=weight.device, dtype=weight.dtype)
        place = ((steps + 0.5) / self.count * total).contiguous()
        edge = torch.searchsorted(reached, place).clamp_max(weight.shape[1] - 1)
        left = (reached.gather(1, edge) - place) / weight.gather(1, edge).clamp_min(1e-6)
        share = left.clamp(0.0, 1.0).unsqueeze(-1)
        ends = take(corner.flatten(2), edge).unflatten(2, (2, 3))
        # A place between two pixels is nearer to the far end than one between two points.
        near, far = (1.0 - share) * ends[:, :, 0, 2:], share * ends[:, :, 1, 2:]
        point = ends[:, :, 1].lerp(ends[:, :, 0], far / (near + far).clamp_min(1e-6))
        return point, take(normal, edge), (total > self.least_length).expand(-1, self.count)


def cover(
    points: Tensor, R: Tensor, center: Tensor, K: Tensor, size: int, gap: int = GAP
) -> Tensor:
    """Which pixels of a view an object covers.

    Args:
        points: (N, P, 3) m, evenly on its surface, about the centre of its box.
        R, center: (N, 3, 3) and (N, 3) m.
        K: (N, 3, 3) px.
        size: W.
        gap: px; gaps as wide as that between points are closed.

    Returns:
        (N, W, W) one or zero.
    """
    pixel = geometry.project(points @ R.transpose(1, 2) + center.unsqueeze(1), K)
    x, y = torch.floor(pixel + 0.5).long().unbind(-1)
    seen = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    place = torch.where(seen, y * size + x, torch.full_like(x, size * size))
    grid = torch.zeros(len(points), size * size + 1, dtype=R.dtype, device=R.device)
    grid = grid.scatter(1, place, torch.ones_like(place, dtype=R.dtype))
    grid = grid[:, :-1].unflatten(1, (size, size))
    return -dilate(-dilate(grid, gap), gap)


def dilate(grid: Tensor, width: int) -> Tensor:
    """The largest of (N, W, W) values in squares of ``width``, an odd number of pixels.

    Pooling layers do the same several times slower on a CPU.
    """
    half = width // 2
    wide = F.pad(grid, (half, half, half, half), value=float("-inf"))
    return _largest(_largest(wide, width, 1), width, 2)


def _largest(values: Tensor, width: int, axis: int) -> Tensor:
    """The largest of each ``width`` values in a row; the axis gets shorter by ``width - 1``."""
    reach = 1
    while reach < width:
        step = min(reach, width - reach)
        count = values.shape[axis] - step
        values = torch.maximum(values.narrow(axis, 0, count), values.narrow(axis, step, count))
        reach += step
    return values


def look_up(grid: Tensor, pixel: Tensor) -> Tensor:
    """Values (N, P) of (N, W, W) at the pixels nearest to (N, P, 2) px; zero beyond."""
    side = grid.shape[1]
    x, y = torch.floor(pixel + 0.5).long().unbind(-1)
    seen = (x >= 0) & (x < side) & (y >= 0) & (y < side)
    place = (y * side + x).clamp(0, side * side - 1)
    return take(grid.flatten(1), place) * seen.to(grid.dtype)


def take(values: Tensor, row: Tensor) -> Tensor:
    """Rows (N, P) of (N, R, ...) values -> (N, P, ...)."""
    start = torch.arange(len(values), device=row.device).unsqueeze(1) * values.shape[1]
    return values.flatten(0, 1)[row + start]
