"""Different ways from the hypotheses of an instance to its pose (paper, Table 3).

All ways see the same instances: same classes, scores and members, from one run of the network.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.model_file import load_model
from cope_ros.core.deployment.preprocessing import Fit, fit_image
from cope_ros.core.deployment.runtime import resolve_device
from cope_ros.core.detection.averaging import SymmetryAligner, robust_mean
from cope_ros.core.detection.clustering import cluster, nms_3d, select_leaders
from cope_ros.core.detection.instances import MIN_QUALITY, MIN_SUPPORT
from cope_ros.core.network.build import score_power
from cope_ros.core.refinement.instance_refinement import image_size
from cope_ros.core.types import Hypotheses, PoseBatch, box_centers, within_class_scores

EPNP = "RANSAC-EPnP"
ALL = "mean of all"
VOTINGS = (EPNP, "n=1", "n=5", "n=10", ALL)
CROP_HEAD = "crop head"  # of models that have one: at what the default voting found
INSTANCE_HEAD = "instance head"  # the same, or of what the crop head found
REFINER = "refiner"  # the same, of what the crop head found
CONTOUR = "contour"  # refiner and fit to the contour in turn, of models that have one
DEFAULT_COUNT = 10  # of the n best hypotheses: what the votings beyond them start from
RANSAC_ERROR = 4.0  # px of the network's input, within which a corner is an inlier
RANSAC_ROUNDS = 100


@dataclass(frozen=True)
class Votes:
    """The instances of one image with the hypotheses behind each; K hypotheses, M instances."""

    hypotheses: Hypotheses  # batch of one
    rows: Tensor  # (M,) int64, the hypothesis that leads each instance
    member: Tensor  # (M, K) bool
    K: np.ndarray  # (3, 3) of the network's input
    fit: Fit
    image: Tensor | None = None  # (1, H, W, 3) uint8, the network's input
    shared: Tensor | None = None  # (1, F, H/4, W/4), features of an instance head


class VotingModel:
    """An exported model whose hypotheses can be looked at."""

    def __init__(self, path: Path, device: str = "auto", score_threshold: float | None = None):
        """Loads the file; ``score_threshold`` replaces the file's own."""
        self.device = resolve_device(device)
        self._scripted, metadata = load_model(path, self.device)
        self.catalogue = Catalogue.from_dict(metadata["models_info"])
        self._size = tuple(metadata["input_size"])
        self._max_instances = int(metadata["max_instances"])
        network = metadata.get("network", {})
        self._score_power = score_power(network.get("pose_head", ""))
        head, crop_head = network.get("instance_head"), network.get("crop_head")
        refiner, contour_fit = network.get("refiner"), network.get("contour_fit")
        parts = {
            CROP_HEAD: crop_head, INSTANCE_HEAD: head, REFINER: refiner, CONTOUR: contour_fit
        }  # fmt: skip
        self.votings = (*VOTINGS, *(name for name, part in parts.items() if part is not None))
        self._max_crops = 0 if crop_head is None else int(crop_head["max_crops"])
        self._max_refined = 0 if refiner is None else int(refiner["max_refined"])
        self._align = SymmetryAligner(self.catalogue).to(self.device)
        if score_threshold is not None:
            self._scripted.score_threshold.fill_(score_threshold)

    def hypothesize(self, image: np.ndarray, K: np.ndarray) -> Votes:
        """Network, poses and clusters of one (H, W, 3) uint8 image with intrinsics K (3, 3)."""
        with torch.inference_mode():
            tensor, fit = fit_image(torch.from_numpy(image.copy()), *self._size)
            K_fit = fit.intrinsics(K)
            camera = torch.from_numpy(K_fit).float().to(self.device)
            tensor = tensor.to(self.device)[None]
            outputs = self._scripted.network(tensor)
            enabled = self._scripted.enabled
            h = Hypotheses(*self._scripted.decode(outputs, tensor, camera[None], enabled))
            active = (h.score >= self._scripted.hypothesis_threshold()) & _finite(h)
            threshold = self._scripted.iou_threshold
            leads, leader = cluster(h.boxes, h.class_index, active, threshold)
            support = torch.zeros_like(leader).scatter_add_(1, leader, active.long())
            rows, valid = select_leaders(leads & (support >= MIN_SUPPORT), self._max_instances)
            rows = rows[0][valid[0]]
            member = (leader[0][None] == rows[:, None]) & active[0][None]
        return Votes(h, rows, member, K_fit, fit, tensor, outputs.shared)

    def poses(self, votes: Votes, voting: str) -> tuple[np.ndarray, np.ndarray]:
        """(M, 3, 3) and (M, 3) m of every instance; NaN where no pose came out.

        Args:
            voting: one of ``votings``, or ``n=`` with any number.
        """
        if voting == EPNP:
            return self._epnp(votes)
        if voting == INSTANCE_HEAD:
            return self._by_instance_head(votes)
        if voting in (CROP_HEAD, REFINER, CONTOUR):
            return self._refined(votes, voting)
        limit = votes.member.shape[1] if voting == ALL else int(voting.removeprefix("n="))
        with torch.inference_mode():
            R, t = self._mean(votes, limit)
        return R.double().cpu().numpy(), t.double().cpu().numpy()

    def _by_instance_head(self, votes: Votes) -> tuple[np.ndarray, np.ndarray]:
        """Refined poses of as many instances as the head takes, the default voting's of others."""
        if INSTANCE_HEAD not in self.votings or votes.image is None or votes.shared is None:
            raise ValueError(f"{INSTANCE_HEAD}: expected a model that has one, and its features")
        head, size = self._scripted.refinement.instance_head.head, image_size(votes.image)
        with torch.inference_mode():
            R, t = self._mean(votes, DEFAULT_COUNT)
            if CROP_HEAD in self.votings:
                found = self._refined(votes, CROP_HEAD)
                R, t = (torch.from_numpy(x).float().to(self.device) for x in found)
            row = self._first(votes, int(head.max_refined))
            if len(row):
                start = self._batch(votes, row, R, t)
                refined = head.refine(
                    votes.shared, start.class_index, start.R, start.t, start.K, size
                )
                R[row], t[row] = refined.R[0], refined.t[0]
        return R.double().cpu().numpy(), t.double().cpu().numpy()

    def _refined(self, votes: Votes, part: str) -> tuple[np.ndarray, np.ndarray]:
        """The poses that a part gives as many instances as it has slots, the votings' of others."""
        if part not in self.votings or votes.image is None:
            raise ValueError(f"{part}: expected a model that has one, and votes with their image")
        with torch.inference_mode():
            R, t = self._mean(votes, DEFAULT_COUNT)
            row = self._first(votes, self._max_crops)
            if len(row):
                stage = self._scripted.refinement.crops
                poses, probability = stage.by_crop_head(votes.image, self._batch(votes, row, R, t))
                poses = PoseBatch(*poses)
                R[row], t[row] = poses.R[0], poses.t[0]
                if part != CROP_HEAD and self._max_refined:
                    score = votes.hypotheses.score[:, votes.rows]
                    row = row[self._best(score[:, row] * probability, poses)]
                    poses = self._batch(votes, row, R, t)
                if part == REFINER:
                    poses = PoseBatch(*stage.by_refiner(votes.image, poses)[0])
                elif part == CONTOUR:
                    poses = PoseBatch(*stage.by_contour_fit(votes.image, poses)[0])
                R[row], t[row] = poses.R[0], poses.t[0]
        return R.double().cpu().numpy(), t.double().cpu().numpy()

    def _first(self, votes: Votes, count: int) -> Tensor:
        """(at most ``count``,) int64, the instances that a stage takes, as in the estimator."""
        score = votes.hypotheses.score[:, votes.rows]
        classes = votes.hypotheses.class_index[:, votes.rows]
        value = within_class_scores(score, classes, torch.ones_like(score, dtype=torch.bool))
        return value[0].topk(min(count, len(votes.rows)))[1]

    def _batch(self, votes: Votes, row: Tensor, R: Tensor, t: Tensor) -> PoseBatch:
        """Poses of the instances ``row`` as a batch of one image."""
        classes = votes.hypotheses.class_index[0][votes.rows[row]]
        K = torch.from_numpy(votes.K).float().to(self.device)[None]
        return PoseBatch(classes[None], R[None, row], t[None, row], K)

    def _best(self, value: Tensor, poses: PoseBatch) -> Tensor:
        """Those of n instances (1, n) that go on to the refiner, as in the estimator."""
        order = value[0].argsort(descending=True, stable=True)
        stage, classes = self._scripted.refinement.crops, poses.class_index[:, order]
        center = box_centers(poses, stage.corners.mean(1))[:, order]
        valid = torch.ones_like(classes, dtype=torch.bool)
        twice = nms_3d(classes, valid, center, stage.diameters[classes])
        return order[~twice[0]][: self._max_refined]

    def _mean(self, votes: Votes, limit: int) -> tuple[Tensor, Tensor]:
        """Mean of the ``limit`` best members, ranked and weighted as in the estimator."""
        h, count = votes.hypotheses, len(votes.rows)
        if count == 0:
            return h.R.new_zeros(0, 3, 3), h.t.new_zeros(0, 3)
        most = min(limit, int(votes.member.sum(dim=1).max()))
        quality = (h.consistency * h.score.pow(self._score_power)).clamp_min(MIN_QUALITY)
        vote = torch.where(votes.member, quality, torch.zeros_like(quality))
        weight, index = vote.topk(most, dim=1)
        weight[:, 0] = weight[:, 0].clamp_min(1e-3)
        R, t = h.R[0][index], h.t[0][index]
        reference = R[:, :1].expand(-1, most, -1, -1).reshape(-1, 3, 3)
        classes = h.class_index[0][votes.rows][:, None].expand(-1, most).reshape(-1)
        R, t = self._align(R.reshape(-1, 3, 3), t.reshape(-1, 3), reference, classes)
        R, t, _ = robust_mean(R.view(count, most, 3, 3), t.view(count, most, 3), weight)
        return R, t

    def _epnp(self, votes: Votes) -> tuple[np.ndarray, np.ndarray]:
        """OpenCV's RANSAC with EPnP on the corners that all members of an instance predict."""
        h, count = votes.hypotheses, len(votes.rows)
        R, t = np.full((count, 3, 3), np.nan), np.full((count, 3), np.nan)
        keypoints = h.keypoints[0].double().cpu().numpy()
        member = votes.member.cpu().numpy()
        classes = h.class_index[0][votes.rows].tolist()
        for row in range(count):
            pixels = keypoints[member[row]].reshape(-1, 2)
            points = np.tile(self.catalogue[classes[row]].corners, (len(pixels) // 8, 1))
            pose = ransac_epnp(points, pixels, votes.K)
            if pose is not None:
                R[row], t[row] = pose
        return R, t


def ransac_epnp(
    points: np.ndarray, pixels: np.ndarray, K: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Pose of an object from correspondences (Lepetit et al. 2009), None if none was found.

    Args:
        points: (P, 3) m, object frame.
        pixels: (P, 2).
        K: (3, 3).

    Returns:
        R (3, 3) and t (3,) m in front of the camera.
    """
    cv2.setRNGSeed(0)
    found, turn, shift, _ = cv2.solvePnPRansac(
        points, pixels, K, None,
        flags=cv2.SOLVEPNP_EPNP,
        reprojectionError=RANSAC_ERROR,
        iterationsCount=RANSAC_ROUNDS,
    )  # fmt: skip
    if not found or not np.isfinite(shift).all() or shift[2, 0] <= 0:
        return None
    return cv2.Rodrigues(turn)[0], shift[:, 0]


def instance_rows(votes: Votes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class index (M,), score (M,) and boxes (M, 4) px of the original image."""
    h = votes.hypotheses
    boxes = h.boxes[0][votes.rows].double().cpu().numpy()
    boxes = votes.fit.to_original(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
    return (
        h.class_index[0][votes.rows].cpu().numpy(),
        h.score[0][votes.rows].double().cpu().numpy(),
        boxes,
    )


def _finite(h: Hypotheses) -> Tensor:
    return torch.isfinite(h.t).all(-1) & torch.isfinite(h.R).flatten(2).all(-1)
