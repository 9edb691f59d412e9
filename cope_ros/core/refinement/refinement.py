"""What was found, looked at again: crop head, refiner and contours in turn.

Every step has a fixed shape: the crop head looks at so many instances in any scene, and the best
of these are settled.

Axes: B images, M instances of each.
"""

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.averaging import SymmetryAligner
from cope_ros.core.detection.clustering import nms_3d
from cope_ros.core.network.cope_network import CopeNetwork, catalogue_corners, catalogue_diameters
from cope_ros.core.refinement.crop_network import RefinedPoses
from cope_ros.core.types import (
    Instances,
    best_first,
    descending_order,
    mask_out,
    rank_within_class,
    select_rows,
    with_boxes,
    with_poses,
)

UNREFINED_PROBABILITY = 0.3  # of an object at instances that were not refined
LIKELIHOOD_GAIN = (
    2.0  # how fast the probability of an object grows with the log-likelihood for its pose
)
LIKELIHOOD_MIDPOINT = -1.0  # log-likelihood at which it is one half


class InstanceRefinement(nn.Module):
    """The part of an estimator that looks at single instances.

    Args:
        network: its crop head, refiner and contour fit.
        catalogue: its objects.
    """

    corners: Tensor
    diameters: Tensor

    def __init__(self, network: CopeNetwork, catalogue: Catalogue) -> None:
        super().__init__()
        self.network = network
        self.align = SymmetryAligner(catalogue)
        self.register_buffer("corners", catalogue_corners(catalogue))
        self.register_buffer("diameters", catalogue_diameters(catalogue))
        # Not constants of the class: TorchScript does not see those of a base class.
        self.max_refined = 0 if network.refiner is None else network.refiner.max_refined
        self.unrefined_probability = UNREFINED_PROBABILITY
        self.likelihood_gain, self.likelihood_midpoint = LIKELIHOOD_GAIN, LIKELIHOOD_MIDPOINT

    def refine_by_crop_head(
        self, image: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The crop head's poses, mean of its views, or the best of its candidates, once corrected.

        Args:
            image: (B, H, W, 3) uint8 RGB.
            K: (B, 3, 3) px.
            class_index: (B, M).
            R, t: (B, M, 3, 3) and (B, M, 3) m, where the instances seem to be.

        Returns:
            Poses, and (B, M) the probability of an object there, one where there is no flow.
        """
        assert self.network.crop_head is not None
        if self.network.refiner is not None and self.network.crop_head.candidates > 1:
            candidates = self.network.crop_head.propose(image, K, class_index, R, t)
            best = self.network.refiner.choose(image, K, class_index, candidates)
            return (
                best.R.squeeze(2),
                best.t.squeeze(2),
                self._pose_probability(best.log_probability.squeeze(2)),
            )
        refined = self.network.crop_head.refine(image, K, class_index, R, t)
        R, t = self._mean_over_tta(refined, class_index)
        return R, t, torch.ones_like(t[..., 0])

    def refine_by_refiner(
        self, image: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, RefinedPoses]:
        """The refiner's corrections of poses, mean over TTA; shapes as above.

        Returns:
            Poses, and what they are made of.
        """
        assert self.network.refiner is not None
        refined = self.network.refiner.refine(image, K, class_index, R, t)
        R, t = self._mean_over_tta(refined, class_index)
        return R, t, refined

    def refine_by_contour(
        self, image: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Corrections and fits to the contours, in turn, at last the mean of both.

        Returns:
            Poses, and (B, M) the probability of an object there: the share of the contour that is
            seen, see ``contour_fit.ContourFit``, times what the flow says.
        """
        assert self.network.refiner is not None
        assert self.network.contour_fit is not None
        points, visible_share = self.network.refiner.points, torch.ones_like(t[..., 0])
        for _ in range(self.network.contour_fit.rounds):
            R, t, refined = self.refine_by_refiner(image, K, class_index, R, t)
            around, visible = refined.center, refined.visible
            R, t, visible_share = self.network.contour_fit(
                image, K, class_index, R, t, around, visible, points
            )
        R_last, t_last, refined = self.refine_by_refiner(image, K, class_index, R, t)
        R, t = self.align.between(R, t, R_last, t_last, self.network.contour_fit.last, class_index)
        if self.network.refiner.flow is not None:
            visible_share = visible_share * self._pose_probability(refined.log_likelihood)
        return R, t, visible_share

    def refine_instances(self, image: Tensor, K: Tensor, found: Instances) -> Instances:
        """Gives as many instances as there are slots better poses, in any scene as many.

        Args:
            image: (B, H, W, 3) uint8 RGB.
            K: (B, 3, 3) px.
            found: padded instances.
        """
        assert self.network.crop_head is not None
        found = rank_within_class(found)
        n = min(self.network.crop_head.max_crops, found.valid.shape[1])
        R, t, probability = self.refine_by_crop_head(
            image, K, found.class_index[:, :n], found.R[:, :n], found.t[:, :n]
        )
        found = with_poses(found, found.score, R, t)
        rest = self.unrefined_probability if self.network.refiner is not None else 1.0
        probability = torch.cat((probability, torch.full_like(found.score[:, n:], rest)), 1)
        if self.max_refined > 0:
            row = descending_order(found.score * probability, found.valid)
            found, probability = (
                self.suppress_duplicates(select_rows(found, row)),
                probability.gather(1, row),
            )
            row = descending_order(found.score * probability, found.valid)
            found, probability = select_rows(found, row), probability.gather(1, row)
            n = min(n, self.max_refined)
        return self._refine_best(image, K, found, probability, n)

    def _refine_best(
        self, image: Tensor, K: Tensor, found: Instances, probability: Tensor, n: int
    ) -> Instances:
        """The first n instances with the best poses there are; ``probability`` is (B, M)."""
        classes, R, t = found.class_index[:, :n], found.R[:, :n], found.t[:, :n]
        score = found.score
        if self.network.contour_fit is not None:
            assert self.network.refiner is not None
            R, t, visible_share = self.refine_by_contour(image, K, classes, R, t)
            score = score * torch.cat((visible_share, probability[:, n:]), 1)
            boxes, keypoints = self.project_boxes(self.network.refiner.points, K, classes, R, t)
            found = with_boxes(found, boxes, keypoints)
        elif self.network.refiner is not None:
            R, t, _ = self.refine_by_refiner(image, K, classes, R, t)
        found = best_first(with_poses(found, score, R, t))
        return self.suppress_duplicates(found) if self.max_refined > 0 else found

    def project_boxes(
        self, points: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Amodal boxes (B, M, 4) and corners (B, M, 8, 2) px of posed objects.

        Args:
            points: (C, P, 6) m, of each object's surface about its box's centre, and normals.
            K: (B, 3, 3) px.
            class_index, R, t: as in ``refine_by_crop_head``.
        """
        corners = self.corners[class_index]
        surface = points[class_index][..., :3] + corners.mean(-2, keepdim=True)
        pixels = geometry.project(geometry.transform(R, t, surface), K.unsqueeze(1))
        boxes = torch.cat((pixels.amin(-2), pixels.amax(-2)), -1)
        return boxes, geometry.project(geometry.transform(R, t, corners), K.unsqueeze(1))

    def suppress_duplicates(self, found: Instances) -> Instances:
        """What was found twice, once; instances are sorted, best first."""
        middle = self.corners[found.class_index].mean(-2).unsqueeze(-1)
        center = (found.R @ middle).squeeze(-1) + found.t
        size = self.diameters[found.class_index]
        return mask_out(found, nms_3d(found.class_index, found.valid, center, size))

    def _pose_probability(self, log_likelihood: Tensor) -> Tensor:
        """How likely an object is that a flow says as much for."""
        return torch.sigmoid(self.likelihood_gain * (log_likelihood - self.likelihood_midpoint))

    def _mean_over_tta(self, refined: RefinedPoses, class_index: Tensor) -> tuple[Tensor, Tensor]:
        """Mean poses of the views, (B, M, 3, 3) and (B, M, 3)."""
        t_view = refined.t.flatten(0, 1)
        weight = torch.ones_like(t_view[..., 0])
        R, t, _ = self.align.mean(refined.R.flatten(0, 1), t_view, weight, class_index.reshape(-1))
        return R.unflatten(0, class_index.shape), t.unflatten(0, class_index.shape)
