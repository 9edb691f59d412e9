"""The network: backbone, pyramid, three towers, pose head, crop head, refiner, fit to contours."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.network import backbone as backbones
from cope_ros.core.network.heads import KeyTower, Tower
from cope_ros.core.network.pose_head import (
    STEPS,
    STEPS_BEFORE_HEAD,
    GeometricPoseHead,
    PublishedPoseHead,
)
from cope_ros.core.network.presets import NetworkConfig
from cope_ros.core.network.pyramid import Pyramid
from cope_ros.core.refinement.contour_fit import ContourFit
from cope_ros.core.refinement.crop_head import CropHead
from cope_ros.core.refinement.instance_head import InstanceHead
from cope_ros.core.refinement.refiner import Refiner
from cope_ros.core.types import DenseOutputs

Part = TypeVar("Part", CropHead, Refiner)


class CopeNetwork(nn.Module):
    """All learned parts of COPE (paper, Figure 2).

    ``forward`` gives the standardised outputs of all locations; ``pose_head`` is called on
    the locations worth it, ``crop_head``, ``refiner`` and ``contour_fit`` on the instances found.
    Standardised outputs become pixels in ``decode``.

    Args:
        config: layers.
        catalogue: the objects, one class each.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig, catalogue: Catalogue) -> None:
        super().__init__()
        n_classes = len(catalogue)
        self.backbone = backbones.build_backbone(config.backbone)
        if config.fold_batch_norm:
            backbones.fold_batch_norm(self.backbone)
        mean, std = backbones.normalization_buffers(self.backbone)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        width, separable, norm = config.pyramid_channels, config.separable, config.norm
        self.pyramid = Pyramid(self.backbone.channels, width, separable, norm)
        self.class_tower = Tower(width, n_classes, config.class_tower, separable, norm)
        self.class_tower.set_prior()
        self.box_tower = Tower(width, 4, config.box_tower, separable, norm)
        self.key_tower = KeyTower(
            width, 16, config.key_tower, config.coordinate_branch, separable, norm
        )
        self.pose_head = _build_pose_head(config, catalogue)
        self.instance_head = _build_instance_head(config, catalogue, stem_channels(self.backbone))
        self.crop_head = _build_crop_head(config, catalogue)
        self.refiner = _build_refiner(config, catalogue)
        self.contour_fit = _build_contour_fit(config, catalogue)

    def forward(self, image: Tensor) -> DenseOutputs:
        """One pass over a batch of images.

        Args:
            image: (B, H, W, 3) uint8 RGB, H and W multiples of 32.

        Returns:
            Outputs in the order of ``locations.make_locations``.
        """
        return self.dense(image)

    def dense(self, image: Tensor) -> DenseOutputs:
        """What ``forward`` does; a name for subclasses, as scripted modules have no super."""
        x = backbones.normalize_image(image, self.mean, self.std)
        c2, c3, c4, c5 = self.backbone.levels(x)
        p3, p4, p5 = self.pyramid(c3, c4, c5)
        logits = torch.cat((self.class_tower(p3), self.class_tower(p4), self.class_tower(p5)), 1)
        boxes = torch.cat((self.box_tower(p3), self.box_tower(p4), self.box_tower(p5)), 1)
        key3, seen3 = self.key_tower(p3)
        key4, seen4 = self.key_tower(p4)
        key5, seen5 = self.key_tower(p5)
        keys, seen = torch.cat((key3, key4, key5), 1), torch.cat((seen3, seen4, seen5), 1)
        shared = c2[:, :0]
        if self.instance_head is not None:
            shared = self.instance_head.features(c2, p3, x)
        return DenseOutputs(logits, boxes, keys, seen, shared)


def _build_pose_head(config: NetworkConfig, catalogue: Catalogue) -> nn.Module:
    if config.pose_head == "published":
        return PublishedPoseHead(len(catalogue), config.pose_channels)
    steps = STEPS if config.instance_head is None else STEPS_BEFORE_HEAD
    return GeometricPoseHead(catalogue_corners(catalogue), config.pose_channels, steps)


def _build_instance_head(
    config: NetworkConfig, catalogue: Catalogue, stem: int
) -> InstanceHead | None:
    if config.instance_head is None:
        return None
    width = config.pyramid_channels
    return InstanceHead(config.instance_head, stem, width, *_boxes(catalogue))


def stem_channels(backbone: backbones.Backbone) -> int:
    """Channels at stride 4."""
    with torch.no_grad():
        return int(backbone.stem(torch.zeros(1, 3, 8, 8)).shape[1])


def _build_crop_head(config: NetworkConfig, catalogue: Catalogue) -> CropHead | None:
    if config.crop_head is None:
        return None
    return _folded(CropHead(config.crop_head, config.backbone, *_boxes(catalogue)), config)


def _build_refiner(config: NetworkConfig, catalogue: Catalogue) -> Refiner | None:
    if config.refiner is None:
        return None
    return _folded(Refiner(config.refiner, config.backbone, *_boxes(catalogue)), config)


def _build_contour_fit(config: NetworkConfig, catalogue: Catalogue) -> ContourFit | None:
    return (
        None if config.contour_fit is None else ContourFit(config.contour_fit, *_boxes(catalogue))
    )


def _boxes(catalogue: Catalogue) -> tuple[Tensor, Tensor]:
    return catalogue_corners(catalogue), catalogue_diameters(catalogue)


def _folded(part: Part, config: NetworkConfig) -> Part:
    if config.fold_batch_norm:
        backbones.fold_batch_norm(part.backbone)
    return part


def catalogue_corners(catalogue: Catalogue) -> Tensor:
    """(C, 8, 3) float32 m: the box corners of every object."""
    return torch.stack([torch.tensor(o.corners, dtype=torch.float32) for o in catalogue])


def catalogue_diameters(catalogue: Catalogue) -> Tensor:
    """(C,) float32 m"""
    return torch.tensor([o.diameter for o in catalogue], dtype=torch.float32)
