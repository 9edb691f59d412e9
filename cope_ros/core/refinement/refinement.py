"""What was found, looked at again: close-up, refiner and outlines in turn.

Every step has a fixed shape: the close-up looks at so many instances in any scene, and the best
of these are settled.

Axes: B images, M instances of each.
"""

import torch
from torch import Tensor, nn

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.averaging import SymmetryAligner
from cope_ros.core.detection.clustering import repeated
from cope_ros.core.network.cope_network import CopeNetwork, catalogue_corners, catalogue_diameters
from cope_ros.core.refinement.instance_crops import Looked
from cope_ros.core.types import (
    Instances,
    best_first,
    by_turns,
    order_of,
    rows_of,
    seen_as,
    with_poses,
    without,
)

UNSEEN = 0.3  # share of an outline taken to be seen, of instances that were not looked at
EVIDENCE_GAIN = 2.0  # how fast the chance of an object grows with the evidence for its pose
EVIDENCE_LEVEL = -1.0  # evidence at which it is one half


class SecondLook(nn.Module):
    """The part of an estimator that looks at single instances.

    Args:
        network: its close-up, refiner and region.
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
        self.settled = 0 if network.refiner is None else network.refiner.slots
        self.unseen, self.gain, self.level = UNSEEN, EVIDENCE_GAIN, EVIDENCE_LEVEL

    def look_closer(
        self, image: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The close-up's poses, mean of its views, or the best of its guesses, once corrected.

        Args:
            image: (B, H, W, 3) uint8 RGB.
            K: (B, 3, 3) px.
            class_index: (B, M).
            R, t: (B, M, 3, 3) and (B, M, 3) m, where the instances seem to be.

        Returns:
            Poses, and (B, M) the chance of an object there, one where there is no flow.
        """
        assert self.network.closeup is not None
        if self.network.refiner is not None and self.network.closeup.guesses > 1:
            guesses = self.network.closeup.guess(image, K, class_index, R, t)
            best = self.network.refiner.choose(image, K, class_index, guesses)
            return best.R.squeeze(2), best.t.squeeze(2), self._chance(best.chance.squeeze(2))
        looked = self.network.closeup.refine(image, K, class_index, R, t)
        R, t = self._mean_view(looked, class_index)
        return R, t, torch.ones_like(t[..., 0])

    def correct(
        self, image: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Looked]:
        """The refiner's corrections of poses, mean of its views; shapes as in ``look_closer``.

        Returns:
            Poses, and what they are made of.
        """
        assert self.network.refiner is not None
        looked = self.network.refiner.refine(image, K, class_index, R, t)
        R, t = self._mean_view(looked, class_index)
        return R, t, looked

    def settle(
        self, image: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Corrections and fits to the outlines, in turn, at last the mean of both.

        Returns:
            Poses, and (B, M) the chance of an object there: the share of the outline that is
            seen, see ``region.RegionFit``, times what the flow says.
        """
        assert self.network.refiner is not None
        assert self.network.region is not None
        points, seen = self.network.refiner.points, torch.ones_like(t[..., 0])
        for _ in range(self.network.region.rounds):
            R, t, looked = self.correct(image, K, class_index, R, t)
            around, visible = looked.center, looked.visible
            R, t, seen = self.network.region(image, K, class_index, R, t, around, visible, points)
        R_last, t_last, looked = self.correct(image, K, class_index, R, t)
        R, t = self.align.between(R, t, R_last, t_last, self.network.region.last, class_index)
        if self.network.refiner.flow is not None:
            seen = seen * self._chance(looked.evidence)
        return R, t, seen

    def look_again(self, image: Tensor, K: Tensor, found: Instances) -> Instances:
        """Gives as many instances as there are slots better poses, in any scene as many.

        Args:
            image: (B, H, W, 3) uint8 RGB.
            K: (B, 3, 3) px.
            found: padded instances.
        """
        assert self.network.closeup is not None
        found = by_turns(found)
        n = min(self.network.closeup.slots, found.valid.shape[1])
        R, t, chance = self.look_closer(
            image, K, found.class_index[:, :n], found.R[:, :n], found.t[:, :n]
        )
        found = with_poses(found, found.score, R, t)
        rest = self.unseen if self.network.refiner is not None else 1.0
        chance = torch.cat((chance, torch.full_like(found.score[:, n:], rest)), 1)
        if self.settled > 0:
            row = order_of(found.score * chance, found.valid)
            found, chance = self.once(rows_of(found, row)), chance.gather(1, row)
            row = order_of(found.score * chance, found.valid)
            found, chance = rows_of(found, row), chance.gather(1, row)
            n = min(n, self.settled)
        return self._settled(image, K, found, chance, n)

    def _settled(
        self, image: Tensor, K: Tensor, found: Instances, chance: Tensor, n: int
    ) -> Instances:
        """The first n instances with the best poses there are; ``chance`` is (B, M)."""
        classes, R, t = found.class_index[:, :n], found.R[:, :n], found.t[:, :n]
        score = found.score
        if self.network.region is not None:
            assert self.network.refiner is not None
            R, t, seen = self.settle(image, K, classes, R, t)
            score = score * torch.cat((seen, chance[:, n:]), 1)
            boxes, keypoints = self._outlook(self.network.refiner.points, K, classes, R, t)
            found = seen_as(found, boxes, keypoints)
        elif self.network.refiner is not None:
            R, t, _ = self.correct(image, K, classes, R, t)
        found = best_first(with_poses(found, score, R, t))
        return self.once(found) if self.settled > 0 else found

    def _outlook(
        self, points: Tensor, K: Tensor, class_index: Tensor, R: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Amodal boxes (B, M, 4) and corners (B, M, 8, 2) px of posed objects.

        Args:
            points: (C, P, 6) m, of each object's surface about its box's centre, and normals.
            K: (B, 3, 3) px.
            class_index, R, t: as in ``look_closer``.
        """
        corners = self.corners[class_index]
        surface = points[class_index][..., :3] + corners.mean(-2, keepdim=True)
        pixels = geometry.project(geometry.transform(R, t, surface), K.unsqueeze(1))
        boxes = torch.cat((pixels.amin(-2), pixels.amax(-2)), -1)
        return boxes, geometry.project(geometry.transform(R, t, corners), K.unsqueeze(1))

    def once(self, found: Instances) -> Instances:
        """What was found twice, once; instances are sorted, best first."""
        middle = self.corners[found.class_index].mean(-2).unsqueeze(-1)
        center = (found.R @ middle).squeeze(-1) + found.t
        size = self.diameters[found.class_index]
        return without(found, repeated(found.class_index, found.valid, center, size))

    def _chance(self, evidence: Tensor) -> Tensor:
        """How likely an object is that a flow says as much for."""
        return torch.sigmoid(self.gain * (evidence - self.level))

    def _mean_view(self, looked: Looked, class_index: Tensor) -> tuple[Tensor, Tensor]:
        """Mean poses of the views, (B, M, 3, 3) and (B, M, 3)."""
        t_view = looked.t.flatten(0, 1)
        weight = torch.ones_like(t_view[..., 0])
        R, t, _ = self.align.mean(looked.R.flatten(0, 1), t_view, weight, class_index.reshape(-1))
        return R.unflatten(0, class_index.shape), t.unflatten(0, class_index.shape)
