"""How far estimated poses are off, against the covariance that came with them.

Errors are those of ``p_cam = exp(w) R p_obj + t``: position in metres and a small rotation w in
radians about the camera's fixed axes, from the estimate to the truth, after the estimate was
moved to the symmetric equivalent nearest to the truth.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.runtime import Estimate
from cope_ros.core.rotations import rotation_vectors
from cope_ros.tracking.symmetry import Symmetries, moved_covariance
from cope_training.data.boxes import box_iou
from cope_training.data.frames import Frame

MIN_IOU = 0.5  # of the amodal boxes of an estimate and the object it is taken for
MIN_VISIBILITY = 0.1  # of objects that are asked for


class Runner(Protocol):
    """What is measured: ``cope_ros.core.deployment.runtime.Estimator`` or a stand-in."""

    catalogue: Catalogue

    def estimate(self, image: np.ndarray, K: np.ndarray) -> Estimate:
        """Finds all instances in an (H, W, 3) uint8 RGB image with intrinsics (3, 3)."""


@dataclass(frozen=True)
class Samples:
    """Matched estimates; N rows."""

    class_index: np.ndarray  # (N,) int64
    t: np.ndarray  # (N, 3) m, estimated
    error: np.ndarray  # (N, 6) m and rad
    covariance: np.ndarray  # (N, 6, 6) as estimated
    axis: np.ndarray  # (N, 3) of the continuous symmetry in the camera frame, zero without
    support: np.ndarray  # (N,) int64, hypotheses behind each estimate

    def __len__(self) -> int:
        return len(self.class_index)

    def take(self, rows: np.ndarray) -> "Samples":
        """Some rows, by mask or index."""
        return Samples(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def collect(runner: Runner, frames: Iterable[Frame]) -> Samples:
    """Runs a model on images and compares what it finds with the truth."""
    symmetries = Symmetries(runner.catalogue)
    parts = []
    for frame in frames:
        found = runner.estimate(frame.image, frame.K)
        rows, owners = match(found, frame)
        parts.append(_compare(found, rows, frame, owners, runner.catalogue, symmetries))
    return Samples(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Samples)}
    )


def match(found: Estimate, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Rows of estimates and of visible objects of the same class whose boxes overlap most.

    Boxes, not positions, so that a wrong depth stays in the sample.
    """
    iou = box_iou(found.boxes.astype(float)[:, None], frame.boxes.astype(float)[None])
    same = found.class_index[:, None] == frame.class_index
    iou = np.where(same & (frame.visibility >= MIN_VISIBILITY), iou, 0.0)
    rows, owners = linear_sum_assignment(-iou)
    good = iou[rows, owners] >= MIN_IOU
    return rows[good], owners[good]


def _compare(
    found: Estimate,
    rows: np.ndarray,
    frame: Frame,
    owners: np.ndarray,
    catalogue: Catalogue,
    symmetries: Symmetries,
) -> Samples:
    R_gt, t_gt = frame.T_cam_obj[owners, :3, :3], frame.T_cam_obj[owners, :3, 3]
    t_est, classes = found.t[rows].astype(float), found.class_index[rows]
    R, t = symmetries.align(found.R[rows].astype(float), t_est, classes, R_gt)
    turn = rotation_vectors(R_gt @ np.swapaxes(R, 1, 2))
    axes = np.array([o.symmetry.axis for o in catalogue])
    return Samples(
        class_index=classes,
        t=t,
        error=np.concatenate([t_gt - t, turn], axis=1),
        covariance=moved_covariance(found.covariance[rows].astype(float), t - t_est),
        axis=(R @ axes[classes][:, :, None])[..., 0],
        support=found.support[rows].astype(np.int64),
    )


def across_basis(direction: np.ndarray) -> np.ndarray:
    """(N, 3) unit vectors -> (N, 2, 3): two unit vectors across each."""
    helper = np.eye(3)[np.argmin(np.abs(direction), axis=1)]
    first = np.cross(direction, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(direction, first)], axis=1)


def squares(samples: Samples, part: str = "pose") -> tuple[np.ndarray, np.ndarray]:
    """Squared Mahalanobis lengths of the errors and their degrees of freedom.

    The rotation about a continuous axis of symmetry cannot be wrong and is left out.

    Args:
        part: "pose" (6 numbers), "position" (3) or "rotation" (3).

    Returns:
        (N,) and (N,) float64.
    """
    columns = {"pose": slice(0, 6), "position": slice(0, 3), "rotation": slice(3, 6)}[part]
    out, freedom = np.empty(len(samples)), np.empty(len(samples))
    spins = np.any(samples.axis != 0, axis=1)
    for rows in (np.flatnonzero(spins), np.flatnonzero(~spins)):
        basis = np.tile(np.eye(6), (len(rows), 1, 1))
        if len(rows) and spins[rows[0]]:
            basis = np.zeros((len(rows), 5, 6))
            basis[:, :3, :3] = np.eye(3)
            basis[:, 3:, 3:] = across_basis(samples.axis[rows])
        used = np.any(basis[:, :, columns] != 0, axis=(0, 2)) if len(rows) else slice(None)
        basis = basis[:, used]
        error = basis @ samples.error[rows, :, None]
        covariance = basis @ samples.covariance[rows] @ np.swapaxes(basis, 1, 2)
        out[rows] = (error * np.linalg.solve(covariance, error)).sum(axis=(1, 2))
        freedom[rows] = basis.shape[1]
    return out, freedom


def percentiles(samples: Samples, part: str = "pose") -> np.ndarray:
    """(N,) in [0, 1]: the share of a Gaussian's errors that would be smaller than each."""
    return np.asarray(chi2.cdf(*squares(samples, part)))


def coverage(
    samples: Samples, levels: Sequence[float] | np.ndarray, part: str = "pose"
) -> list[float]:
    """Share of the errors within the ellipsoids of nominal ``levels`` in [0, 1]."""
    inside = percentiles(samples, part)
    return [float(np.mean(inside <= level)) for level in levels]
