"""The pipeline: an image and its intrinsics in, padded instances out (paper, Figure 2).

    image, K -> network -> hypotheses -> clustering -> instances -> refinement [-> depth fit]

This module is what gets exported; every step has a fixed shape and nothing waits for the
device in between. Which refinement there is, ``refinement.stages`` reads off the network.
"""

import torch
from torch import Tensor, nn

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.covariance import CovarianceCalibration
from cope_ros.core.detection.hypotheses import HypothesisDecoder
from cope_ros.core.detection.instances import InstanceClustering
from cope_ros.core.network.cope_network import CopeNetwork, catalogue_corners, catalogue_diameters
from cope_ros.core.refinement.depth_fit import DepthFit
from cope_ros.core.refinement.stages import build_refinement
from cope_ros.core.types import Hypotheses, Instances, RefinementInputs, mask_out, with_depth


class CopeEstimator(nn.Module):
    """COPE's inference (paper, section 3.1) on a batch.

    Thresholds are buffers; they can change on a loaded model: ``score_threshold.fill_(0.4)``.
    ``score_threshold`` is the least score of an instance; hypotheses below ``candidate_threshold``
    do not make one, since stages of refinement lower scores.

    Args:
        network: trained or not; the stages share its layers.
        catalogue: its objects.
        by_diameter: whether targets were standardised by diameter (else by stride).
        score_power: exponent of scores in votes, beside consistency; 0 as published.
        max_instances: M, rows of the padded output.
        surfaces: (C, P, 6) m, points of each object's surface about its box's centre, and
            normals; what depth is compared with. Without them depth is ignored.
    """

    score_threshold: Tensor
    candidate_threshold: Tensor
    iou_threshold: Tensor
    n_hypotheses: Tensor
    enabled: Tensor

    def __init__(
        self,
        network: CopeNetwork,
        catalogue: Catalogue,
        by_diameter: bool,
        score_power: float = 0.0,
        max_instances: int = 100,
        surfaces: Tensor | None = None,
    ) -> None:
        super().__init__()
        corners, diameters = catalogue_corners(catalogue), catalogue_diameters(catalogue)
        self.network = network
        self.decode = HypothesisDecoder(network.pose_head, corners, diameters, by_diameter)
        self.cluster = InstanceClustering(catalogue, score_power, max_instances)
        self.calibrate = CovarianceCalibration(len(catalogue))
        self.refinement = build_refinement(network, catalogue)
        self.depth_fit = None if surfaces is None else DepthFit(surfaces, corners, diameters)
        self.register_buffer("score_threshold", torch.tensor(0.5))
        self.register_buffer("candidate_threshold", torch.tensor(0.0))
        self.register_buffer("iou_threshold", torch.tensor(0.5))
        self.register_buffer("n_hypotheses", torch.tensor(10))
        self.register_buffer("enabled", torch.ones(len(catalogue), dtype=torch.bool))

    def forward(self, image: Tensor, K: Tensor, depth: Tensor | None = None) -> Instances:
        """Estimates all instances.

        Args:
            image: (B, H, W, 3) uint8 RGB, H and W multiples of 32.
            K: (B, 3, 3) float intrinsics of that image, px.
            depth: (B, H, W) float m along the optical axis, 0 where unknown; poses are fitted to
                it where the estimator knows the objects' surfaces.

        Returns:
            Padded instances, best first.
        """
        outputs = self.network(image)  # at L locations
        hypotheses = self.decode(outputs, image, K, self.enabled)  # of the best K locations
        instances = self._cluster(hypotheses)  # M rows
        inputs = RefinementInputs(image, K.float(), outputs.shared)
        for stage in self.refinement.values():
            instances = stage(inputs, instances)
        instances = mask_out(instances, instances.score < self.score_threshold)
        instances = self.calibrate.instances(instances)
        if self.depth_fit is not None and depth is not None:
            R, t, covariance, share = self.depth_fit(
                depth, inputs.K, instances.class_index, instances.R, instances.t,
                instances.covariance,
            )  # fmt: skip
            instances = with_depth(instances, R, t, covariance, share)
        return instances

    @torch.jit.export
    def hypothesis_threshold(self) -> Tensor:
        """() float, least score of a hypothesis; the score of an instance is never higher."""
        return torch.maximum(self.score_threshold, self.candidate_threshold)

    @torch.jit.export
    def hypothesize(self, image: Tensor, K: Tensor) -> Hypotheses:
        """The poses of single locations, as ``forward`` has them."""
        return self.decode(self.network(image), image, K, self.enabled)

    @torch.jit.export
    def group(self, hypotheses: Hypotheses) -> Instances:
        """Clusters of hypotheses with their mean pose and its calibrated covariance."""
        return self.calibrate.instances(self._cluster(hypotheses))

    def _cluster(self, hypotheses: Hypotheses) -> Instances:
        threshold = self.hypothesis_threshold()
        return self.cluster(hypotheses, threshold, self.iou_threshold, self.n_hypotheses)
