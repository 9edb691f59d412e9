"""Pose errors against closed forms, naive loops and what must not matter."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from metrics_scene import make_object, near, random_poses
from scipy.spatial.transform import Rotation

from cope_ros.core.errors import CopeError
from cope_training.evaluation.metrics import errors
from cope_training.evaluation.metrics.objects import EvalObject, load_objects, symmetry_transforms

K = np.array([[500.0, 0, 320], [0, 510.0, 240], [0, 0, 1]])
CYLINDER = {"axis": [0, 0, 1], "offset": [0, 0, 0]}
HALF_TURN = [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


@pytest.fixture(params=["box", "two-fold", "cylinder", "cylinder two-fold"])
def obj(request: pytest.FixtureRequest) -> EvalObject:
    if "cylinder" in request.param:
        mesh = trimesh.creation.cylinder(0.04, 0.1, sections=20)
        upside_down = [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1]
        discrete = [upside_down] if "two-fold" in request.param else []
        return make_object(mesh, symmetries_continuous=[CYLINDER], symmetries_discrete=discrete)
    mesh = trimesh.creation.box((0.05, 0.08, 0.12)).subdivide().subdivide()
    turns = [HALF_TURN] if request.param == "two-fold" else []
    return make_object(mesh, symmetries_discrete=turns)


def naive(obj: EvalObject, R_e, t_e, R_g, t_g, project: bool) -> float:
    """MSSD or MSPD of one pair, as written in the definition."""

    def seen(points: np.ndarray) -> np.ndarray:
        return (points / points[:, 2:]) @ K.T if project else points

    est = seen(obj.vertices @ R_e.T + t_e)
    least = np.inf
    for S in obj.symmetries:
        moved = obj.vertices @ S[:3, :3].T + S[:3, 3]
        gap = est - seen(moved @ R_g.T + t_g)
        least = min(least, np.linalg.norm(gap, axis=1).max())
    return least


def test_mssd_and_mspd_equal_the_definition(obj: EvalObject) -> None:
    R_g, t_g = random_poses(12, 0)
    R_e, t_e = near(R_g, t_g, 1)
    Ks = np.broadcast_to(K, (12, 3, 3))
    surface = errors.mssd(obj, R_e, t_e, R_g, t_g)
    projected = errors.mspd(obj, Ks, R_e, t_e, R_g, t_g)
    for p in range(12):
        pose = R_e[p], t_e[p], R_g[p], t_g[p]
        assert surface[p] == pytest.approx(naive(obj, *pose, project=False), rel=1e-9)
        assert projected[p] == pytest.approx(naive(obj, *pose, project=True), rel=1e-9)


def test_limits_change_nothing_below_them(obj: EvalObject) -> None:
    R_g, t_g = random_poses(40, 2)
    R_e, t_e = near(R_g, t_g, 3)
    Ks = np.broadcast_to(K, (40, 3, 3))
    calls = {
        "mssd": lambda limit: errors.mssd(obj, R_e, t_e, R_g, t_g, limit),
        "mspd": lambda limit: errors.mspd(obj, Ks, R_e, t_e, R_g, t_g, limit),
        "add": lambda limit: errors.add(obj.vertices, R_e, t_e, R_g, t_g, limit),
        "add_s": lambda limit: errors.add_s(obj, R_e, t_e, R_g, t_g, limit),
    }
    for name, call in calls.items():
        exact = call(np.inf)
        limit = float(np.median(exact))
        limited = call(limit)
        below = exact < limit
        np.testing.assert_allclose(limited[below], exact[below], rtol=1e-9, err_msg=name)
        assert (limited[~below] >= limit * (1 - 1e-9)).all(), name


def test_symmetric_poses_have_no_error(obj: EvalObject) -> None:
    R_g, t_g = random_poses(1, 4)
    S = obj.symmetries[len(obj.symmetries) // 2]
    R_e, t_e = R_g @ S[:3, :3], t_g + R_g @ S[:3, 3]
    assert errors.mssd(obj, R_e, t_e, R_g, t_g)[0] < 1e-9
    assert errors.mspd(obj, K[None], R_e, t_e, R_g, t_g)[0] < 1e-6
    assert errors.rotation_error(obj, R_e, R_g)[0] < 1e-6


def test_continuous_symmetry_is_sampled_in_315_steps() -> None:
    mesh = trimesh.creation.cylinder(0.04, 0.1)
    obj = make_object(mesh, symmetries_continuous=[CYLINDER])
    assert len(obj.symmetries) == 315
    angle = np.arctan2(obj.symmetries[1, 1, 0], obj.symmetries[1, 0, 0])
    assert angle == pytest.approx(2 * np.pi / 315)


def test_symmetry_about_an_offset_axis_keeps_that_axis() -> None:
    entry = {"axis": [0, 0, 2], "offset": [10, 20, 0]}
    mesh = trimesh.creation.box((0.1, 0.1, 0.1))
    model = make_object(mesh, symmetries_continuous=[entry]).model
    transforms = symmetry_transforms(model)
    on_axis = np.array([0.01, 0.02, 0.3, 1])
    np.testing.assert_allclose(transforms @ on_axis, np.tile(on_axis, (315, 1)), atol=1e-12)


def test_translation_alone_is_the_error_in_closed_form() -> None:
    obj = make_object(trimesh.creation.box((0.1, 0.1, 0.1)))
    R_g, t_g = np.eye(3)[None], np.array([[0.0, 0.0, 1.0]])
    t_e = t_g + np.array([0.03, 0.04, 0.0])
    assert errors.mssd(obj, R_g, t_e, R_g, t_g)[0] == pytest.approx(0.05)
    assert errors.add(obj.vertices, R_g, t_e, R_g, t_g)[0] == pytest.approx(0.05)
    # The nearest face is at z = 0.95: 500 * 0.03 / 0.95 across, 510 * 0.04 / 0.95 down.
    expected = np.hypot(500 * 0.03, 510 * 0.04) / 0.95
    assert errors.mspd(obj, K[None], R_g, t_e, R_g, t_g)[0] == pytest.approx(expected)
    assert errors.translation_error(t_e, t_g)[0] == pytest.approx(0.05)


def test_add_s_equals_the_nearest_neighbour_loop() -> None:
    obj = make_object(trimesh.creation.icosphere(2, 0.05))
    R_g, t_g = random_poses(5, 6)
    R_e, t_e = near(R_g, t_g, 7)
    found = errors.add_s(obj, R_e, t_e, R_g, t_g)
    for p in range(5):
        est, truth = (obj.vertices @ R[p].T + t[p] for R, t in ((R_e, t_e), (R_g, t_g)))
        gaps = np.linalg.norm(truth[:, None] - est[None], axis=2)
        assert found[p] == pytest.approx(gaps.min(axis=1).mean())


def test_a_pose_behind_the_camera_has_infinite_projection_error() -> None:
    obj = make_object(trimesh.creation.box((0.1, 0.1, 0.1)))
    R, t = np.eye(3)[None], np.array([[0.0, 0.0, 1.0]])
    assert np.isinf(errors.mspd(obj, K[None], R, -t, R, t)[0])


def test_rotation_error_is_the_angle() -> None:
    obj = make_object(trimesh.creation.box((0.1, 0.1, 0.1)))
    R = Rotation.from_rotvec([0.3, 0, 0]).as_matrix()[None]
    assert errors.rotation_error(obj, R, np.eye(3)[None])[0] == pytest.approx(0.3)


def test_no_pairs_give_no_errors(obj: EvalObject) -> None:
    R, t = np.zeros((0, 3, 3)), np.zeros((0, 3))
    assert errors.mssd(obj, R, t, R, t).shape == (0,)
    assert errors.mspd(obj, R, R, t, R, t).shape == (0,)
    assert errors.add(obj.vertices, R, t, R, t).shape == (0,)
    assert errors.add_s(obj, R, t, R, t, 0.01).shape == (0,)


def test_load_objects_names_the_missing_mesh(tmp_path: Path) -> None:
    obj = make_object(trimesh.creation.box((0.1, 0.1, 0.1)))
    (tmp_path / "models_info.json").write_text(json.dumps({"1": obj.model.to_dict()}))
    with pytest.raises(CopeError, match=r"obj_000001\.ply"):
        load_objects(tmp_path)
    mesh = trimesh.Trimesh(obj.vertices * 1e3, obj.faces, process=False)
    mesh.export(tmp_path / "obj_000001.ply")
    loaded = load_objects(tmp_path)[1]
    np.testing.assert_allclose(loaded.vertices, obj.vertices, atol=1e-6)
