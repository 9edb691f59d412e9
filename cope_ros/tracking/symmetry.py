"""Rotation distance and alignment over an object's symmetries, for many instances at once.

With M = (R S)^T R_ref for a discrete symmetry S, the spin about the continuous axis a that
brings R S nearest to R_ref maximises trace(spin^T M). M's trace, its part along the axis and its
sine are linear in R^T R_ref, so that the maximum has a closed form behind one matrix product.
"""

import numpy as np

from cope_ros.core.catalogue import Catalogue, ObjectModel
from cope_ros.core.rotations import rotations, skew


class Symmetries:
    """The symmetries of a catalogue's objects, padded to the same number S.

    Args:
        catalogue: the objects.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        objects = list(catalogue)
        count = max((len(o.symmetry.members) for o in objects), default=1)
        self._T = np.tile(np.eye(4), (len(objects), count, 1, 1))  # (C, S, 4, 4)
        self._axis = np.zeros((len(objects), 3))
        self._offset = np.zeros((len(objects), 3))
        for c, item in enumerate(objects):
            group = item.symmetry
            self._T[c, : len(group.members)] = group.members
            self._axis[c], self._offset[c] = group.axis, group.offset
        self._sphere = np.array([o.symmetry.sphere for o in objects], dtype=bool)
        self.diameters = np.array([o.diameter for o in objects])  # (C,) m
        self._centers = np.array([_fixed_point(o) for o in objects]).reshape(
            -1, 3
        )  # (C, 3) m, object frame
        self._functionals = self._linear_functionals()  # (C, S, 3, 3, 3)

    def centers(self, R: np.ndarray, t: np.ndarray, class_index: np.ndarray) -> np.ndarray:
        """(N, 3) m: a point in the middle of each object that no symmetry moves."""
        return (R @ self._centers[class_index][..., None])[..., 0] + t

    def distances(self, R: np.ndarray, class_index: np.ndarray, R_ref: np.ndarray) -> np.ndarray:
        """(N,) rad: smallest rotations from ``R`` (N, 3, 3) to ``R_ref`` (N, 3, 3).

        Args:
            class_index: (N,) whose symmetries count.
        """
        trace, sine, along = self._products(R, class_index, R_ref)
        best = (along + np.hypot(trace - along, sine)).max(axis=1)
        angle = np.arccos(np.clip(0.5 * (best - 1.0), -1.0, 1.0))
        return np.where(self._sphere[class_index], 0.0, angle)

    def align(
        self, R: np.ndarray, t: np.ndarray, class_index: np.ndarray, R_ref: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The symmetric equivalents nearest to ``R_ref`` (N, 3, 3).

        Returns:
            (N, 3, 3), (N, 3) m: poses in which the objects look the same.
        """
        rows = np.arange(len(R))
        trace, sine, along = self._products(R, class_index, R_ref)
        best = (along + np.hypot(trace - along, sine)).argmax(axis=1)
        angle = np.arctan2(sine[rows, best], (trace - along)[rows, best])
        spin = rotations(self._axis[class_index] * angle[:, None])
        S = self._T[class_index, best]
        t = t + (R @ S[:, :3, 3:])[..., 0]
        R = R @ S[:, :3, :3]
        sphere = self._sphere[class_index]
        spin[sphere] = np.swapaxes(R[sphere], 1, 2) @ R_ref[sphere]
        offset = self._offset[class_index][..., None]
        return R @ spin, t + (R @ (offset - spin @ offset))[..., 0]

    def _products(
        self, R: np.ndarray, class_index: np.ndarray, R_ref: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Trace, sine and part along the axis of M, (N, S) each."""
        relative = (np.swapaxes(R, 1, 2) @ R_ref).reshape(-1, 9, 1)
        functionals = self._functionals[class_index]
        n, count = functionals.shape[:2]
        products = (functionals.reshape(n, 3 * count, 9) @ relative).reshape(n, count, 3)
        return products[..., 0], products[..., 1], products[..., 2]

    def _linear_functionals(self) -> np.ndarray:
        """(C, S, 3, 3, 3): inner products with R^T R_ref give M's trace, sine and part along a.

        Without an axis the whole trace counts as along it, so that no spin is left.
        """
        eye = np.broadcast_to(np.eye(3), (len(self._axis), 3, 3))
        outer = self._axis[:, :, None] * self._axis[:, None, :]
        has_axis = np.linalg.norm(self._axis, axis=1)[:, None, None] > 0.5
        parts = np.stack([eye, skew(self._axis), np.where(has_axis, outer, eye)], axis=1)
        return self._T[:, :, None, :3, :3] @ parts[:, None]


def _fixed_point(item: ObjectModel) -> np.ndarray:
    """(3,) m in the mesh's frame: the box's centre, averaged over the symmetries."""
    center, group = item.box_center, item.symmetry
    if group.sphere:
        return group.offset
    if group.continuous:
        center = group.offset + (center - group.offset) @ group.axis * group.axis
    images = [S[:3, :3] @ center + S[:3, 3] for S in group.members]
    return np.asarray(np.mean(images, axis=0))


def moved_covariance(covariance: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Covariances (N, 6, 6) of poses whose origin moved by ``shift`` (N, 3) m with the body.

    Position and rotation about the camera's fixed axes: a small rotation w displaces the new
    origin by cross(w, shift) more than the old one.
    """
    J = np.tile(np.eye(6), (len(shift), 1, 1))
    J[:, :3, 3:] = -skew(shift)
    return (J @ covariance @ np.swapaxes(J, 1, 2)).astype(covariance.dtype)
