"""Looking at single instances: what crop head and refiner have in common.

Each instance is seen through a virtual camera (``virtual_camera``) that looks straight at where
it seems to be and shows it at one size, in a crop of S px.

Axes: B images, M instances of each, V augmentations of each instance, N = B * M * V crops.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.network import backbone as backbones
from cope_ros.core.network.layers import conv_layer, upsample
from cope_ros.core.network.presets import CropHeadConfig, RefinerConfig
from cope_ros.core.refinement.virtual_camera import VirtualCamera, look_at, sample_crops
from cope_ros.core.types import PoseBatch, box_centers, repeat_poses

CROP_SCALE = 1.25  # side of a crop in apparent diameters of its object
STRIDE = 8  # px between the points at which the surface is described
SURFACE_OUTPUTS = 4  # object coordinates x y z, logit of being visible
SURFACE_UNIT = 0.25  # object coordinates about the box's centre, in quarters of the diameter
POSE_STRIDE = 16  # px, of the map that a pose is read from
# Zoom and turn (rad) of the augmentations of the last round; the first is the plain one.
TTA = ((1.0, 0.0), (1.15, 0.12), (0.88, -0.12), (1.07, -0.12), (0.95, 0.12))


class RefinedPoses(NamedTuple):
    """What came of looking at M instances of B images."""

    R: Tensor  # (B, M, V, 3, 3) rotations, one of each view
    t: Tensor  # (B, M, V, 3) m
    center: Tensor  # (B, M, 3) m, where the last crops took the middles of the boxes to be
    visible: Tensor  # (B, M, S/8, S/8) probability of seeing the object, in the plain view there
    log_likelihood: Tensor  # (B, M) of the unaugmented crop's pose, up to a constant


class PoseCandidates(NamedTuple):
    """G poses of each of M instances of B images, likeliest first."""

    R: Tensor  # (B, M, G, 3, 3)
    t: Tensor  # (B, M, G, 3) m
    log_probability: Tensor  # (B, M, G) logarithm of how likely each is


class CropBatch(NamedTuple):
    """One crop of each of M poses of B images, N = B * M; poses are in the crops' frames."""

    images: Tensor  # (N, S, S, 3) uint8 RGB
    class_index: Tensor  # (N,) int64
    R: Tensor  # (N, 3, 3)
    center: Tensor  # (N, 3) m, of the boxes
    K: Tensor  # (N, 3, 3) px
    R_cam_crop: Tensor  # (B, M, 3, 3)


class CropNetwork(nn.Module, ABC):
    """A module that reads poses off crops; ``estimate`` says how.

    It has a backbone of its own up to stride 16, and layers that describe what is seen at each
    eighth pixel as a point of the object's surface (as CDPN and GDR-Net do). Features together
    with what a part makes of the description lead to one vector per crop.

    Args:
        part: its name in the configuration, for errors.
        config: layers, rounds and views.
        backbone: name of the backbone, see ``backbone.BACKBONES``.
        corners: (C, 8, 3) m, of each object's box.
        diameters: (C,) m.
        described: channels that a part makes of the description.
    """

    mean: Tensor
    std: Tensor
    tta_zooms: Tensor
    tta_rolls: Tensor
    centers: Tensor
    diameters: Tensor

    def __init__(
        self,
        part: str,
        config: CropHeadConfig | RefinerConfig,
        backbone: str,
        corners: Tensor,
        diameters: Tensor,
        described: int,
    ) -> None:
        super().__init__()
        if not 1 <= config.tta <= len(TTA):
            raise ValueError(f"{part}.tta: expected 1 to {len(TTA)}, got {config.tta}")
        self.size, self.rounds = config.size, config.rounds
        # Not constants of the class: TorchScript does not see those of a base class.
        self.crop_scale, self.min_depth = CROP_SCALE, geometry.MIN_DEPTH
        chosen = torch.tensor(TTA[: config.tta])
        self.register_buffer("tta_zooms", chosen[:, 0].clone(), persistent=False)
        self.register_buffer("tta_rolls", chosen[:, 1].clone(), persistent=False)
        self.register_buffer("centers", corners.mean(1), persistent=False)
        self.register_buffer("diameters", diameters.clone(), persistent=False)
        self.n_classes = len(diameters)
        self.backbone = backbones.build_backbone(backbone)
        self.backbone.stage5 = nn.Identity()
        mean, std = backbones.normalization_buffers(self.backbone)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        c3, c4, width = self.backbone.channels[0], self.backbone.channels[1], config.channels
        self.lateral3, self.lateral4 = nn.Conv2d(c3, width, 1), nn.Conv2d(c4, width, 1)
        self.features = nn.Sequential(crop_conv(width, width), crop_conv(width, width))
        self.surface = nn.Conv2d(width, self.n_classes * SURFACE_OUTPUTS, 1)
        self.reduction = nn.Sequential(
            crop_conv(width + described, width, 2), crop_conv(width, width)
        )
        cells = (config.size // POSE_STRIDE) ** 2
        self.hidden = nn.Sequential(
            nn.Linear(width * cells, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.SiLU(),
        )

    @abstractmethod
    def estimate(
        self, crops: Tensor, class_index: Tensor, R: Tensor, center: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Poses (N, 3, 3) and (N, 3) m of the objects seen in crops, (N, S/8, S/8) where.

        Args:
            crops: (N, S, S, 3) uint8 RGB.
            class_index: (N,) int64.
            R, center: (N, 3, 3) and (N, 3) m in the crop's frame, where the object seems to
                be; positions are those of its box's centre.
            K: (N, 3, 3) of the crops.

        Returns:
            Poses alike, the logit of the object being what is seen at each place, and (N,) the
            logarithm of how likely the pose is, up to a constant.
        """

    def stem_features(self, crops: Tensor) -> Tensor:
        """(N, S, S, 3) uint8 RGB -> what the backbone's stem makes of it."""
        out: Tensor = self.backbone.stem(backbones.normalize_image(crops, self.mean, self.std))
        return out

    def levels(self, x: Tensor) -> Tensor:
        """From the stem's features to those of strides 8 and 16, added at stride 8."""
        c3 = self.backbone.stage3(x)
        c4 = upsample(self.lateral4(self.backbone.stage4(c3)), 2)
        added: Tensor = self.lateral3(c3) + c4
        return added

    def describe(self, x: Tensor, class_index: Tensor) -> Tensor:
        """(N, width, S/8, S/8) and (N,) -> (N, SURFACE_OUTPUTS, S/8, S/8)."""
        return of_class(self.surface(x).unflatten(1, (self.n_classes, -1)), class_index)

    def summarize(self, x: Tensor, described: Tensor) -> Tensor:
        """(N, width, S/8, S/8) and (N, described, S/8, S/8) -> (N, hidden)."""
        out: Tensor = self.hidden(self.reduction(torch.cat((x, described), 1)).flatten(1))
        return out

    def refine(self, image: Tensor, poses: PoseBatch) -> RefinedPoses:
        """Estimates M instances of each image, ``rounds`` times, at last with V augmentations.

        Args:
            image: (B, H, W, 3) uint8 RGB.
            poses: where the instances seem to be.
        """
        count, tta = poses.class_index.shape[1], self.tta_zooms.shape[0]
        for _ in range(self.rounds - 1):
            poses, _, _ = self._refine_crops(image, poses, self.tta_zooms[:1], self.tta_rolls[:1])
        center = box_centers(poses, self.centers)
        zoom, roll = self.tta_zooms.repeat(count), self.tta_rolls.repeat(count)
        poses, visible, log_likelihood = self._refine_crops(
            image, repeat_poses(poses, tta), zoom, roll
        )
        each = (count, tta)
        return RefinedPoses(
            poses.R.unflatten(1, each),
            poses.t.unflatten(1, each),
            center,
            torch.sigmoid(visible.unflatten(1, each)[:, :, 0]),
            log_likelihood.unflatten(1, each)[:, :, 0],
        )

    def _refine_crops(
        self, image: Tensor, poses: PoseBatch, zoom: Tensor, roll: Tensor
    ) -> tuple[PoseBatch, Tensor, Tensor]:
        """Poses read off one crop of each, see ``crop_instances`` and ``estimate``."""
        batch = self.crop_instances(image, poses, zoom, roll)
        R_crop, center_crop, visible, log_likelihood = self.estimate(
            batch.images, batch.class_index, batch.R, batch.center, batch.K
        )
        R = batch.R_cam_crop @ R_crop.view_as(poses.R)
        center = (batch.R_cam_crop @ center_crop.view_as(poses.t).unsqueeze(-1)).squeeze(-1)
        t = center - (R @ self.centers[poses.class_index].unsqueeze(-1)).squeeze(-1)
        shape = poses.class_index.shape
        refined = PoseBatch(poses.class_index, R, t, poses.K)
        return refined, visible.unflatten(0, shape), log_likelihood.unflatten(0, shape)

    def crop_instances(
        self, image: Tensor, poses: PoseBatch, zoom: Tensor, roll: Tensor
    ) -> CropBatch:
        """One crop around each pose; ``zoom`` and ``roll`` are (M,) or (1,)."""
        center = box_centers(poses, self.centers)
        camera = self.cameras_at(poses.class_index, center, poses.K, zoom, roll)
        crops = sample_crops(image, poses.K, camera, self.size)
        R_crop_cam = camera.R_cam_crop.transpose(-1, -2)
        return CropBatch(
            crops.flatten(0, 1),
            poses.class_index.reshape(-1),
            (R_crop_cam @ poses.R).flatten(0, 1),
            (R_crop_cam @ center.unsqueeze(-1)).squeeze(-1).flatten(0, 1),
            camera.K.flatten(0, 1),
            camera.R_cam_crop,
        )

    def cameras_at(
        self, class_index: Tensor, center: Tensor, K: Tensor, zoom: Tensor, roll: Tensor
    ) -> VirtualCamera:
        """(B, M) crops around boxes' centres, ``zoom`` times as large and turned."""
        pixel = geometry.project(center.unsqueeze(-2), K.unsqueeze(1)).squeeze(-2)
        depth = center[..., 2].clamp_min(self.min_depth)
        side = self.crop_scale * K[:, None, 0, 0] * self.diameters[class_index] / depth
        return look_at(pixel, side * zoom, roll.expand_as(side), K, self.size)


def crop_conv(c_in: int, c_out: int, stride: int = 1) -> nn.Module:
    """A full 3x3 convolution with group norm: crops are small."""
    return conv_layer(c_in, c_out, 3, stride, separable=False, norm="group")


def of_class(values: Tensor, class_index: Tensor) -> Tensor:
    """(N, C, ...) and (N,) -> (N, ...) of each row's class."""
    rows = torch.arange(len(class_index), device=class_index.device)
    return values[rows, class_index]
