"""VSD against a per-pixel loop and scenes whose answer is known."""

import numpy as np
import pytest
import trimesh
from metrics_scene import make_object, near, random_poses

from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.vsd import DELTA, TAUS, ray_lengths, vsd, vsd_of_pairs

K = np.array([[60.0, 0, 31.5], [0, 62.0, 23.5], [0, 0, 1]])
SHAPE = (48, 64)


def slow_vsd(est, gt, scene, K, diameter, taus, delta) -> list[float]:
    """The definition, pixel by pixel (Hodan et al. 2020, section 2.2)."""
    visible_gt, visible_est, apart = {}, {}, {}
    for v in range(est.shape[0]):
        for u in range(est.shape[1]):
            ray = np.linalg.norm(np.linalg.inv(K) @ [u, v, 1])
            d_e, d_g, d_s = est[v, u] * ray, gt[v, u] * ray, scene[v, u] * ray
            in_gt = d_g > 0 and (d_s == 0 or d_g - d_s <= delta)
            in_est = d_e > 0 and (d_s == 0 or d_e - d_s <= delta or in_gt)
            visible_gt[u, v], visible_est[u, v], apart[u, v] = in_gt, in_est, abs(d_e - d_g)
    union = [p for p in apart if visible_gt[p] or visible_est[p]]
    if not union:
        return [1.0] * len(taus)
    return [
        sum(not (visible_gt[p] and visible_est[p]) or apart[p] / diameter >= tau for p in union)
        / len(union)
        for tau in taus
    ]


def random_depth(rng: np.random.Generator, share: float) -> np.ndarray:
    """(H, W) m: noise around 1 m with holes."""
    depth = rng.normal(1.0, 0.02, SHAPE)
    depth[rng.random(SHAPE) > share] = 0
    return depth


@pytest.mark.parametrize("seed", range(5))
def test_vsd_equals_the_per_pixel_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    est, gt, scene = (random_depth(rng, share) for share in (0.4, 0.5, 0.8))
    expected = slow_vsd(est, gt, scene, K, 0.1, TAUS, DELTA)
    np.testing.assert_allclose(vsd(est, gt, scene, K, 0.1), expected, rtol=1e-12)


def plane(depth: float, columns: slice) -> np.ndarray:
    """(H, W) m: a flat patch that fills some columns."""
    image = np.zeros(SHAPE)
    image[:, columns] = depth
    return image


def test_equal_surfaces_have_no_discrepancy() -> None:
    patch = plane(1.0, slice(10, 30))
    assert (vsd(patch, patch, patch, K, 0.2) == 0).all()


def test_half_overlap_counts_the_rest_of_the_union() -> None:
    est, gt = plane(1.0, slice(10, 30)), plane(1.0, slice(20, 40))
    np.testing.assert_allclose(vsd(est, gt, np.zeros(SHAPE), K, 0.2), 20 / 30)


def test_depth_offset_is_wrong_from_its_own_tolerance_on() -> None:
    # Along the optical axis the gap is 0.03 m = 0.15 of the diameter; at the image's edge the
    # ray is longer, so a narrow patch at the centre is used.
    gt, est = plane(1.0, slice(31, 33)), plane(1.03, slice(31, 33))
    gt[[*range(23), *range(25, 48)]] = est[[*range(23), *range(25, 48)]] = 0
    found = vsd(est, gt, np.zeros(SHAPE), K, 0.2)
    np.testing.assert_allclose(found, [1, 1, 1, *[0] * 7])


def test_hidden_surface_does_not_count() -> None:
    gt, est = plane(1.0, slice(10, 30)), plane(1.0, slice(10, 30))
    est[:, 20:30] = 1.5
    wall = plane(0.5, slice(20, 30))  # before the half where the two differ
    assert (vsd(est, gt, wall, K, 0.2) == 0).all()
    assert vsd(est, gt, np.zeros(SHAPE), K, 0.2)[0] == pytest.approx(0.5)


def test_nothing_visible_is_the_worst() -> None:
    hidden, wall = plane(1.0, slice(10, 30)), np.full(SHAPE, 0.5)
    assert (vsd(hidden, hidden, wall, K, 0.2) == 1).all()


def test_ray_lengths_are_those_of_the_inverse_intrinsics() -> None:
    rays = ray_lengths(K, SHAPE)
    assert rays[7, 9] == pytest.approx(np.linalg.norm(np.linalg.inv(K) @ [9, 7, 1]))


class SphereDepth:
    """Draws a sphere of radius 5 cm exactly, by intersecting every ray."""

    def depth(self, obj_id, R, t, K, size) -> np.ndarray:
        u, v = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
        rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(K).T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        along = rays @ t
        under = along**2 - t @ t + 0.05**2
        distance = along - np.sqrt(np.maximum(under, 0))
        return np.where(under > 0, distance * rays[..., 2], 0)


@pytest.fixture(scope="module")
def sphere() -> EvalObject:
    return make_object(trimesh.creation.icosphere(4, 0.0505))  # encloses the exact sphere


def test_windows_change_nothing(sphere: EvalObject) -> None:
    R_g, t_g = random_poses(6, 0)
    R_e, t_e = near(R_g, t_g, 1)
    t_e[5] += [0.5, 0, 0]  # apart in the image
    camera = np.array([[200.0, 0, 80], [0, 200.0, 60], [0, 0, 1]])
    scene = SphereDepth().depth(1, R_g[0], t_g[0], camera, (160, 120))
    poses = (R_e, t_e), (R_g, t_g)
    found = vsd_of_pairs(sphere, *poses, scene, camera, SphereDepth())
    for p in range(6):
        whole = [SphereDepth().depth(1, R[p], t[p], camera, (160, 120)) for R, t in poses]
        expected = vsd(*whole, scene, camera, sphere.diameter)
        np.testing.assert_allclose(found[p], expected, atol=1e-12)
    assert (found[5] == 1).all()
    assert found[0, -1] < 1


def test_rendered_depth_is_that_of_the_sphere(sphere: EvalObject) -> None:
    pytest.importorskip("moderngl")
    from cope_ros.core.errors import CopeError
    from cope_training.evaluation.depth import RenderedDepth

    exact = make_object(trimesh.creation.icosphere(4, 0.05))
    try:
        renderer = RenderedDepth({1: exact})
    except CopeError as error:
        pytest.skip(f"no EGL here: {error}")
    camera = np.array([[300.0, 0, 90], [0, 310.0, 65], [0, 0, 1]])
    t = np.array([0.02, -0.01, 0.6])
    drawn = renderer.depth(1, np.eye(3), t, camera, (190, 130))
    expected = SphereDepth().depth(1, np.eye(3), t, camera, (190, 130))
    inside = (drawn > 0) & (expected > 0)
    assert ((drawn > 0) != (expected > 0)).sum() < 0.02 * (expected > 0).sum()
    assert np.abs(drawn - expected)[inside].mean() < 5e-4
