"""The refiner's task: it corrects what the crop head says, and random poses."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.averaging import SymmetryAligner
from cope_ros.core.refinement.crop_head import CropHead
from cope_ros.core.refinement.crop_network import STRIDE
from cope_ros.core.refinement.refiner import Refiner
from cope_ros.core.refinement.virtual_camera import VirtualCamera, sample_crops, source_pixels
from cope_training.tasks.crop_head.targets import points_seen
from cope_training.tasks.refiner.loss import RefinerLoss
from cope_training.tasks.refiner.targets import (
    FINE,
    RefinerSampleBuilder,
    RefinerSamples,
    RefinerTargets,
    displaced,
)

MAX_CORRECTION = math.radians(50.0)  # none leads from another side of an object


class RefinerCrops(NamedTuple):
    """The refiner's crops of N wider ones."""

    images: Tensor  # (N, S, S, 3) uint8 RGB
    targets: RefinerTargets
    R_wide_crop: Tensor  # (N, 3, 3), from the crops' frames to those of the wider ones


class RefinerTask(nn.Module):
    """Crops around single instances; all but the refiner stays as it is.

    The refiner sees poses that are wrong as they are when it is used: the crop head looks at the
    same, augmented crops, and the refiner's own are laid about what it says.
    """

    def __init__(
        self,
        refiner: Refiner,
        crop_head: CropHead,
        catalogue: Catalogue,
        loss: RefinerLoss,
        targets: RefinerSampleBuilder,
    ) -> None:
        super().__init__()
        self.part, self.loss, self.targets = refiner, loss, targets
        self.crop_head = crop_head.requires_grad_(False)
        self.align = SymmetryAligner(catalogue).to(crop_head.diameters.device)

    @property
    def trained(self) -> Refiner:
        """The part that learns."""
        return self.part

    def forward(
        self, wide_crops: Tensor, samples: RefinerSamples, progress: float
    ) -> dict[str, Tensor]:
        """(N, W, W, 3) uint8 crops with a margin and what is true of them -> losses."""
        crops, part = self.cut_crops(wide_crops, samples), self.part
        c, R, center, K = crops.targets.given
        delta, features = part.predict_delta(crops.images, c, R, center, K)
        if part.flow is None:
            return self.loss(delta, crops.targets)
        with torch.no_grad():
            R, center = part.apply_delta(delta, R, center, K)
            R, center = self._jitter(R, center, samples)
        flow = part.predict_flow(features, c, R, center, K)
        fitted = part.flow.fit(flow, K, part.diameters[c])
        return self.loss(delta, crops.targets, flow, fitted)

    def _jitter(self, R: Tensor, center: Tensor, samples: RefinerSamples) -> tuple[Tensor, Tensor]:
        """Poses from which flows start: photographs mislead as renderings do not."""
        diameter = self.part.diameters[samples.class_index]
        return samples.jitter_rotation @ R, displaced(center, samples.jitter_displacement, diameter)

    @torch.no_grad()
    def cut_crops(self, wide_crops: Tensor, samples: RefinerSamples) -> RefinerCrops:
        """Crops about the wrong poses."""
        c, size = samples.class_index, self.part.size
        R, center = self._starts(wide_crops, samples)
        zoom, roll = samples.zoom.unsqueeze(1), torch.zeros_like(samples.zoom).unsqueeze(1)
        at = c.unsqueeze(1), center.unsqueeze(1)
        camera = self.part.cameras_at(*at, samples.K, zoom, roll)
        R_crop_cam = camera.R_cam_crop[:, 0].transpose(1, 2)
        R_true, t_true = self.align(samples.R, samples.t, R, c)
        middle = self.part.centers[c].unsqueeze(-1)
        center_true = R_true @ middle + t_true.unsqueeze(-1)
        seen, points = _labels(samples, camera, size)
        points = (R_crop_cam[:, None, None] @ points.unsqueeze(-1)).squeeze(-1)
        coarse = slice(STRIDE // 2 // FINE, None, STRIDE // FINE)
        near = geometry.rotation_angle(R_true, R) < MAX_CORRECTION
        targets = RefinerTargets(
            class_index=c,
            K=camera.K[:, 0],
            visible=seen[:, coarse, coarse],
            points=points[:, coarse, coarse],
            R_start=R_crop_cam @ R,
            center_start=(R_crop_cam @ center.unsqueeze(-1)).squeeze(-1),
            R=R_crop_cam @ R_true,
            center=(R_crop_cam @ center_true).squeeze(-1),
            depth=points[..., 2] * seen,
            near=near.to(points.dtype),
        )
        shown = sample_crops(wide_crops, samples.K, camera, size).squeeze(1)
        return RefinerCrops(shown, targets, camera.R_cam_crop[:, 0])

    def _starts(self, wide_crops: Tensor, samples: RefinerSamples) -> tuple[Tensor, Tensor]:
        """(N, 3, 3) and (N, 3) m wrong poses: the crop head's where wanted, hopeless ones, too."""
        R, center = samples.R_start.clone(), samples.center_start.clone()
        rows = samples.found.nonzero().squeeze(1)
        if len(rows):
            margin = (wide_crops.shape[1] - self.crop_head.size) // 2
            inner = slice(margin, margin + self.crop_head.size)
            K = samples.K[rows]
            K[:, :2, 2] -= margin
            c = samples.class_index[rows]
            prediction = self.crop_head(wide_crops[rows, inner, inner], c)
            R[rows], center[rows] = self.crop_head.pose(prediction, c, K)
        return R, center


def _labels(samples: RefinerSamples, camera: VirtualCamera, size: int) -> tuple[Tensor, Tensor]:
    """What crops show at each FINEth pixel: (N, h, h) seen or not, (N, h, h, 3) m, not turned."""
    side = -(-size // FINE)
    pixels = source_pixels(camera, samples.K, size, FINE).view(-1, side, side, 2).round()
    place, most = pixels.long(), samples.depth.shape[-1]
    inside = ((place >= 0) & (place < most)).all(-1)
    x, y = place.clamp(0, most - 1).unbind(-1)
    rows = torch.arange(len(place), device=place.device).view(-1, 1, 1)
    points = points_seen(pixels, samples.depth[rows, y, x] * inside, samples.K)
    return (samples.own[rows, y, x] & inside).to(points.dtype), points
