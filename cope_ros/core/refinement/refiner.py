"""The refiner: compares each instance with a rendering of its pose and corrects it.

Where the crop head has to know how each object looks from everywhere, the refiner sees, beside the
crop, a rendering of the object as its pose says it should look, and learns the difference
(render and compare: DeepIM, Li et al. 2018; CosyPose, Labbe et al. 2020). They meet twice: behind
the stem as pictures, and at stride 8 as points, where what the crop shows (as the crop head
says it) lies beside what is drawn there. From the meeting on, all classes share the weights.

Axes: N crops, S their side in px, C classes, P points of a surface.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cope_ros.core import geometry
from cope_ros.core.network import backbone as backbones
from cope_ros.core.network.presets import RefinerConfig
from cope_ros.core.refinement import point_rendering
from cope_ros.core.refinement.crop_network import (
    STRIDE,
    SURFACE_UNIT,
    CropNetwork,
    PoseCandidates,
    crop_conv,
)
from cope_ros.core.refinement.flow import Flow, FlowHead
from cope_ros.core.types import PoseBatch

CENTER_UNIT = 0.05  # outputs of order one: the centre's way in twentieths of the crop
SIZE_UNIT = 0.1  # and the logarithm of the apparent size in tenths
MAX_LOG_SIZE = 0.7  # no pose is farther off in depth than a factor of two
RENDERED = (32, 48)  # channels of the rendering's two layers
MERGED = 64  # channels in which image and rendering meet
COMPARED = 15  # see ``Refiner._compare``
GAP_GAIN = 5.0  # what lies between seen and drawn is a fraction of what is seen
LEAST_SHARE = 0.1  # of a place at stride 8 has to be drawn to be compared
PRIOR_WEIGHT = 0.1  # of what the crop head says of a candidate, beside its flow
OUTPUTS = 9  # centre's way x y, log size, two columns of the turn


class PoseDelta(NamedTuple):
    """What is wrong with N poses."""

    surface: Tensor  # (N, S/8, S/8, 3) object coordinates as in ``crop_head.InstancePrediction``
    visible: Tensor  # (N, S/8, S/8) logit: the object is what is seen there
    center: Tensor  # (N, 2) way of the box's centre in the crop, CENTER_UNIT
    size: Tensor  # (N,) log of true over drawn apparent size, SIZE_UNIT
    R: Tensor  # (N, 3, 3) turn about the box's centre, in the frame of the ray to it


class CropFeatures(NamedTuple):
    """What N crops show, as a refiner knows it after one look."""

    image: Tensor  # (N, 3, S, S) normalised
    stem: Tensor  # (N, stem, S/4, S/4)
    deep: Tensor  # (N, channels, S/8, S/8)
    surface: Tensor  # (N, 4, S/8, S/8) object coordinates and logit of being visible


class Refiner(CropNetwork):
    """From a crop and a pose to a better pose.

    Args:
        config: layers.
        backbone: name of the backbone, see ``backbone.BACKBONES``; image and rendering meet
            behind its stem.
        corners: (C, 8, 3) m, of each object's box.
        diameters: (C,) m.
    """

    center_unit: Final[float] = CENTER_UNIT
    size_unit: Final[float] = SIZE_UNIT
    max_log_size: Final[float] = MAX_LOG_SIZE
    surface_unit: Final[float] = SURFACE_UNIT
    stride: Final[int] = STRIDE
    cell: Final[int] = point_rendering.CELL
    gap_gain: Final[float] = GAP_GAIN
    least_share: Final[float] = LEAST_SHARE
    prior_weight: Final[float] = PRIOR_WEIGHT
    points: Tensor

    def __init__(
        self, config: RefinerConfig, backbone: str, corners: Tensor, diameters: Tensor
    ) -> None:
        super().__init__("refiner", config, backbone, corners, diameters, COMPARED)
        c2 = _stem_channels(self.backbone)
        self.rendering_encoder = nn.Sequential(
            crop_conv(point_rendering.CHANNELS, RENDERED[0], 2), crop_conv(RENDERED[0], RENDERED[1])
        )
        self.merge = crop_conv(c2 + RENDERED[1], MERGED)
        self.to_stem = nn.Conv2d(MERGED, c2, 1)
        self.to_features = nn.Conv2d(MERGED, config.channels, 3, 2, 1)
        self.output = nn.Linear(config.hidden, OUTPUTS)
        self.max_refined = config.max_refined
        self.flow, self.flow_rounds = _build_flow(config, c2), config.flow_rounds
        self._init_identity()
        self.register_buffer("points", torch.zeros(self.n_classes, config.points, 6))

    def _init_identity(self) -> None:
        """The image's features as the backbone knows them, and poses as they are."""
        for layer in (self.to_stem, self.to_features):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.output.weight, std=0.01)
        with torch.no_grad():
            self.output.bias.copy_(torch.tensor([0.0, 0, 0, 1, 0, 0, 0, 1, 0]))

    def predict_delta(
        self, crops: Tensor, class_index: Tensor, R: Tensor, center: Tensor, K: Tensor
    ) -> tuple[PoseDelta, CropFeatures]:
        """What is wrong with one pose in each crop, and what the crops show.

        Args:
            crops: (N, S, S, 3) uint8 RGB.
            class_index: (N,) int64.
            R, center: (N, 3, 3) and (N, 3) m in the crop's frame, of the object's box.
            K: (N, 3, 3) of the crops.
        """
        rendering = self._render(class_index, R, center, K)
        image = backbones.normalize_image(crops, self.mean, self.std)
        stem = self.backbone.stem(image)
        both = self.merge(torch.cat((stem, self.rendering_encoder(rendering)), 1))
        x = self.features(self.levels(stem + self.to_stem(both)) + self.to_features(both))
        surface = self.describe(x, class_index)
        out = self.output(self.summarize(x, self._compare(surface, rendering, R)))
        R_delta = geometry.rotation_from_columns(out[:, 3:])
        coordinates = surface[:, :3].permute(0, 2, 3, 1)
        delta = PoseDelta(coordinates, surface[:, 3], out[:, :2], out[:, 2], R_delta)
        return delta, CropFeatures(image, stem, x, surface)

    def _render(self, class_index: Tensor, R: Tensor, center: Tensor, K: Tensor) -> Tensor:
        points, diameter = self.points[class_index], self.diameters[class_index]
        return point_rendering.render_points(points, R, center, K, diameter, self.size)

    def predict_flow(
        self, features: CropFeatures, class_index: Tensor, R: Tensor, center: Tensor, K: Tensor
    ) -> Flow:
        """Where the places of another rendering are seen; the crops are not looked at again.

        Args:
            features: of N crops, see ``predict_delta``.
            class_index: (N,) int64.
            R, center: (N, 3, 3) and (N, 3) m in the crop's frame, the pose that is drawn.
            K: (N, 3, 3) of the crops.
        """
        assert self.flow is not None
        rendering = self._render(class_index, R, center, K)
        deep = torch.cat((features.deep, self._compare(features.surface, rendering, R)), 1)
        surface, diameter = self.points[class_index], self.diameters[class_index]
        image, stem = features.image, features.stem
        flow: Flow = self.flow(deep, stem, image, rendering, surface, R, center, K, diameter)
        return flow

    def _compare(self, surface: Tensor, rendering: Tensor, R: Tensor) -> Tensor:
        """What is seen, what is drawn and what lies between, at stride 8 in the crop's frame.

        Where a pose is turned by a small w, the point seen lies ``point x w`` from the one drawn:
        the moment of the gap tells the turn, its part along the point the size.

        Args:
            surface: (N, 4, S/8, S/8) object coordinates and logit of being visible.
            rendering: (N, point_rendering.CHANNELS, S/2, S/2).
            R: (N, 3, 3) of the rendering.

        Returns:
            (N, COMPARED, S/8, S/8), all of order one.
        """
        seen = torch.einsum("nij,njyx->niyx", R, surface[:, :3])
        rendered = F.avg_pool2d(rendering, self.stride // self.cell)
        share = rendered[:, 6:]
        point = rendered[:, :3] / (self.surface_unit * share.clamp_min(self.least_share))
        weight = torch.sigmoid(surface[:, 3:]) * (share >= self.least_share).to(share.dtype)
        gap = (seen - point) * (self.gap_gain * weight)
        moment, along = torch.linalg.cross(point, gap, dim=1), (point * gap).sum(1, keepdim=True)
        return torch.cat((surface[:, 3:], seen, point, gap, share, moment, along), 1)

    def apply_delta(
        self, delta: PoseDelta, R: Tensor, center: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(N, 3, 3) and (N, 3) m: poses with ``predict_delta``'s corrections applied."""
        displacement = delta.center * (self.center_unit * self.size)
        pixel = geometry.project(center.unsqueeze(1), K) + displacement.unsqueeze(1)
        ray = geometry.unproject(pixel, K).squeeze(1)
        ray = torch.cat((ray, torch.ones_like(ray[:, :1])), 1)
        log_size = (self.size_unit * delta.size).clamp(-self.max_log_size, self.max_log_size)
        moved = ray * (center[:, 2] * torch.exp(-log_size)).unsqueeze(1)
        to_old = geometry.rotation_to_ray(geometry.normalize(center))
        to_new = geometry.rotation_to_ray(geometry.normalize(ray))
        return to_new @ delta.R @ to_old.transpose(1, 2) @ R, moved

    def estimate(
        self, crops: Tensor, class_index: Tensor, R: Tensor, center: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Corrected poses, see ``CropNetwork``, and the last flow's log-likelihood for them."""
        delta, features = self.predict_delta(crops, class_index, R, center, K)
        R, center = self.apply_delta(delta, R, center, K)
        log_likelihood = torch.zeros_like(delta.size)
        if self.flow is not None:
            for _ in range(self.flow_rounds):
                flow = self.predict_flow(features, class_index, R, center, K)
                R, center = self.flow.fit(flow, K, self.diameters[class_index])
                log_likelihood = self.flow.mean_log_likelihood(flow, R, center, K)
        return R, center, delta.visible, log_likelihood

    def choose(
        self, image: Tensor, poses: PoseBatch, candidates: PoseCandidates
    ) -> tuple[PoseBatch, Tensor]:
        """Of each instance's candidates the one that leads to the likeliest flow.

        Args:
            image: (B, H, W, 3) uint8 RGB.
            poses: classes and intrinsics of the instances.
            candidates: of each.

        Returns:
            The refined poses, and (B, M) the flow's log-likelihood for them.
        """
        count = candidates.log_probability.shape[2]
        classes = poses.class_index.repeat_interleave(count, 1)
        R, t = candidates.R.flatten(1, 2), candidates.t.flatten(1, 2)
        zoom, roll = self.tta_zooms[:1], self.tta_rolls[:1]
        refined, _, log_likelihood = self._refine_crops(
            image, PoseBatch(classes, R, t, poses.K), zoom, roll
        )
        log_likelihood = log_likelihood.view_as(candidates.log_probability)
        value = log_likelihood + self.prior_weight * candidates.log_probability
        best = value.argmax(2, keepdim=True)
        at = best.unsqueeze(-1).expand(-1, -1, 1, 3)
        t = refined.t.view_as(candidates.t).gather(2, at).squeeze(2)
        R = refined.R.view_as(candidates.R)
        R = R.gather(2, at.unsqueeze(-1).expand(-1, -1, 1, 3, 3)).squeeze(2)
        return PoseBatch(poses.class_index, R, t, poses.K), log_likelihood.gather(2, best).squeeze(
            2
        )


def _build_flow(config: RefinerConfig, stem: int) -> FlowHead | None:
    return FlowHead(config.channels + COMPARED, stem, config.flow) if config.flow else None


def _stem_channels(backbone: backbones.Backbone) -> int:
    with torch.no_grad():
        return int(backbone.stem(torch.zeros(1, 3, 32, 32)).shape[1])
