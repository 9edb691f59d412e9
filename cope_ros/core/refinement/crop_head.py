"""The crop head: each found instance once more, alone, large and centred.

Far away an object covers few locations, and near it covers many; the dense part of the network
has to learn every size, place and view at once. The crop head sees the crop around one instance
at one size, through a virtual camera (``virtual_camera``), which is by far easier to learn. It
takes a fixed number of slots, so that time stays constant, and belongs to the same network and
the same forward pass.

Axes: N crops, S their side in px, A anchors, C classes.
"""

import itertools
import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.network.presets import CropHeadConfig
from cope_ros.core.refinement.crop_network import (
    SURFACE_OUTPUTS,
    CropNetwork,
    PoseCandidates,
    of_class,
)
from cope_ros.core.types import PoseBatch

CENTER_UNIT = 0.1  # outputs of order one: the centre's offset in tenths of the crop
SIZE_UNIT = 0.25  # and the logarithm of the apparent size in quarters
MIN_CANDIDATE_ANGLE = math.radians(45.0)  # least angle between two candidates
MAX_LOG_SIZE = 1.0  # no object is that much larger or smaller than its crop says


class InstancePrediction(NamedTuple):
    """What the crop head says of N crops."""

    surface: Tensor  # (N, S/8, S/8, 3) object coordinates, SURFACE_UNIT
    visible: Tensor  # (N, S/8, S/8) logit: the object is what is seen there
    center: Tensor  # (N, 2) of the object's box in the crop, from its middle, CENTER_UNIT
    size: Tensor  # (N,) log of apparent size over S / CROP_SCALE, SIZE_UNIT
    choice: Tensor  # (N, A) logits of the anchors
    R: Tensor  # (N, A, 3, 3) rotation about each anchor, relative to the ray to the object


def anchor_rotations() -> Tensor:
    """(24, 3, 3) the rotations of a cube: every rotation is within 63 degrees of one."""
    anchors = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            R = torch.zeros(3, 3)
            R[range(3), order] = torch.tensor(signs)
            if torch.det(R) > 0:
                anchors.append(R)
    return torch.stack(anchors)


class CropHead(CropNetwork):
    """From a crop to a pose.

    From features and description of the surface together follow the box's centre, the apparent
    size, and a rotation: the nearest of 24 anchors, and the way from it. A choice does not shrink
    where it is unsure, as a mean does.

    Args:
        config: layers.
        backbone: name of the backbone, see ``backbone.BACKBONES``.
        corners: (C, 8, 3) m, of each object's box.
        diameters: (C,) m.
    """

    max_crops: Final[int]
    center_unit: Final[float] = CENTER_UNIT
    size_unit: Final[float] = SIZE_UNIT
    max_log_size: Final[float] = MAX_LOG_SIZE
    min_candidate_angle: Final[float] = MIN_CANDIDATE_ANGLE
    anchors: Tensor

    def __init__(
        self, config: CropHeadConfig, backbone: str, corners: Tensor, diameters: Tensor
    ) -> None:
        super().__init__("crop_head", config, backbone, corners, diameters, SURFACE_OUTPUTS)
        self.max_crops, self.candidates = config.max_crops, config.candidates
        self.register_buffer("anchors", anchor_rotations(), persistent=False)
        self.n_anchors = len(self.anchors)
        self.output = nn.Linear(config.hidden, self.n_classes * (3 + 7 * self.n_anchors))
        self._start_at_anchors()

    def _start_at_anchors(self) -> None:
        nn.init.normal_(self.output.weight, std=0.01)
        bias = torch.zeros(self.n_classes, 3 + 7 * self.n_anchors)
        bias[:, 3 + self.n_anchors :] = self.anchors[..., :2].transpose(1, 2).flatten()
        with torch.no_grad():
            self.output.bias.copy_(bias.flatten())

    def forward(self, crops: Tensor, class_index: Tensor) -> InstancePrediction:
        """(N, S, S, 3) uint8 RGB and (N,) int64 -> what is said of each."""
        x = self.features(self.levels(self.stem_features(crops)))
        surface = self.describe(x, class_index)
        out = self.output(self.summarize(x, surface)).unflatten(1, (self.n_classes, -1))
        out = of_class(out, class_index)
        columns = out[:, 3 + self.n_anchors :].unflatten(1, (self.n_anchors, 6))
        return InstancePrediction(
            surface[:, :3].permute(0, 2, 3, 1),
            surface[:, 3],
            out[:, :2],
            out[:, 2],
            out[:, 3 : 3 + self.n_anchors],
            geometry.rotation_from_columns(columns),
        )

    def propose(self, image: Tensor, poses: PoseBatch) -> PoseCandidates:
        """The likeliest poses of M instances, each of another side; one crop of each instance.

        Args:
            image: (B, H, W, 3) uint8 RGB.
            poses: where the instances seem to be.
        """
        batch = self.crop_instances(image, poses, self.tta_zooms[:1], self.tta_rolls[:1])
        prediction = self.forward(batch.images, batch.class_index)
        to_ray, center_crop = self._ray_and_center(prediction, batch.class_index, batch.K)
        sides, log_probability = self._top_rotations(prediction)
        shape = poses.class_index.shape
        R_crop = (to_ray.unsqueeze(1) @ sides).unflatten(0, shape)
        R = batch.R_cam_crop.unsqueeze(2) @ R_crop
        center = batch.R_cam_crop @ center_crop.view_as(poses.t).unsqueeze(-1)
        middle = R @ self.centers[poses.class_index].unsqueeze(-1).unsqueeze(2)
        t = (center.unsqueeze(2) - middle).squeeze(-1)
        return PoseCandidates(R, t, log_probability.unflatten(0, shape))

    def _top_rotations(self, prediction: InstancePrediction) -> tuple[Tensor, Tensor]:
        """(N, G, 3, 3) and (N, G): likeliest rotations, far apart, and log-probabilities."""
        log_probability = torch.log_softmax(prediction.choice, 1)
        left, sides, log_probabilities = log_probability, [], []
        for _ in range(self.candidates):
            best = left.argmax(1, keepdim=True)
            side = prediction.R.gather(1, best.view(-1, 1, 1, 1).expand(-1, 1, 3, 3))
            sides.append(side)
            log_probabilities.append(log_probability.gather(1, best))
            left = left.masked_fill(
                geometry.rotation_angle(prediction.R, side) < self.min_candidate_angle, -1e9
            )
        return torch.cat(sides, 1), torch.cat(log_probabilities, 1)

    def pose(
        self, prediction: InstancePrediction, class_index: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The likeliest pose in each crop's frame.

        Args:
            prediction: of N crops.
            class_index: (N,).
            K: (N, 3, 3) of the crops.

        Returns:
            R (N, 3, 3) and the box's centre (N, 3) m.
        """
        to_ray, center = self._ray_and_center(prediction, class_index, K)
        best = prediction.choice.argmax(1).view(-1, 1, 1, 1).expand(-1, 1, 3, 3)
        return to_ray @ prediction.R.gather(1, best).squeeze(1), center

    def _ray_and_center(
        self, prediction: InstancePrediction, class_index: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(N, 3, 3) rotations from rays to the crops' frames, (N, 3) m the boxes' centres."""
        middle = 0.5 * (self.size - 1)
        pixel = middle + prediction.center * (self.center_unit * self.size)
        log_size = (self.size_unit * prediction.size).clamp(-self.max_log_size, self.max_log_size)
        apparent = torch.exp(log_size) * (self.size / self.crop_scale)
        depth = K[:, 0, 0] * self.diameters[class_index] / apparent
        ray = geometry.unproject(pixel.unsqueeze(1), K).squeeze(1)
        ray = torch.cat((ray, torch.ones_like(ray[:, :1])), 1)
        return geometry.rotation_to_ray(geometry.normalize(ray)), ray * depth.unsqueeze(1)

    def estimate(
        self, crops: Tensor, class_index: Tensor, R: Tensor, center: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Poses of crops, see ``CropNetwork``; it needs none to start with."""
        prediction = self.forward(crops, class_index)
        R_new, center_new = self.pose(prediction, class_index, K)
        return (
            R_new,
            center_new,
            prediction.visible,
            torch.log_softmax(prediction.choice, 1).amax(1),
        )
