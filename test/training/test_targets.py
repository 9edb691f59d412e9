"""Targets against hand-placed instances: levels, visibility, symmetries, empty frames."""

import numpy as np
import pytest
import torch
from core_factory import make_catalogue

from cope_ros.core import geometry
from cope_ros.core.rotations import about, plane_basis
from cope_training.data.frames import Frame
from cope_training.tasks.dense.targets import BACKGROUND, IGNORE, TargetBuilder, VisibilityRules
from cope_training.tasks.symmetric_poses import SymmetricPoses

SIDE = 128
FOCAL = 300.0
K = np.array([[FOCAL, 0, 64], [0, FOCAL, 64], [0, 0, 1]])


def make_frame(rows: list[tuple[int, float, float]], masks: list[tuple[slice, slice]]) -> Frame:
    """Instances (class, z m, visibility) that are seen in the given windows."""
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, 2, 3] = [z for _, z, _ in rows]
    seen = np.full((SIDE, SIDE), -1, np.int16)
    for i, window in enumerate(masks):
        seen[window] = i
    return Frame(
        image=np.zeros((SIDE, SIDE, 3), np.uint8),
        K=K,
        class_index=np.array([c for c, _, _ in rows], dtype=np.int64),
        T_cam_obj=poses,
        visibility=np.array([v for _, _, v in rows], dtype=np.float32),
        instance_map=seen,
        boxes=np.tile(np.array([10.0, 20, 90, 80], np.float32), (len(rows), 1)),
    )


CROP_SCALE = (slice(32, 96), slice(32, 96))
# object0: diameter 141 mm, so 300 px * 0.141 m / 0.5 m = 85 px: the finest level.
NEAR = (0, 0.5, 1.0)


def test_an_instance_owns_the_locations_of_its_mask_on_its_level() -> None:
    targets = TargetBuilder(make_catalogue())([make_frame([NEAR], [CROP_SCALE])])
    labels = targets.labels[0]
    fine = labels[:256].reshape(16, 16)
    assert (fine[4:12, 4:12] == 0).all()
    assert (labels == 0).sum() == 64
    assert len(targets.rows) == 64
    assert targets.strides.unique().tolist() == [8]


@pytest.mark.parametrize(("z", "stride"), [(0.5, 8), (0.3, 16), (0.1, 32)])
def test_level_follows_the_apparent_size(z: float, stride: int) -> None:
    targets = TargetBuilder(make_catalogue())([make_frame([(0, z, 1.0)], [CROP_SCALE])])
    assert targets.strides.unique().tolist() == [stride]


@pytest.mark.parametrize(
    ("visibility", "label", "regresses"),
    [(0.05, BACKGROUND, False), (0.2, IGNORE, False), (0.3, 0, False), (0.6, 0, True)],
)
def test_visibility_rules(visibility: float, label: int, regresses: bool) -> None:
    rules = VisibilityRules(foreground=0.25, regression=0.5, ignore=0.1)
    builder = TargetBuilder(make_catalogue(), rules)
    targets = builder([make_frame([(0, 0.5, visibility)], [CROP_SCALE])])
    assert targets.labels[0, :256].reshape(16, 16)[5, 5] == label
    assert bool(len(targets.rows)) == regresses


def test_an_object_with_one_location_is_background() -> None:
    tiny = (slice(36, 44), slice(36, 44))
    targets = TargetBuilder(make_catalogue())([make_frame([NEAR], [tiny])])
    assert (targets.labels == BACKGROUND).all()


def test_rows_point_into_the_batch() -> None:
    left, right = (slice(0, 64), slice(0, 64)), (slice(64, 128), slice(64, 128))
    frames = [
        make_frame([NEAR], [left]),
        make_frame([], []),
        make_frame([NEAR, (1, 0.5, 1.0)], [left, right]),
    ]
    targets = TargetBuilder(make_catalogue())(frames)
    assert targets.class_index.tolist() == [0, 0, 1]
    image = targets.rows // targets.labels.shape[1]
    assert image.unique().tolist() == [0, 2]
    assert targets.instance.unique().tolist() == [0, 1, 2]
    labels = targets.labels.flatten()[targets.rows]
    assert torch.equal(labels, targets.class_index[targets.instance])
    assert (targets.centers[targets.instance == 2] > 60).all()


def test_a_batch_without_instances() -> None:
    targets = TargetBuilder(make_catalogue())([make_frame([], []), make_frame([], [])])
    assert (targets.labels == BACKGROUND).all()
    assert len(targets.rows) == len(targets.class_index) == 0


def test_keypoints_are_the_projected_corners() -> None:
    catalogue = make_catalogue()
    targets = TargetBuilder(catalogue)([make_frame([NEAR], [CROP_SCALE])])
    corners = catalogue[0].corners + np.array([0, 0, 0.5])
    expected = corners[:, :2] / corners[:, 2:] * FOCAL + 64
    assert np.allclose(targets.keypoints[0, 0].numpy(), expected, atol=1e-3)


def test_discrete_hypotheses_permute_the_corners() -> None:
    targets = TargetBuilder(make_catalogue())([make_frame([(1, 0.5, 1.0)], [CROP_SCALE])])
    first, second = targets.keypoints[0, 0], targets.keypoints[0, 1]
    assert not torch.allclose(first, second, atol=1.0)
    distance = torch.cdist(first, second)
    assert (distance.min(1).values < 1e-2).all()


def test_a_continuous_symmetry_has_one_pose_per_view() -> None:
    catalogue = make_catalogue()
    rng = np.random.default_rng(0)
    R = geometry.exp_so3(torch.tensor(rng.normal(size=3))).numpy()
    turns = about(np.array([0.0, 0, 1]), np.linspace(0, 5, 5), np.zeros(3))[:, :3, :3]
    t = torch.tensor([0.05, -0.1, 0.7]).double().expand(5, 3)
    symmetric = SymmetricPoses(catalogue)
    R_all, t_all = symmetric(torch.from_numpy(R @ turns), t, torch.full((5,), 2))
    assert torch.allclose(R_all[1:], R_all[:1], atol=1e-9)
    assert torch.allclose(t_all[1:], t_all[:1], atol=1e-9)
    camera = -R_all[0, 0].numpy().T @ t_all[0, 0].numpy()
    e1, e2 = plane_basis(np.array([0.0, 0, 1]))
    assert camera @ e2 == pytest.approx(0, abs=1e-9)
    assert camera @ e1 > 0
