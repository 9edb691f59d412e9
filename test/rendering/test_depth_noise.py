"""The simulated depth camera against the figures of its sources."""

import numpy as np
import pytest

from cope_training.rendering.depth_noise import (
    KINECT,
    DepthSensor,
    axial_sigma,
    incidence,
    measured_depth,
    projector_shadow,
    quantize,
)

K = np.array([[470.0, 0.0, 79.5], [0.0, 470.0, 59.5], [0.0, 0.0, 1.0]])
SHAPE = (120, 160)
GRAY = np.full((*SHAPE, 3), 128, np.uint8)
FINE = DepthSensor(disparity_step=1e-6, unit=1e-6)


def measure(depth: np.ndarray, image: np.ndarray = GRAY, sensor: DepthSensor = KINECT):
    return measured_depth(depth, image, K, np.random.default_rng(0), sensor)


@pytest.mark.parametrize("z", [0.6, 1.0, 2.0, 3.0])
def test_noise_along_the_ray_is_nguyens(z: float) -> None:
    seen = measure(np.full(SHAPE, z), sensor=FINE)
    expected = 0.0012 + 0.0019 * (z - 0.4) ** 2
    assert (seen > 0).all()
    assert np.std(seen - z) == pytest.approx(expected, rel=0.1)
    assert abs(np.mean(seen - z)) < 0.2 * expected


def test_noise_grows_where_a_surface_is_seen_obliquely() -> None:
    angles = np.deg2rad([0.0, 50.0, 70.0, 80.0])
    sigma = axial_sigma(np.ones(4), angles)
    assert sigma[0] == sigma[1] < sigma[2] < sigma[3]


@pytest.mark.parametrize(("z", "step"), [(1.0, 0.003), (2.0, 0.0115), (3.0, 0.026)])
def test_depth_comes_in_steps_of_an_eighth_of_disparity(z: float, step: float) -> None:
    values = np.unique(quantize(np.linspace(z - 0.1, z + 0.1, 4000)))
    assert np.diff(values).mean() == pytest.approx(step, rel=0.15)
    assert np.allclose(np.rint(values * 1000), values * 1000)


def test_incidence_of_a_tilted_plane() -> None:
    tilt = np.deg2rad(40.0)
    rays = (np.arange(SHAPE[1]) - K[0, 2]) / K[0, 0]
    depth = np.tile(1.0 / (1.0 - np.tan(tilt) * rays), (SHAPE[0], 1))
    assert incidence(depth, K)[60, 80] == pytest.approx(tilt, abs=0.01)


def test_edges_get_holes_and_flying_pixels() -> None:
    depth = np.full(SHAPE, 1.2)
    depth[:, :80] = 0.8  # no shadow on this side
    seen = measure(depth)
    edge = seen[:, 79:81]
    between = (edge > 0.85) & (edge < 1.15)
    assert 0.25 < np.mean(edge == 0) < 0.45
    assert 0.08 < np.mean(between) < 0.3
    assert not ((seen[:, :60] > 0.85) | (seen[:, :60] < 0.75)).any()


def test_near_objects_cast_the_projectors_shadow_to_their_left() -> None:
    depth = np.full(SHAPE, 1.2)
    depth[:, 80:120] = 0.8
    width = round(470 * 0.075 * (1 / 0.8 - 1 / 1.2))
    shadow = projector_shadow(depth, 470 * 0.075)
    assert shadow[:, 80 - width + 1 : 80].all()
    assert not shadow[:, : 80 - width - 1].any()
    assert not shadow[:, 80:].any()
    assert (measure(depth)[:, 80 - width + 3 : 77] == 0).all()


@pytest.mark.parametrize("tone", [10, 255])
def test_dark_and_shiny_surfaces_are_mostly_unknown(tone: int) -> None:
    seen = measure(np.ones(SHAPE), np.full((*SHAPE, 3), tone, np.uint8))
    assert np.mean(seen == 0) == pytest.approx(KINECT.lost, abs=0.05)


def test_nothing_stays_nothing_and_the_range_ends() -> None:
    assert not measure(np.zeros(SHAPE)).any()
    assert not measure(np.full(SHAPE, 0.3)).any()
    assert not measure(np.full(SHAPE, 7.0)).any()


def test_the_generator_decides() -> None:
    depth = np.full(SHAPE, 1.0)
    assert np.array_equal(measure(depth), measure(depth))
