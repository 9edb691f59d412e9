"""What passes between the stages of the pipeline.

Axes: B batch, L locations of the whole pyramid, K kept hypotheses, M padded
instances, C classes. Lengths in metres, image coordinates in pixels of the network's
input image (pixel centres at integers), frames as in REP-103: camera optical frame with
x right, y down, z forward; poses map object to camera, ``p_cam = R @ p_obj + t``.

NamedTuples, because TorchScript carries them through ``torch.jit.script``.
"""

from typing import NamedTuple

from torch import Tensor


class DenseOutputs(NamedTuple):
    """The network's intermediate representation at every location."""

    class_logits: Tensor  # (B, L, C) float, before the sigmoid
    boxes: Tensor  # (B, L, 4) float, amodal box x1 y1 x2 y2, px
    keypoints: Tensor  # (B, L, 8, 2) float, projected corners of the object's box, px


class Hypotheses(NamedTuple):
    """The K best locations with the pose each of them votes for."""

    score: Tensor  # (B, K) float in [0, 1], descending
    class_index: Tensor  # (B, K) int64, 0-based channel
    boxes: Tensor  # (B, K, 4) float, px
    keypoints: Tensor  # (B, K, 8, 2) float, px
    R: Tensor  # (B, K, 3, 3) float
    t: Tensor  # (B, K, 3) float, m
    consistency: Tensor  # (B, K) float in (0, 1], 1 where pose and keypoints agree


class Instances(NamedTuple):
    """The estimate: one row per instance, padded to M rows, best score first."""

    valid: Tensor  # (B, M) bool, false in the padding
    class_index: Tensor  # (B, M) int64, 0-based channel
    score: Tensor  # (B, M) float in [0, 1]
    R: Tensor  # (B, M, 3, 3) float
    t: Tensor  # (B, M, 3) float, m
    covariance: Tensor  # (B, M, 6, 6) float, x y z rotation-x rotation-y rotation-z (REP-103)
    boxes: Tensor  # (B, M, 4) float, amodal box of the best hypothesis, px
    keypoints: Tensor  # (B, M, 8, 2) float, of the most consistent hypothesis, px
    support: Tensor  # (B, M) int64, hypotheses in the cluster
