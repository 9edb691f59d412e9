"""Depth residuals in closed form: look-up, mode and point-to-plane normal equations."""

import torch
from depth_scene import HEIGHT, WIDTH, K, box_surface

from cope_ros.core.gauss_newton import solve_positive
from cope_ros.core.refinement.depth_residuals import (
    SurfaceDepth,
    compare_depth,
    depth_mode,
    normal_equations,
    pad_depth,
    sensor_sigma,
)

K_ROW = torch.from_numpy(K).float()[None]
CENTER = torch.tensor([[0.0, 0.0, 0.5]])


def compare(depth: torch.Tensor, center: torch.Tensor = CENTER) -> SurfaceDepth:
    surface = box_surface().mT.unsqueeze(0)
    return compare_depth(pad_depth(depth), K_ROW, surface, torch.eye(3)[None], center)


def test_depth_is_read_at_each_points_pixel() -> None:
    columns = torch.arange(WIDTH).float().expand(1, HEIGHT, WIDTH) / 100.0 + 0.1
    seen = compare(columns)
    pixel = torch.round(seen.point[0, 0] / seen.point[0, 2] * K[0, 0] + K[0, 2])
    measured = (seen.gap + seen.point[:, 2])[0]
    assert torch.allclose(measured, pixel / 100.0 + 0.1, atol=1e-5)
    assert torch.allclose(seen.ray[0, 0], (pixel - K[0, 2]) / K[0, 0], atol=1e-5)


def test_only_what_faces_the_camera_and_is_known_counts() -> None:
    seen = compare(torch.full((1, HEIGHT, WIDTH), 0.475))
    front = seen.normal[:, 2] < -0.9
    assert torch.equal(seen.weight.bool(), front)
    assert not compare(torch.zeros(1, HEIGHT, WIDTH)).weight.any()
    aside = torch.tensor([[10.0, 0.0, 0.5]])
    assert not compare(torch.ones(1, HEIGHT, WIDTH), aside).weight.any()


def test_the_mode_is_where_most_points_agree() -> None:
    gap = torch.cat((torch.full((1, 60), 0.011), torch.full((1, 40), -0.05)), 1)
    none = torch.zeros(1, 3, 100)
    seen = SurfaceDepth(none, none, none[:, :2], gap, torch.ones_like(gap))
    reach = torch.tensor([[0.06]])
    assert abs(float(depth_mode(seen, reach, 3.0)) - 0.011) < 1e-3
    unknown = seen._replace(weight=torch.zeros_like(gap))
    assert float(depth_mode(unknown, reach, 3.0).abs()) <= 0.06 / 65


def test_a_plane_that_is_farther_moves_the_object_there() -> None:
    seen = compare(torch.full((1, HEIGHT, WIDTH), 0.475 + 0.010))
    one = torch.ones(1, 1)
    H, gradient = normal_equations(seen, CENTER, 0.1 * one, one)
    x = solve_positive(H, gradient).squeeze(-1)[0]
    assert abs(float(x[5]) - 0.010) < 1e-4
    assert x[:2].abs().max() < 1e-3
    assert H[0, 3:5, 3:5].abs().max() == 0.0  # nothing is said of its place in the plane


def test_what_is_beyond_the_cutoff_has_no_weight() -> None:
    seen = compare(torch.full((1, HEIGHT, WIDTH), 0.6))
    H, gradient = normal_equations(seen, CENTER, torch.full((1, 1), 0.05), torch.ones(1, 1))
    assert not H.any()
    assert not gradient.any()


def test_noise_grows_with_the_square_of_depth() -> None:
    one, two = (float(sensor_sigma(torch.tensor([[z]]))) for z in (1.0, 2.0))
    assert abs(two - one - 0.009) < 1e-6
