"""Rotations, projection and alignment against closed forms and round trips."""

import math

import numpy as np
import pytest
import torch

from cope_ros.core import geometry
from cope_ros.core.catalogue import Catalogue
from cope_ros.core.detection.averaging import SymmetryAligner, robust_mean


def random_rotations(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return geometry.exp_so3(2.0 * torch.randn(count, 3, generator=generator, dtype=dtype))


def test_exp_of_a_quarter_turn_about_z() -> None:
    R = geometry.exp_so3(torch.tensor([0.0, 0.0, math.pi / 2]))
    expected = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert torch.allclose(R, expected, atol=1e-6)


def test_log_reverses_exp() -> None:
    w = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    w = (
        w
        / w.norm(dim=1, keepdim=True)
        * torch.linspace(1e-5, 3.0, 50, dtype=torch.float64)[:, None]
    )
    assert torch.allclose(geometry.log_so3(geometry.exp_so3(w)), w, atol=1e-5)


def test_inverse3_is_the_inverse() -> None:
    A = torch.randn(20, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(geometry.inverse3(A), torch.linalg.inv(A), atol=1e-8)


def test_nearest_rotation_is_the_svd_projection() -> None:
    noise = torch.randn(20, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    A = random_rotations(20) + 0.15 * noise
    U, _, Vt = torch.linalg.svd(A)
    assert torch.allclose(geometry.nearest_rotation(A), U @ Vt, atol=1e-9)


def test_a_mean_of_opposed_rotations_has_no_nearest_one_and_stays_orthogonal() -> None:
    """Half turns about x, y and z: their mean is -1/3 times the identity."""
    X = geometry.nearest_rotation(-torch.eye(3, dtype=torch.float64) / 3.0, iterations=60)
    assert torch.allclose(X @ X.mT, torch.eye(3, dtype=torch.float64), atol=1e-9)


def test_gram_schmidt_gives_rotations_and_keeps_the_first_column() -> None:
    six = torch.randn(30, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    R = geometry.rotation_from_columns(six)
    assert torch.allclose(R.transpose(1, 2) @ R, torch.eye(3, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(torch.linalg.det(R), torch.ones(30, dtype=torch.float64))
    assert torch.allclose(R[:, :, 0], geometry.normalize(six[:, :3]))


def test_project_by_hand_and_back() -> None:
    K = torch.tensor([[500.0, 0, 320], [0, 510.0, 240], [0, 0, 1]])
    point = torch.tensor([[0.1, -0.2, 2.0]])
    pixel = geometry.project(point, K)
    assert torch.allclose(pixel, torch.tensor([[345.0, 189.0]]))
    assert torch.allclose(geometry.unproject(pixel, K), point[:, :2] / 2.0)


def test_ray_rotation_turns_the_axis_onto_the_ray() -> None:
    ray = geometry.normalize(torch.tensor([[0.3, -0.4, 1.0], [0.0, 0.0, 1.0]]))
    R = geometry.rotation_to_ray(ray)
    assert torch.allclose(R[:, :, 2], ray, atol=1e-6)
    assert torch.allclose(torch.linalg.det(R), torch.ones(2), atol=1e-6)


def test_turn_about_axis_recovers_the_angle() -> None:
    axis = geometry.normalize(torch.tensor([[1.0, 2.0, -0.5]], dtype=torch.float64))
    turn = geometry.exp_so3(axis * 0.7)
    assert torch.allclose(geometry.turn_about_axis(turn, axis), turn, atol=1e-9)


def symmetric_catalogue() -> Catalogue:
    box = {"diameter": 100.0, "min_x": -40, "min_y": -30, "min_z": 0}
    box |= {"size_x": 80, "size_y": 60, "size_z": 20}
    half_turn = [-1, 0, 0, 4, 0, -1, 0, 2, 0, 0, 1, 0, 0, 0, 0, 1]
    axis = [{"axis": [0, 0, 1], "offset": [3, 0, 0]}]
    return Catalogue.from_dict(
        {
            "1": box,
            "2": box | {"symmetries_discrete": [half_turn]},
            "3": box | {"symmetries_continuous": axis},
        }
    )


@pytest.mark.parametrize("class_index", [1, 2])
def test_alignment_undoes_a_symmetry(class_index: int) -> None:
    catalogue = symmetric_catalogue()
    R, t = random_rotations(10, dtype=torch.float32), torch.randn(10, 3)
    if class_index == 1:
        S = torch.tensor(catalogue[1].symmetry.members[1]).float()
        R_sym, offset = S[:3, :3], S[:3, 3]
    else:
        R_sym = geometry.exp_so3(torch.tensor([0.0, 0.0, 2.1]))
        line = torch.tensor([0.003, 0.0, 0.0])
        offset = line - R_sym @ line
    moved_R, moved_t = R @ R_sym, t + R @ offset
    classes = torch.full((10,), class_index)
    R_back, t_back = SymmetryAligner(catalogue)(moved_R, moved_t, R, classes)
    assert torch.allclose(R_back, R, atol=1e-4)
    assert torch.allclose(t_back, t, atol=1e-5)


def test_alignment_leaves_objects_without_symmetry_alone() -> None:
    R, R_ref = random_rotations(5, 1, torch.float32), random_rotations(5, 2, torch.float32)
    t = torch.randn(5, 3)
    R_back, t_back = SymmetryAligner(symmetric_catalogue())(R, t, R_ref, torch.zeros(5).long())
    assert torch.allclose(R_back, R, atol=1e-6)
    assert torch.equal(t_back, t)


def test_a_pose_between_two_lies_on_the_shortest_way() -> None:
    align, R = SymmetryAligner(symmetric_catalogue()), random_rotations(6, 3, torch.float32)
    R, t = R.view(2, 3, 3, 3), torch.randn(2, 3, 3)
    turn = torch.tensor([0.2, -0.1, 0.1])
    R_to, t_to = geometry.exp_so3(turn) @ R, t + torch.tensor([0.01, 0.0, 0.1])
    classes = torch.zeros(2, 3, dtype=torch.int64)
    R_on, t_on = align.between(R, t, R_to, t_to, 0.25, classes)
    assert torch.allclose(R_on, geometry.exp_so3(0.25 * turn) @ R, atol=1e-3)
    assert torch.allclose(t_on, t + torch.tensor([0.0025, 0.0, 0.025]), atol=1e-6)
    flip = geometry.exp_so3(torch.tensor([0.0, 3.0, 0.0]))
    R_on, t_on = align.between(R, t, flip @ R, t_to, 0.25, classes)
    assert torch.allclose(R_on, R, atol=1e-4)  # which of both is right it cannot know
    assert torch.allclose(t_on, t, atol=1e-6)


def test_robust_mean_ignores_a_flipped_hypothesis() -> None:
    truth = random_rotations(1, 7)
    noise = geometry.exp_so3(0.02 * torch.randn(8, 3, dtype=torch.float64))
    R = (noise @ truth).unsqueeze(0)
    R[0, 0] = geometry.exp_so3(torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64)) @ truth[0]
    t = torch.full((1, 8, 3), 0.5, dtype=torch.float64)
    t[0, 0] = 9.0
    weights = torch.ones(1, 8, dtype=torch.float64)
    R_mean, t_mean, covariance = robust_mean(R, t, weights)
    assert geometry.rotation_angle(R_mean, truth).item() < math.radians(2.0)
    assert torch.allclose(t_mean, torch.full((1, 3), 0.5, dtype=torch.float64))
    assert torch.allclose(torch.linalg.det(R_mean), torch.ones(1, dtype=torch.float64))
    assert (torch.linalg.eigvalsh(covariance) > 0).all()


def test_covariance_is_the_spread_of_the_translations() -> None:
    generator = torch.Generator().manual_seed(5)
    t = torch.randn(1, 4000, 3, generator=generator) * torch.tensor([0.01, 0.02, 0.03])
    R = torch.eye(3).expand(1, 4000, 3, 3)
    covariance = robust_mean(R[:, :2000], t[:, :2000], torch.ones(1, 2000))[2]
    spread = np.sqrt(np.diag(covariance[0].numpy())[:3])
    assert np.allclose(spread, [0.01, 0.02, 0.03], rtol=0.1)
