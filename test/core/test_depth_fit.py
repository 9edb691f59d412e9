"""The fit to a depth image: finds what depth determines, keeps what it does not."""

import numpy as np
import pytest
import torch
from depth_scene import BOX, HEIGHT, NEAR_TILT, WIDTH, K, box_fit, rgb_covariance, scene_depth
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.refinement.depth_fit import DepthFit

T_TRUE = np.array([0.02, -0.01, 0.6])
R_TRUE = geometry.exp_so3(torch.from_numpy(NEAR_TILT)).numpy()


def as_batch(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(array)).float().unsqueeze(0)


def fit_one(
    depth: np.ndarray, R: np.ndarray, t: np.ndarray, fit: DepthFit | None = None
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Pose, covariance and share of one instance."""
    covariance = rgb_covariance(float(t[2]))[None, None]
    classes = torch.zeros(1, 1, dtype=torch.long)
    poses = as_batch(R).unsqueeze(1), as_batch(t).unsqueeze(1)
    out = (fit or box_fit())(as_batch(depth), as_batch(K), classes, *poses, covariance)
    return out[0][0, 0], out[1][0, 0], out[2][0, 0], float(out[3][0, 0])


def guess(turn: tuple[float, ...] = (0.05, -0.06, 0.04), far: float = 1.03, side: float = 0.003):
    """A pose as the RGB estimate has it: turned (rad), too far, aside (m)."""
    R = geometry.exp_so3(torch.tensor(turn, dtype=torch.float64)).numpy() @ R_TRUE
    return R, T_TRUE * far + np.array([side, -side, 0.0])


def angle(R: Tensor) -> float:
    return float(geometry.rotation_angle(R.double(), torch.from_numpy(R_TRUE)))


def untouched(depth: np.ndarray) -> bool:
    R, t = guess()
    found = fit_one(depth, R, t)
    same = np.allclose(found[0], R, atol=1e-6) and np.allclose(found[1], t, atol=1e-6)
    return same and found[3] == 0.0 and torch.equal(found[2], rgb_covariance(float(t[2])))


@pytest.mark.parametrize("far", [0.95, 1.0, 1.06])
def test_a_pose_comes_to_where_its_surface_is_measured(far: float) -> None:
    R, t, covariance, share = fit_one(scene_depth(R_TRUE, T_TRUE), *guess(far=far))
    assert abs(float(t[2]) - T_TRUE[2]) < 0.001
    assert np.abs(t.numpy() - T_TRUE).max() < 0.003
    assert angle(R) < np.deg2rad(1.5)
    assert share > 0.95
    assert float(covariance[2, 2]) ** 0.5 < 0.2 * 0.03 * T_TRUE[2]


def test_errors_fit_the_covariance_under_sensor_noise() -> None:
    rng, squares = np.random.default_rng(0), []
    for _ in range(20):
        turn, far = tuple(rng.normal(0, 0.07, 3)), 1 + rng.normal(0, 0.02)
        depth = scene_depth(R_TRUE, T_TRUE) + rng.normal(0, 0.002, (HEIGHT, WIDTH))
        R, t, covariance, share = fit_one(depth, *guess(turn, far, 0.002))
        assert share > 0
        turned = geometry.log_so3(torch.from_numpy(R_TRUE).float() @ R.mT)
        error = torch.cat((torch.from_numpy(T_TRUE).float() - t, turned))
        squares.append(float(error @ torch.linalg.solve(covariance, error)))
    assert 0.5 < np.mean(squares) < 12.0  # six degrees of freedom


def test_what_hides_half_of_it_does_not_pull() -> None:
    depth = scene_depth(R_TRUE, T_TRUE)
    depth[:, : int(K[0, 2]) + 5] = 0.45
    _, t, _, share = fit_one(depth, *guess())
    assert share > 0.9
    assert abs(float(t[2]) - T_TRUE[2]) < 0.003


def test_a_flat_face_does_not_slide() -> None:
    thin, R = (0.12, 0.12, 0.01), np.eye(3)
    fit = box_fit(thin)
    depth = np.full((HEIGHT, WIDTH), 0.595)  # a wall in the plane of the face, edges unseen
    t = np.array([0.004, 0.003, 0.62])
    turned = geometry.exp_so3(torch.tensor([0.0, 0.0, 0.1])).numpy() @ R
    R_fit, t_fit, covariance, share = fit_one(depth, turned, t, fit)
    assert share > 0.9
    assert abs(float(t_fit[2]) - 0.6) < 0.001
    assert np.abs(t_fit[:2].numpy() - t[:2] * 0.6 / 0.62).max() < 5e-4  # along its ray alone
    assert np.allclose(R_fit, turned, atol=2e-3)
    given = rgb_covariance(0.62)
    assert covariance[5, 5] >= given[5, 5]  # about the normal: as unsure as before
    assert covariance[0, 0] >= given[0, 0]
    assert covariance[2, 2] < 0.1 * given[2, 2]


def test_without_depth_the_pose_stays() -> None:
    assert untouched(np.zeros((HEIGHT, WIDTH)))


def test_depth_seen_through_is_refused() -> None:
    assert untouched(np.full((HEIGHT, WIDTH), 1.2))  # a transparent box: the wall behind


def test_depth_of_something_before_it_is_refused() -> None:
    assert untouched(np.full((HEIGHT, WIDTH), 0.3))


@pytest.mark.parametrize("shift", [30, 60])
def test_depth_of_another_camera_is_refused(shift: int) -> None:
    assert untouched(np.roll(scene_depth(R_TRUE, T_TRUE), shift, axis=1))


def test_outside_of_the_image_or_behind_the_camera_nothing_happens() -> None:
    depth = scene_depth(R_TRUE, T_TRUE)
    for t in ([3.0, 0.0, 0.6], [0.0, 0.0, -0.5], [0.0, 0.0, 0.0], [1e6, 0.0, 1e-3]):
        _, t_fit, covariance, share = fit_one(depth, R_TRUE, np.array(t))
        assert share == 0.0
        assert np.allclose(t_fit, t)
        assert torch.isfinite(covariance).all()


def test_a_batch_is_its_images_and_rows() -> None:
    fit, depths = box_fit(), (scene_depth(R_TRUE, T_TRUE), np.zeros((HEIGHT, WIDTH)))
    poses = [guess(), guess((0.0, 0.1, 0.0), 0.98), guess((-0.1, 0.0, 0.0), 1.05, 0.0)]
    R = torch.stack([as_batch(R)[0] for R, _ in poses]).expand(2, 3, 3, 3)
    t = torch.stack([as_batch(t)[0] for _, t in poses]).expand(2, 3, 3)
    covariance = torch.stack([rgb_covariance(float(row[2])) for row in t[0]]).expand(2, 3, 6, 6)
    depth = torch.stack([as_batch(d)[0] for d in depths])
    classes = torch.zeros(2, 3, dtype=torch.long)
    scripted = torch.jit.script(fit)
    for module in (fit, scripted):
        found = module(depth, as_batch(K).expand(2, 3, 3), classes, R, t, covariance)
        for image, d in enumerate(depths):
            for row, pose in enumerate(poses):
                single = fit_one(d, *pose, fit)
                assert torch.allclose(found[0][image, row], single[0], atol=1e-4)
                assert torch.allclose(found[1][image, row], single[1], atol=1e-5)
                assert abs(float(found[3][image, row]) - single[3]) < 0.02


def test_an_empty_scene_is_none_either() -> None:
    none = torch.zeros(2, 0, 3)
    R, t, covariance, share = box_fit()(
        torch.zeros(2, HEIGHT, WIDTH),
        as_batch(K).expand(2, 3, 3),
        torch.zeros(2, 0, dtype=torch.long),
        torch.zeros(2, 0, 3, 3),
        none,
        torch.zeros(2, 0, 6, 6),
    )
    assert t.shape == none.shape
    assert R.shape == (2, 0, 3, 3)
    assert covariance.shape == (2, 0, 6, 6)
    assert share.shape == (2, 0)


def test_surfaces_travel_with_the_weights() -> None:
    state = box_fit().state_dict()
    assert list(state) == ["surface"]
    assert state["surface"].shape[1] == 6
    assert float(state["surface"][0, 0].max()) == pytest.approx(BOX[0] / 2, rel=1e-3)
