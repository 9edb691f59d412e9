"""Normal equations in closed form: exact, finite for singular rows, differentiable, scripted."""

import math

import pytest
import torch
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.gauss_newton import (
    apply_increment,
    center_jacobian,
    increment,
    increment_covariance,
    inverse_positive,
    origin_jacobian,
    solve_positive,
)


def positive(batch: int, n: int = 6, spread: float = 3.0, seed: int = 0) -> Tensor:
    """(batch, n, n) float64 with eigenvalues over ``spread`` decades."""
    generator = torch.Generator().manual_seed(seed)
    Q = torch.linalg.qr(torch.randn(batch, n, n, generator=generator, dtype=torch.float64))[0]
    values = torch.pow(10.0, torch.linspace(-spread, 0.0, n, dtype=torch.float64))
    return (Q * values) @ Q.transpose(1, 2)


@pytest.mark.parametrize("batch", [1, 3, 200])
def test_solutions_are_those_of_lapack(batch: int) -> None:
    A, B = positive(batch), torch.ones(batch, 6, 2, dtype=torch.float64)
    B[..., 1] = torch.arange(6)
    expected = torch.linalg.solve(A, B)
    assert torch.allclose(solve_positive(A, B), expected, rtol=1e-8)
    single = solve_positive(A.float(), B.float()).double()
    assert ((single - expected).norm(dim=1) < 1e-3 * expected.norm(dim=1)).all()
    assert torch.allclose(inverse_positive(A) @ A, torch.eye(6).double().expand_as(A), atol=1e-8)


def test_units_of_the_unknowns_do_not_matter() -> None:
    units = torch.tensor([1.0, 1e-3, 1e3, 1.0, 1e-4, 10.0]).diag().double()
    A = (units @ positive(3, spread=2.0) @ units).float()
    x = torch.linalg.inv(units).float() @ torch.ones(6)
    got = solve_positive(A, A @ x[None, :, None])[..., 0]
    assert torch.allclose(got / x, torch.ones(3, 6), atol=1e-2)


def test_what_nothing_determines_stays() -> None:
    """No observation at all, and an unknown of which another is the double."""
    J = torch.randn(2, 20, 6, generator=torch.Generator().manual_seed(1))
    J[0] = 0.0
    J[1, :, 5] = 2.0 * J[1, :, 4]
    none, residual = torch.zeros(2, 6, 6), J @ torch.arange(6.0)
    x = increment(J, residual, torch.ones(2, 20), none, torch.zeros(2, 6))
    assert torch.equal(x[0], torch.zeros(6))
    expected = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0 + 2.0 * 5.0, 0.0])
    assert torch.allclose(x[1], expected, atol=1e-4)


def test_what_is_known_beyond_all_bounds_stays_and_spoils_nothing_else() -> None:
    A, B = positive(2, spread=1.0).float(), torch.ones(2, 6, 1)
    A[0, 2, 2] = math.inf
    X = solve_positive(A, B)
    assert X.isfinite().all()
    assert X[0, 2] == 0
    assert torch.allclose(X[1], solve_positive(A[1:], B[1:])[0])


def test_no_pose_is_no_error() -> None:
    assert solve_positive(torch.zeros(0, 6, 6), torch.zeros(0, 6, 1)).shape == (0, 6, 1)


def test_prior_alone_leads_to_its_mean() -> None:
    mean = torch.randn(3, 6, generator=torch.Generator().manual_seed(2))
    none = torch.zeros(3, 4)
    got = increment(torch.zeros(3, 4, 6), none, none, positive(3, spread=1.0).float(), mean)
    assert torch.allclose(got, mean, atol=1e-4)


def test_differentiable() -> None:
    generator = torch.Generator().manual_seed(3)
    J = torch.randn(2, 9, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    residual = torch.randn(2, 9, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(2, 9, generator=generator, dtype=torch.float64, requires_grad=True)
    prior, mean = positive(2, spread=1.0), torch.ones(2, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *a: increment(*a, prior, mean), (J, residual, weight))


def test_a_few_steps_find_the_pose_behind_pixels() -> None:
    generator = torch.Generator().manual_seed(4)
    points = 0.1 * torch.randn(3, 30, 3, generator=generator)
    K = torch.tensor([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]).expand(3, 3, 3)
    true_R = geometry.exp_so3(torch.randn(3, 3, generator=generator))
    true_center = torch.tensor([[0.1, 0.0, 0.8], [0.0, 0.2, 1.0], [-0.1, -0.1, 0.6]])
    pixels = geometry.project(geometry.transform(true_R, true_center, points), K)
    turn = torch.full((3, 3), math.radians(8.0))
    R, center = geometry.exp_so3(turn) @ true_R, true_center * 1.1
    none, ones = torch.zeros(3, 6, 6), torch.ones(3, 60)
    for _ in range(10):
        about = points @ R.transpose(1, 2)
        at = about + center.unsqueeze(1)
        J = torch.cat(geometry.pixel_motion(at, about, K), 1)
        error = (pixels - geometry.project(at, K)).transpose(1, 2).flatten(1)
        x = increment(J, error, ones, none, torch.zeros(3, 6))
        R, center = apply_increment(R, center, x)
    assert torch.allclose(R, true_R, atol=1e-4)
    assert torch.allclose(center, true_center, atol=1e-4)


def test_scripted_alike() -> None:
    A, B = positive(4), torch.ones(4, 6, 1, dtype=torch.float64)
    assert torch.equal(torch.jit.script(solve_positive)(A, B), solve_positive(A, B))


def test_covariances_go_from_messages_to_increments_and_back() -> None:
    offset = torch.tensor([[0.1, -0.2, 0.05], [0.0, 0.0, 0.0]], dtype=torch.float64)
    product = center_jacobian(offset) @ origin_jacobian(offset)
    assert torch.allclose(product, torch.eye(6, dtype=torch.float64).expand(2, 6, 6))
    turn = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    x = center_jacobian(offset)[0] @ torch.cat((torch.zeros(3, dtype=torch.float64), turn))
    assert torch.allclose(x[:3], turn)
    assert torch.allclose(x[3:], torch.linalg.cross(turn, offset[0]))


def test_increment_covariance_is_given_across_and_along_the_ray() -> None:
    center = torch.tensor([[0.3, 0.0, 0.4]])
    C = increment_covariance(center, 0.1, torch.tensor([[0.01]]), torch.tensor([[0.05]]))[0]
    ray, across = torch.tensor([0.6, 0.0, 0.8]), torch.tensor([0.8, 0.0, -0.6])
    assert float(ray @ C[3:, 3:] @ ray) == pytest.approx(0.05**2, rel=1e-4)
    assert float(across @ C[3:, 3:] @ across) == pytest.approx(0.01**2, rel=1e-4)
    assert torch.allclose(C[:3, :3], 0.01 * torch.eye(3), rtol=1e-4)
