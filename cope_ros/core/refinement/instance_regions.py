"""Grids of cells about posed objects, from which an instance head sees the shared features.

All is computed in the frame of the ray to each object's box, in units of its diameter and depth,
so that place, distance and camera do not matter.

Axes: B images, M instances of each, N = B * M, G cells a side, P = G * G, F features.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cope_ros.core import geometry

STRIDE = 4  # px, of the shared map
PICTURE_STRIDE = 2  # px of the image per pixel of the picture
PICTURE_CHANNELS = 12  # of the packed picture: three colours, two by two pixels
SAMPLES = 4  # of the picture, along a cell's side
REGION = 1.3  # side of a region in apparent diameters
MIN_SLOPE = 1e-6  # of a ray along an axis of the object, where it would divide by zero


class Regions(NamedTuple):
    """Grids of cells about N instances, in the frames of the rays to them."""

    pixels: Tensor  # (N, P, 2) px of the image
    points: Tensor  # (N, P, 2) normalised coordinates in the ray's frame
    inside: Tensor  # (N, P) one where the cell lies in the image
    R: Tensor  # (N, 3, 3) rotation in the ray's frame
    R_cam_ray: Tensor  # (N, 3, 3)
    center: Tensor  # (N, 3) m, of the object's box in the ray's frame
    scale: Tensor  # (N,) apparent diameter in normalised coordinates: diameter over depth


def pack_picture(image: Tensor, stride: int = PICTURE_STRIDE) -> Tensor:
    """(B, 3, H, W) normalised image -> (B, 12, H/4, W/4), its half as blocks of two by two."""
    return F.pixel_unshuffle(F.avg_pool2d(image, stride), 2)


def unpack_picture(packed: Tensor) -> Tensor:
    """(B, 12, H/4, W/4) of ``pack_picture`` -> (B, 3, H/2, W/2) float32."""
    return F.pixel_shuffle(packed.float(), 2)


class BoxRays(NamedTuple):
    """Rays of N regions' cells at the objects' boxes, in object's axes over the diameter."""

    points: Tensor  # (N, P, 3) from the box's centre, where they enter or else pass its middle
    ways: Tensor  # (N, P, 3) directions
    hit: Tensor  # (N, P, 1) one where the box is met


class RegionSampler(nn.Module):
    """Lays regions about poses and pools features in them.

    Args:
        cells: G.
        corners: (C, 8, 3) m, of each object's box.
        diameters: (C,) m.
    """

    cells: Final[int]
    stride: Final[int] = STRIDE
    region: Final[float] = REGION
    min_depth: Final[float] = geometry.MIN_DEPTH
    min_slope: Final[float] = MIN_SLOPE
    centers: Tensor
    diameters: Tensor
    halves: Tensor
    offsets: Tensor
    fine_offsets: Tensor
    samples: Final[int] = SAMPLES
    picture_stride: Final[int] = PICTURE_STRIDE

    def __init__(self, cells: int, corners: Tensor, diameters: Tensor) -> None:
        super().__init__()
        self.cells = cells
        self.register_buffer("centers", corners.mean(1), persistent=False)
        self.register_buffer("diameters", diameters.clone(), persistent=False)
        halves = 0.5 * (corners.amax(1) - corners.amin(1)) / diameters.unsqueeze(1)
        self.register_buffer("halves", halves, persistent=False)
        self.register_buffer("offsets", _grid(cells), persistent=False)
        self.register_buffer("fine_offsets", _grid(cells * self.samples), persistent=False)

    def forward(
        self, class_index: Tensor, R: Tensor, t: Tensor, K: Tensor, size: Tensor
    ) -> Regions:
        """Regions about N poses.

        Args:
            class_index: (N,) int64.
            R, t: (N, 3, 3) and (N, 3) m.
            K: (N, 3, 3) px.
            size: (2,) px, width and height of the image.
        """
        center = t + (R @ self.centers[class_index].unsqueeze(-1)).squeeze(-1)
        depth = center[:, 2].clamp_min(self.min_depth)
        middle = geometry.project(center.unsqueeze(1), K)
        side = self.region * K[:, 0, 0] * self.diameters[class_index] / depth
        pixels = middle + self.offsets * side[:, None, None]
        rays = geometry.unproject(pixels, K)
        rays = torch.cat((rays, torch.ones_like(rays[..., :1])), -1)
        R_cam_ray = geometry.rotation_to_ray(geometry.normalize(center))
        turned = rays @ R_cam_ray
        points = turned[..., :2] / turned[..., 2:].clamp_min(0.1)
        inside = ((pixels >= -0.5) & (pixels <= size - 0.5)).all(-1).to(R.dtype)
        to_ray = R_cam_ray.transpose(1, 2)
        center_ray = (to_ray @ center.unsqueeze(-1)).squeeze(-1)
        scale = self.diameters[class_index] / center_ray[:, 2].clamp_min(self.min_depth)
        return Regions(pixels, points, inside, to_ray @ R, R_cam_ray, center_ray, scale)

    @torch.jit.export
    def pool(self, features: Tensor, pixels: Tensor) -> Tensor:
        """Features of cells (RoIAlign with one sample each); zero beyond the map.

        Args:
            features: (B, F, H/4, W/4) float32: half precision would place cells whole pixels off.
            pixels: (N, P, 2) px, N = B * M.

        Returns:
            (N, P, F) float32.
        """
        batch, height, width = features.shape[0], features.shape[2], features.shape[3]
        grid = _normalized(pixels, self.stride * width, self.stride * height)
        grid = grid.view(batch, -1, self.cells * self.cells, 2)
        seen = F.grid_sample(features, grid, align_corners=False)
        return seen.permute(0, 2, 3, 1).flatten(0, 1)

    @torch.jit.export
    def windows(self, picture: Tensor, pixels: Tensor) -> Tensor:
        """The image about regions, several samples a cell; zero beyond it.

        Args:
            picture: (B, 3, H/2, W/2) float32, see ``unpack_picture``.
            pixels: (N, P, 2) px, N = B * M, of the cells' centres.

        Returns:
            (N, 3, 4 G, 4 G) float32, channels last.
        """
        batch, height, width = picture.shape[0], picture.shape[2], picture.shape[3]
        first, last = pixels[:, :1], pixels[:, -1:]
        side = (last - first) * (self.cells / (self.cells - 1.0))
        place = 0.5 * (first + last) + self.fine_offsets * side
        grid = _normalized(place, self.picture_stride * width, self.picture_stride * height)
        fine = self.cells * self.samples
        grid = grid.view(batch, -1, fine * fine, 2)
        seen = F.grid_sample(picture, grid, align_corners=False)
        return seen.permute(0, 2, 3, 1).reshape(-1, fine, fine, 3).permute(0, 3, 1, 2)

    @torch.jit.export
    def box_points(self, regions: Regions, class_index: Tensor) -> BoxRays:
        """Where cells' rays meet the object's box under the region's pose.

        Rays that miss it take the point of the plane through its centre.
        """
        way = torch.cat((regions.points, torch.ones_like(regions.points[..., :1])), -1)
        way = way @ regions.R  # rows times R: columns times R^T
        start = -regions.R[:, 2:] / regions.scale[:, None, None]  # (N, 1, 3) of the camera
        slope = torch.where(way.abs() < self.min_slope, torch.full_like(way, self.min_slope), way)
        half = self.halves[class_index].unsqueeze(1)
        first, second = (-half - start) / slope, (half - start) / slope
        enter = torch.minimum(first, second).amax(-1, keepdim=True)
        leave = torch.maximum(first, second).amin(-1, keepdim=True)
        hit = enter <= leave
        distance = torch.where(hit, enter, 1.0 / regions.scale[:, None, None])
        return BoxRays(start + way * distance, way, hit.to(way.dtype))


def _grid(side: int) -> Tensor:
    """(side * side, 2) x y of cells' centres over a square of side 1 about zero, row by row."""
    place = (torch.arange(side) + 0.5) / side - 0.5
    y, x = torch.meshgrid(place, place, indexing="ij")
    return torch.stack((x, y), -1).view(-1, 2)


def _normalized(pixels: Tensor, width: int, height: int) -> Tensor:
    """(..., 2) px of an image -> what ``grid_sample`` takes."""
    x = (pixels[..., 0] + 0.5) * (2.0 / width) - 1.0
    y = (pixels[..., 1] + 0.5) * (2.0 / height) - 1.0
    return torch.stack((x, y), -1)
