"""Poses that make an object's contour part its colours from those around it.

What a network says of a pose is off by a few pixels. The contour in the image says more, where
colours change: from the pose follow which pixels show the object and which its surroundings, from
their histograms how likely each pixel is the object's, and from that, along lines across the
contour, where it lies and how sure that is. A few Gauss-Newton steps move the pose there, held by
what the network said (region-based pose estimation: Kehl et al. 2017; Stoiber et al. 2020, "A
sparse Gaussian approach to region-based 6DoF object tracking").

Nothing here is learned but what the refiner says of where the object is visible.

Axes: B images, M instances of each, N = B * M, C classes, W px, side of their crops, L lines, O
places on each; maps have H = W / SPARSE places a side.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cope_ros.core import geometry
from cope_ros.core.gauss_newton import apply_increment, increment
from cope_ros.core.network.presets import ContourFitConfig
from cope_ros.core.refinement.color_model import ColorModel
from cope_ros.core.refinement.contour import Contour, ContourExtractor, cover
from cope_ros.core.refinement.contour_lines import CorrespondenceLines
from cope_ros.core.refinement.crop_network import CROP_SCALE
from cope_ros.core.refinement.virtual_camera import look_at, sample_crops, source_pixels
from cope_ros.core.types import PoseBatch

SUBSAMPLE = 2  # every second pixel of each row and column is in the histograms
STEPS = (3, 2, 1, 1)  # px between the places of a line, of each Gauss-Newton step
ROTATION_SIGMA = math.radians(5.0)  # how far the poses given are off
LATERAL_SIGMA = 0.015  # of the diameter, across the ray
DEPTH_SIGMA = 0.03  # of the depth, along it


class ContourFit(nn.Module):
    """Moves poses so that contours lie where the colours change.

    Args:
        config: sizes.
        corners: (C, 8, 3) m, of each object's box.
        diameters: (C,) m.
    """

    rotation_sigma: Final[float] = ROTATION_SIGMA
    lateral_sigma: Final[float] = LATERAL_SIGMA
    depth_sigma: Final[float] = DEPTH_SIGMA
    min_depth: Final[float] = geometry.MIN_DEPTH
    centers: Tensor
    diameters: Tensor

    def __init__(self, config: ContourFitConfig, corners: Tensor, diameters: Tensor) -> None:
        super().__init__()
        self.size, self.crop_scale = config.size, config.crop_scale
        self.rounds, self.last = config.rounds, config.last
        self.zoom_out = config.crop_scale / CROP_SCALE
        self.subsample, self.side = SUBSAMPLE, config.size // SUBSAMPLE
        self.colors, self.lines = ColorModel(self.side), CorrespondenceLines(config.size)
        self.steps = list(STEPS)
        self.extractor = ContourExtractor(len(diameters), config.faces, config.edges, config.lines)
        self.register_buffer("centers", corners.mean(1), persistent=False)
        self.register_buffer("diameters", diameters.clone(), persistent=False)

    def forward(
        self,
        image: Tensor,
        poses: PoseBatch,
        around: Tensor,
        visible: Tensor,
        points: Tensor,
    ) -> tuple[PoseBatch, Tensor]:
        """Better poses of M instances of each image, and how much of their contours is seen.

        Args:
            image: (B, H, W, 3) uint8 RGB.
            poses: of the instances.
            around, visible: (B, M, 3) m and (B, M, V, V), see ``crop_network.RefinedPoses``.
            points: (C, P, 6) m, of each object's surface about its box's centre, and normals.

        Returns:
            Poses alike, and (B, M) the share of each contour that has the object's colours
            within, where it is visible: near one for an object, near zero for what is none.
        """
        K, class_index = poses.K, poses.class_index
        pixel = geometry.project(around.unsqueeze(-2), K.unsqueeze(1)).squeeze(-2)
        depth = around[..., 2].clamp_min(self.min_depth)
        side = self.crop_scale * K[:, None, 0, 0] * self.diameters[class_index] / depth
        camera = look_at(pixel, side, torch.zeros_like(side), K, self.size)
        crops = sample_crops(image, K, camera, self.size).flatten(0, 1)
        x, y = source_pixels(camera, K, self.size, self.subsample).flatten(0, 1).unbind(-1)
        shown = (x >= 0) & (y >= 0) & (x <= image.shape[2] - 1) & (y <= image.shape[1] - 1)
        R_crop_cam = camera.R_cam_crop.transpose(-1, -2)
        middle = self.centers[class_index].unsqueeze(-1)
        center = poses.R @ middle + poses.t.unsqueeze(-1)
        R_crop, center_crop, found = self.fit(
            crops,
            camera.K.flatten(0, 1),
            class_index.reshape(-1),
            (R_crop_cam @ poses.R).flatten(0, 1),
            (R_crop_cam @ center).squeeze(-1).flatten(0, 1),
            self._enlarged(visible.flatten(0, 1)),
            shown.unflatten(1, (self.side, self.side)).to(center.dtype),
            points,
        )
        R = camera.R_cam_crop @ R_crop.view_as(poses.R)
        center = camera.R_cam_crop @ center_crop.view_as(poses.t).unsqueeze(-1)
        refined = PoseBatch(class_index, R, (center - R @ middle).squeeze(-1), K)
        return refined, found.view_as(poses.t[..., 0])

    def fit(
        self,
        crops: Tensor,
        K: Tensor,
        class_index: Tensor,
        R: Tensor,
        center: Tensor,
        visible: Tensor,
        shown: Tensor,
        points: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same in N crops.

        Args:
            crops, K, class_index: (N, W, W, 3) uint8 RGB, (N, 3, 3) px and (N,).
            R, center: (N, 3, 3) and (N, 3) m in the crop's frame, of the box's centre.
            visible: (N, H, H) how likely each pixel shows the object.
            shown: (N, H, H) one where the crop shows a place in the image.
            points: as in ``forward``.
        """
        R_given, given = R, center
        surface = points[class_index][..., :3]
        prior = self._prior(class_index, given)
        planes = crops.permute(0, 3, 1, 2).float()
        few = crops[:, :: self.subsample, :: self.subsample]
        found = torch.zeros_like(given[:, :1])
        for step in self.steps:
            covered = cover(surface, R, center, K, self.size)
            part = covered[:, :: self.subsample, :: self.subsample]
            mine, theirs = self.colors(few, part, visible, shown)
            contour = self.extractor(class_index, R, center, K, covered)
            place = self.lines.places(contour, step)
            seen = self.lines.sample(planes, place).flatten(2).transpose(1, 2)
            before = self.lines.sample(visible.unsqueeze(1), place).flatten(1)
            own = self.colors.object_probability(mine, theirs, seen, before).view(place.shape[:3])
            offset, weight, found = self.lines(own, visible, shown, contour, step)
            J = contour_jacobian(contour, center, K)
            back = geometry.log_so3(R_given @ R.transpose(1, 2))
            back = torch.cat((back, given - center), 1)
            R, center = apply_increment(R, center, increment(J, offset, weight, prior, back))
        sound = torch.isfinite(center).all(-1) & torch.isfinite(R).flatten(1).all(-1)
        R = torch.where(sound[:, None, None], R, R_given)
        center = torch.where(sound[:, None], center, given)
        share = found.mean(1)
        return R, center, torch.where(sound & torch.isfinite(share), share, 0.0)

    def _enlarged(self, visible: Tensor) -> Tensor:
        """(N, V, V) of the refiner's crops -> (N, H, H) of these, zero beyond."""
        steps = torch.arange(self.side, device=visible.device)
        steps = (steps + 0.5) * (2.0 / self.side) - 1.0
        y, x = torch.meshgrid(steps * self.zoom_out, steps * self.zoom_out, indexing="ij")
        grid = torch.stack((x, y), -1).unsqueeze(0).expand(len(visible), -1, -1, -1)
        return F.grid_sample(visible.unsqueeze(1), grid, align_corners=False).squeeze(1)

    def _prior(self, class_index: Tensor, center: Tensor) -> Tensor:
        """(N, 6, 6) inverse covariance of the poses given: turn (rad) and move (m)."""
        rotation = center.new_full((), self.rotation_sigma)
        side = self.lateral_sigma * self.diameters[class_index]
        return geometry.pose_precision(center, rotation, side, self.depth_sigma * center[:, 2])


def contour_jacobian(contour: Contour, center: Tensor, K: Tensor) -> Tensor:
    """(N, L, 6) px outwards per turn (rad) about the centre and per move (m) of the object.

    Args:
        contour: of N views, L places.
        center: (N, 3) m.
        K: (N, 3, 3) px.
    """
    x, y = geometry.pixel_motion(contour.point, contour.point - center.unsqueeze(1), K)
    return contour.normal[..., :1] * x + contour.normal[..., 1:] * y
