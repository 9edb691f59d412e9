"""Refinement on crops of single instances: crop head, refiner and contour fit in turn.

Every step has a fixed shape: the crop head takes so many instances in any scene, and the best of
these go on to refiner and contour fit.

Axes: B images, M instances of each, n of these that are refined.
"""

from typing import Final

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.averaging import SymmetryAligner
from cope_ros.core.detection.clustering import nms_3d
from cope_ros.core.network.cope_network import catalogue_corners, catalogue_diameters
from cope_ros.core.refinement.contour_fit import ContourFit
from cope_ros.core.refinement.crop_head import CropHead
from cope_ros.core.refinement.crop_network import RefinedPoses
from cope_ros.core.refinement.refiner import Refiner
from cope_ros.core.types import (
    Instances,
    PoseBatch,
    RefinementInputs,
    best_first,
    descending_order,
    first_poses,
    mask_out,
    rank_within_class,
    select_rows,
    with_boxes,
    with_poses,
)

UNREFINED_PROBABILITY = 0.3  # of an object at instances that were not refined
LIKELIHOOD_GAIN = 2.0  # how fast the probability of an object grows with its pose's log-likelihood
LIKELIHOOD_MIDPOINT = -1.0  # log-likelihood at which it is one half


class CropRefinement(nn.Module):
    """A refinement stage (see ``stages``) of up to three parts, each optional but the first.

    Args:
        crop_head, refiner, contour_fit: a network's.
        catalogue: its objects.
    """

    unrefined_probability: Final[float] = UNREFINED_PROBABILITY
    likelihood_gain: Final[float] = LIKELIHOOD_GAIN
    corners: Tensor
    diameters: Tensor

    def __init__(
        self,
        crop_head: CropHead,
        refiner: Refiner | None,
        contour_fit: ContourFit | None,
        catalogue: Catalogue,
    ) -> None:
        super().__init__()
        self.crop_head, self.refiner, self.contour_fit = crop_head, refiner, contour_fit
        self.align = SymmetryAligner(catalogue)
        self.register_buffer("corners", catalogue_corners(catalogue), persistent=False)
        self.register_buffer("diameters", catalogue_diameters(catalogue), persistent=False)
        self.max_refined = 0 if refiner is None else refiner.max_refined
        self.likelihood_midpoint = LIKELIHOOD_MIDPOINT

    def forward(self, inputs: RefinementInputs, found: Instances) -> Instances:
        """Better poses of as many instances as the crop head takes, best first."""
        image, K, found = inputs.image, inputs.K, rank_within_class(found)
        poses = first_poses(found, self.crop_head.max_crops, K)
        poses, probability = self.by_crop_head(image, poses)
        found = with_poses(found, found.score, poses)
        probability = self._of_all(probability, found.score)
        n = poses.t.shape[1]
        if self.max_refined > 0:
            found, probability = self._likeliest_first(found, probability)
            n = min(n, self.max_refined)
        return self._refine_first(image, K, found, probability, n)

    def _refine_first(
        self, image: Tensor, K: Tensor, found: Instances, probability: Tensor, n: int
    ) -> Instances:
        """The first n instances by refiner and contour fit; ``probability`` is (B, M)."""
        poses, score = first_poses(found, n, K), found.score
        if self.contour_fit is not None and self.refiner is not None:
            poses, visible_share = self.by_contour_fit(image, poses)
            score = score * torch.cat((visible_share, probability[:, n:]), 1)
            boxes, keypoints = self.project_boxes(self.refiner.points, poses)
            found = with_boxes(found, boxes, keypoints)
        elif self.refiner is not None:
            poses, _ = self.by_refiner(image, poses)
        found = best_first(with_poses(found, score, poses))
        return self.suppress_duplicates(found) if self.max_refined > 0 else found

    @torch.jit.export
    def by_crop_head(self, image: Tensor, poses: PoseBatch) -> tuple[PoseBatch, Tensor]:
        """The crop head's poses, mean over TTA, or the best of its candidates, refined once.

        Returns:
            Poses, and (B, n) the probability of an object there, one where there is no flow.
        """
        if self.refiner is not None and self.crop_head.candidates > 1:
            candidates = self.crop_head.propose(image, poses)
            poses, log_likelihood = self.refiner.choose(image, poses, candidates)
            return poses, self._pose_probability(log_likelihood)
        poses = self._mean_over_tta(self.crop_head.refine(image, poses), poses)
        return poses, torch.ones_like(poses.t[..., 0])

    @torch.jit.export
    def by_refiner(self, image: Tensor, poses: PoseBatch) -> tuple[PoseBatch, RefinedPoses]:
        """The refiner's poses, mean over TTA, and what they are made of."""
        assert self.refiner is not None
        refined = self.refiner.refine(image, poses)
        return self._mean_over_tta(refined, poses), refined

    @torch.jit.export
    def by_contour_fit(self, image: Tensor, poses: PoseBatch) -> tuple[PoseBatch, Tensor]:
        """Refiner and contour fit in turn, at last the mean of both.

        Returns:
            Poses, and (B, n) the probability of an object there: the share of the contour that is
            seen, see ``contour_fit.ContourFit``, times what the flow says.
        """
        assert self.refiner is not None
        assert self.contour_fit is not None
        visible_share = torch.ones_like(poses.t[..., 0])
        for _ in range(self.contour_fit.rounds):
            poses, refined = self.by_refiner(image, poses)
            poses, visible_share = self.contour_fit(
                image, poses, refined.center, refined.visible, self.refiner.points
            )
        last, refined = self.by_refiner(image, poses)
        R, t = self.align.between(
            poses.R, poses.t, last.R, last.t, self.contour_fit.last, poses.class_index
        )
        if self.refiner.flow is not None:
            visible_share = visible_share * self._pose_probability(refined.log_likelihood)
        return PoseBatch(poses.class_index, R, t, poses.K), visible_share

    def project_boxes(self, points: Tensor, poses: PoseBatch) -> tuple[Tensor, Tensor]:
        """Amodal boxes (B, n, 4) and corners (B, n, 8, 2) px of posed objects.

        Args:
            points: (C, P, 6) m, of each object's surface about its box's centre, and normals.
            poses: of the objects.
        """
        corners, K = self.corners[poses.class_index], poses.K.unsqueeze(1)
        surface = points[poses.class_index][..., :3] + corners.mean(-2, keepdim=True)
        pixels = geometry.project(geometry.transform(poses.R, poses.t, surface), K)
        boxes = torch.cat((pixels.amin(-2), pixels.amax(-2)), -1)
        return boxes, geometry.project(geometry.transform(poses.R, poses.t, corners), K)

    def suppress_duplicates(self, found: Instances) -> Instances:
        """Non-maximum suppression in 3D; instances are sorted, best first."""
        middle = self.corners[found.class_index].mean(-2).unsqueeze(-1)
        center = (found.R @ middle).squeeze(-1) + found.t
        size = self.diameters[found.class_index]
        return mask_out(found, nms_3d(found.class_index, found.valid, center, size))

    def _likeliest_first(self, found: Instances, probability: Tensor) -> tuple[Instances, Tensor]:
        """Sorted by score times ``probability`` (B, M), duplicates last as padding."""
        row = descending_order(found.score * probability, found.valid)
        found, probability = select_rows(found, row), probability.gather(1, row)
        found = self.suppress_duplicates(found)
        row = descending_order(found.score * probability, found.valid)
        return select_rows(found, row), probability.gather(1, row)

    def _of_all(self, probability: Tensor, score: Tensor) -> Tensor:
        """(B, n) of those that the crop head took -> (B, M)."""
        rest = self.unrefined_probability if self.refiner is not None else 1.0
        return torch.cat((probability, torch.full_like(score[:, probability.shape[1] :], rest)), 1)

    def _pose_probability(self, log_likelihood: Tensor) -> Tensor:
        """The probability of an object at a pose with this ``log_likelihood`` of its flow."""
        return torch.sigmoid(self.likelihood_gain * (log_likelihood - self.likelihood_midpoint))

    def _mean_over_tta(self, refined: RefinedPoses, poses: PoseBatch) -> PoseBatch:
        """Mean poses over the crops of test-time augmentation."""
        shape, t_each = poses.class_index.shape, refined.t.flatten(0, 1)
        R, t, _ = self.align.mean(
            refined.R.flatten(0, 1),
            t_each,
            torch.ones_like(t_each[..., 0]),
            poses.class_index.reshape(-1),
        )
        return PoseBatch(poses.class_index, R.unflatten(0, shape), t.unflatten(0, shape), poses.K)
