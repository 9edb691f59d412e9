"""Orientations that stay continuous: alignment over symmetries, against sampled searches."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tracking_scene import CATALOGUE, SETTINGS, make_estimate

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.rotations import rotation_vectors, rotations
from cope_ros.tracking import Tracker
from cope_ros.tracking.symmetry import Symmetries, moved_covariance
from cope_training.evaluation.metrics.objects import symmetry_transforms

AXIS = np.array([1.0, 2.0, 2.0]) / 3.0
OFFSET = np.array([10.0, -20.0, 5.0])  # mm
# A cylinder on a slanted axis off the mesh's origin that may also stand on its head.
FLIP = np.eye(4)
FLIP[:3, :3] = Rotation.from_rotvec(np.pi * np.cross(AXIS, [0, 0, 1]) / np.sqrt(5 / 9)).as_matrix()
FLIP[:3, 3] = OFFSET - FLIP[:3, :3] @ OFFSET
ODD = Catalogue.from_dict(
    {
        "1": {
            "name": "cylinder",
            "diameter": 100.0,
            **{f"min_{a}": -40.0 for a in "xyz"},
            **{f"size_{a}": s for a, s in zip("xyz", (80.0, 70.0, 60.0), strict=True)},
            "symmetries_discrete": [FLIP.reshape(-1).tolist()],
            "symmetries_continuous": [{"axis": AXIS.tolist(), "offset": OFFSET.tolist()}],
        }
    }
)


def random_poses(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return Rotation.random(n, rng=rng).as_matrix(), rng.uniform([-0.2, -0.2, 0.5], 1.0, (n, 3))


def equivalents(R: np.ndarray, t: np.ndarray, index: int, catalogue: Catalogue) -> np.ndarray:
    """(S, 4, 4): a pose in every sampled symmetric equivalent."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, t
    return T @ symmetry_transforms(catalogue[index])


@pytest.mark.parametrize(("catalogue", "index"), [(CATALOGUE, 0), (CATALOGUE, 1), (CATALOGUE, 2),
                                                  (ODD, 0)])  # fmt: skip
def test_aligned_poses_are_the_nearest_equivalents(catalogue: Catalogue, index: int) -> None:
    symmetries = Symmetries(catalogue)
    R, t = random_poses(20, 0)
    R_ref, _ = random_poses(20, 1)
    classes = np.full(20, index)
    R_out, t_out = symmetries.align(R, t, classes, R_ref)
    distance = symmetries.distances(R, classes, R_ref)
    for row in range(20):
        sampled = equivalents(R[row], t[row], index, catalogue)
        angles = np.linalg.norm(rotation_vectors(sampled[:, :3, :3] @ R_ref[row].T), axis=1)
        assert distance[row] == pytest.approx(angles.min(), abs=0.02)
        assert np.linalg.norm(rotation_vectors(R_out[row] @ R_ref[row].T)) == pytest.approx(
            distance[row], abs=1e-6
        )
        same = np.abs(sampled[:, :3, :3] - R_out[row]).max(axis=(1, 2))
        best = same.argmin()
        assert same[best] < 0.02
        assert sampled[best, :3, 3] == pytest.approx(t_out[row], abs=5e-4)


@pytest.mark.parametrize(("catalogue", "index"), [(CATALOGUE, 2), (ODD, 0)])
def test_the_centre_is_the_same_in_every_equivalent(catalogue: Catalogue, index: int) -> None:
    R, t = random_poses(1, 3)
    T = equivalents(R[0], t[0], index, catalogue)
    centers = Symmetries(catalogue).centers(T[:, :3, :3], T[:, :3, 3], np.full(len(T), index))
    assert np.ptp(centers, axis=0) == pytest.approx(0.0, abs=1e-9)


def test_the_box_stays_where_it_is() -> None:
    """The detections' box centre, R c + t, is on the axis of these objects."""
    tracker = Tracker(CATALOGUE)
    R, t = random_poses(1, 4)
    spin = rotations(np.array([[0.0, 0.0, 2.0]]))
    tracker.track(0.0, make_estimate(t, R, 2), SETTINGS)
    out = tracker.track(0.1, make_estimate(t, R @ spin, 2), SETTINGS).estimate
    c = CATALOGUE[2].box_center
    assert out.R[0] @ c + out.t[0] == pytest.approx((R @ spin)[0] @ c + t[0], abs=1e-6)
    assert out.R[0] == pytest.approx(R[0], abs=1e-5)


@pytest.mark.parametrize("index", [1, 2])
def test_orientations_do_not_flip_while_an_object_turns(index: int) -> None:
    rng = np.random.default_rng(5)
    tracker = Tracker(CATALOGUE)
    turns = symmetry_transforms(CATALOGUE[index])[:, :3, :3]
    jumps, raw, last, last_raw = [], [], None, None
    for i in range(60):
        true = rotations(np.array([0.3, 0.02 * i, 0.1]))
        seen = rotations(rng.normal(0, 0.03, 3)) @ true @ rng.choice(turns)
        out = tracker.track(i / 30, make_estimate([[0, 0, 1.0]], seen, index), SETTINGS)
        assert out.slots.tolist() == [0]
        R = out.estimate.R[0].astype(float)
        if last is not None:
            jumps.append(np.linalg.norm(rotation_vectors(R @ last.T)))
            raw.append(np.linalg.norm(rotation_vectors(seen @ last_raw.T)))
        last, last_raw = R, seen
    assert max(jumps) < 0.3
    assert max(raw) > 1.5


def test_one_wrong_rotation_does_not_turn_a_symmetric_object_around() -> None:
    tracker = Tracker(CATALOGUE)
    at = [[0, 0, 1.0]]
    for i, turn in enumerate(
        (0.0, 0.0, 1.7, 0.0, 0.0)
    ):  # 97 degrees: past the middle of the half turn
        R = rotations(np.array([[0.0, 0.0, turn]]))
        out = tracker.track(i / 10, make_estimate(at, R, 1), SETTINGS).estimate
    assert out.R[0] == pytest.approx(np.eye(3), abs=1e-6)


def test_unsymmetric_poses_pass_unchanged() -> None:
    tracker = Tracker(CATALOGUE)
    for i in range(3):
        R, t = random_poses(4, 6 + i)
        estimate = make_estimate(t, R, 0)
        out = tracker.track(i / 10, estimate, SETTINGS).estimate
        assert pytest.approx(estimate.R, abs=1e-6) == out.R
        assert out.t == pytest.approx(estimate.t, abs=1e-6)
        assert out.covariance == pytest.approx(estimate.covariance, abs=1e-5)


def test_a_moved_origin_changes_its_covariance_as_samples_do() -> None:
    rng = np.random.default_rng(7)
    A = rng.normal(size=(6, 6)) * 0.01
    shift = np.array([[0.1, -0.2, 0.3]])
    noise = rng.multivariate_normal(np.zeros(6), A @ A.T, 100_000)
    moved = noise.copy()
    moved[:, :3] += (rotations(noise[:, 3:]) - np.eye(3)) @ shift[0]
    expected = moved_covariance((A @ A.T)[None], shift)[0]
    assert np.cov(moved.T) == pytest.approx(expected, abs=2e-2 * np.abs(expected).max())


def test_rotation_vectors_round_trip() -> None:
    w = np.random.default_rng(8).normal(size=(50, 3))
    w *= np.minimum(1.0, 3.0 / np.linalg.norm(w, axis=1, keepdims=True))
    w[0] = 0.0
    R = rotations(w)
    assert Rotation.from_rotvec(w).as_matrix() == pytest.approx(R, abs=1e-12)
    assert rotation_vectors(R) == pytest.approx(w, abs=1e-6)
