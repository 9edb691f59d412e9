"""Training targets: which location answers for which instance, and what it should say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.locations import STRIDES, make_locations, pyramid_level
from cope_ros.core.errors import CopeError
from cope_ros.core.network.cope_network import catalogue_corners
from cope_training.data.frames import Frame
from cope_training.tasks import symmetries

BACKGROUND = -1
IGNORE = -2
PIXEL_OFFSET = 0.5  # px from a location's centre to the pixel whose label and depth it has


@dataclass(frozen=True)
class VisibilityRules:
    """What an instance's visible fraction entitles it to (paper, appendix B)."""

    foreground: float = 0.25  # below: background for the classification
    regression: float = 0.5  # from here on boxes, keypoints and poses are learned
    ignore: float = 0.25  # from here to ``foreground``: no classification loss at all
    min_locations: int = 2  # an object with fewer is background


@dataclass(frozen=True)
class Targets:
    """One batch. L locations, N instances of all images, P regression locations."""

    labels: Tensor  # (B, L) int64 class index, BACKGROUND or IGNORE
    rows: Tensor  # (P,) int64, into the flattened (B * L) locations
    instance: Tensor  # (P,) int64, into the instances below
    centers: Tensor  # (P, 2) float px
    strides: Tensor  # (P,) float px
    class_index: Tensor  # (N,) int64
    K: Tensor  # (N, 3, 3) float px
    R: Tensor  # (N, S, 3, 3) float, one per symmetric hypothesis
    t: Tensor  # (N, S, 3) float m
    keypoints: Tensor  # (N, S, 8, 2) float px
    boxes: Tensor  # (N, 4) float px, amodal
    depth: Tensor  # (P,) float m of the surface seen at the location, 0 where unknown

    def to(self, device: torch.device) -> "Targets":
        """The same on another device."""
        return Targets(**{k: v.to(device, non_blocking=True) for k, v in vars(self).items()})


class TargetBuilder:
    """Builds targets of batches of frames of equal size (paper, Eqs. 2 and 3).

    Args:
        catalogue: the objects.
        rules: visibility thresholds.
    """

    def __init__(self, catalogue: Catalogue, rules: VisibilityRules | None = None) -> None:
        self.catalogue = catalogue
        self.rules = rules or VisibilityRules()
        self.corners = catalogue_corners(catalogue)
        self.diameters = np.array([o.diameter for o in catalogue])

    def __call__(self, frames: Sequence[Frame]) -> Targets:
        """Targets of a batch; frames without instances are fine."""
        height, width = frames[0].image.shape[:2]
        centers, strides = make_locations(height, width, torch.device("cpu"))
        class_index = np.concatenate([f.class_index for f in frames])
        offsets = np.cumsum([0] + [len(f.class_index) for f in frames])
        poses = np.concatenate([f.T_cam_obj for f in frames])
        K = np.concatenate([np.tile(f.K, (len(f.class_index), 1, 1)) for f in frames])
        visibility = np.concatenate([f.visibility for f in frames])
        instance = self._instances_at_locations(frames, offsets)
        level = self._levels(class_index, poses, K)
        labels, regress = self._assign(instance, level, class_index, visibility)
        rows = torch.from_numpy(np.flatnonzero(regress))
        within = rows % centers.shape[0]
        hypotheses = symmetries.hypotheses(poses, class_index, self.catalogue)
        R = torch.from_numpy(hypotheses[:, :, :3, :3]).float()
        t = torch.from_numpy(hypotheses[:, :, :3, 3]).float()
        classes = torch.from_numpy(class_index).long()
        K_all = torch.from_numpy(K).float()
        points = geometry.transform(R, t, self.corners[classes].unsqueeze(1))
        return Targets(
            labels=torch.from_numpy(labels),
            rows=rows,
            instance=torch.from_numpy(instance.reshape(-1)[rows.numpy()]).long(),
            centers=centers[within],
            strides=strides[within],
            class_index=classes,
            K=K_all,
            R=R,
            t=t,
            keypoints=geometry.project(points, K_all.unsqueeze(1)),
            boxes=torch.from_numpy(np.concatenate([f.boxes for f in frames])).float(),
            depth=torch.from_numpy(self._depths(frames).reshape(-1)[rows.numpy()]),
        )

    def _instances_at_locations(self, frames: Sequence[Frame], offsets: np.ndarray) -> np.ndarray:
        """(B, L) row of the batch's instance seen at each location, -1 for none."""
        maps = np.stack([_instance_map(f) for f in frames]).astype(np.int64)
        maps = np.where(maps >= 0, maps + offsets[:-1, None, None], -1)
        return _at_locations(maps)

    def _depths(self, frames: Sequence[Frame]) -> np.ndarray:
        """(B, L) float32 m, 0 where a frame does not know."""
        nothing = np.zeros(frames[0].image.shape[:2], np.float32)
        return _at_locations(np.stack([nothing if f.depth is None else f.depth for f in frames]))

    def _levels(self, class_index: np.ndarray, poses: np.ndarray, K: np.ndarray) -> np.ndarray:
        depth = np.maximum(poses[:, 2, 3], geometry.MIN_DEPTH)
        apparent = K[:, 0, 0] * self.diameters[class_index] / depth
        return pyramid_level(torch.from_numpy(apparent)).numpy()

    def _assign(
        self,
        instance: np.ndarray,
        level: np.ndarray,
        class_index: np.ndarray,
        visibility: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Labels (B, L) and whether each location regresses, (B, L) bool."""
        rules, seen = self.rules, instance >= 0
        if not len(class_index):
            return np.full(instance.shape, BACKGROUND, np.int64), np.zeros_like(seen)
        row = np.maximum(instance, 0)
        on_level = seen & (level[row] == self._location_levels(instance.shape[1])[None])
        count = np.bincount(instance[on_level], minlength=len(class_index))
        on_level &= (count >= rules.min_locations)[row]
        seen_fraction = visibility[row]
        positive = on_level & (seen_fraction >= rules.foreground)
        unsure = on_level & (seen_fraction >= rules.ignore) & ~positive
        labels = np.where(positive, class_index[row], BACKGROUND).astype(np.int64)
        labels[unsure] = IGNORE
        return labels, positive & (seen_fraction >= rules.regression)

    def _location_levels(self, n_locations: int) -> np.ndarray:
        """(L,) level of each location; a level has four times the next one's."""
        unit = n_locations // (1 + 4 + 16)
        return np.repeat(np.arange(len(STRIDES)), [16 * unit, 4 * unit, unit])


def _at_locations(maps: np.ndarray) -> np.ndarray:
    """(B, H, W) -> (B, L): the pixels at the locations' centres."""
    return np.concatenate(
        [maps[:, s // 2 :: s, s // 2 :: s].reshape(len(maps), -1) for s in STRIDES], 1
    )


def _instance_map(frame: Frame) -> np.ndarray:
    if frame.instance_map is None:
        raise CopeError("frame: training needs an instance map (mask_visib), got none")
    return frame.instance_map
