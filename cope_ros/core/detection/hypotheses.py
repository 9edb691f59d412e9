"""From the network's outputs to pose hypotheses (paper, sections 3.2 and 3.3).

Axes: B images, L locations, K hypotheses of each image, C classes.
"""

from typing import Final

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.detection.decoding import decode_boxes, decode_keypoints, output_scales
from cope_ros.core.detection.locations import make_locations
from cope_ros.core.detection.scores import class_probability
from cope_ros.core.types import DenseOutputs, Hypotheses

MAX_HYPOTHESES = 1024  # K: locations that get a pose; 100 instances with ten each
CONSISTENCY_SCALE = 0.1  # of the apparent size: reprojection error that costs a factor e


class HypothesisDecoder(nn.Module):
    """The best locations, their outputs in pixels, and the pose that follows from each.

    Args:
        pose_head: the network's, from corners to poses.
        corners: (C, 8, 3) m, of each object's box.
        diameters: (C,) m.
        by_diameter: whether targets were standardised by diameter (else by stride).
    """

    max_hypotheses: Final[int] = MAX_HYPOTHESES
    consistency_scale: Final[float] = CONSISTENCY_SCALE
    min_depth: Final[float] = geometry.MIN_DEPTH
    corners: Tensor
    diameters: Tensor

    def __init__(
        self, pose_head: nn.Module, corners: Tensor, diameters: Tensor, by_diameter: bool
    ) -> None:
        super().__init__()
        self.pose_head = pose_head
        self.by_diameter = by_diameter
        self.register_buffer("corners", corners.clone())
        self.register_buffer("diameters", diameters.clone())

    def forward(
        self, outputs: DenseOutputs, image: Tensor, K: Tensor, enabled: Tensor
    ) -> Hypotheses:
        """The hypotheses of the K best locations, above or below any threshold.

        Args:
            outputs: of all locations.
            image: (B, H, W, 3), whose size says where the locations are.
            K: (B, 3, 3) px.
            enabled: (C,) bool, classes to look for.
        """
        centers, strides = make_locations(image.shape[1], image.shape[2], image.device)
        logits = outputs.class_logits.float().masked_fill(~enabled, float("-inf"))
        best, best_class = logits.max(-1)
        best, rows = best.topk(min(self.max_hypotheses, best.shape[1]), dim=1)
        class_index = best_class.gather(1, rows)
        score = class_probability(best) * enabled[class_index].to(best.dtype)
        center, stride = centers[rows], strides[rows]
        scales = output_scales(self.by_diameter, self.diameters[class_index], stride)
        raw_box = outputs.boxes.float().gather(1, rows.unsqueeze(-1).expand(-1, -1, 4))
        raw_key = outputs.keypoints.float().gather(1, rows.unsqueeze(-1).expand(-1, -1, 16))
        boxes = decode_boxes(raw_box, center, scales.box)
        keypoints = decode_keypoints(raw_key, center, scales.key)
        R, t, consistency = self.poses(keypoints, class_index, K)
        return Hypotheses(score, class_index, boxes, keypoints, R, t, consistency)

    def poses(
        self, keypoints: Tensor, class_index: Tensor, K: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Poses (B, K, 3, 3), (B, K, 3) m and how well they agree with the corners, (B, K).

        Args:
            keypoints: (B, K, 8, 2) px.
            class_index: (B, K).
            K: (B, 3, 3) px.
        """
        batch, k = class_index.shape
        K_row = K.float().unsqueeze(1).expand(batch, k, 3, 3).reshape(-1, 3, 3)
        flat_keys, flat_class = keypoints.reshape(-1, 8, 2), class_index.reshape(-1)
        R, t = self.pose_head(flat_keys, flat_class, K_row)
        projected = geometry.project(geometry.transform(R, t, self.corners[flat_class]), K_row)
        error = geometry.length(projected - flat_keys).mean(-1)
        depth = t[:, 2].clamp_min(self.min_depth)
        size = K_row[:, 0, 0] * self.diameters[flat_class] / depth
        consistency = torch.exp(-error / (self.consistency_scale * size))
        return R.view(batch, k, 3, 3), t.view(batch, k, 3), consistency.view(batch, k)
