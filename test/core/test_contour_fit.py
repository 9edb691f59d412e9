"""The fit of poses to contours, on painted images: what moves a pose, and what does not."""

import numpy as np
import pytest
import torch
from contour_scene import Shape, box, l_shape, points_of, put, silhouette, turned
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.network.presets import ContourFitConfig
from cope_ros.core.refinement.contour_fit import ContourFit
from cope_ros.core.refinement.crop_network import CROP_SCALE
from cope_ros.core.refinement.virtual_camera import look_at, sample_crops
from cope_ros.core.types import PoseBatch

WIDTH, HEIGHT = 320, 240
K = torch.tensor([[500.0, 0, 159.5], [0, 500.0, 119.5], [0, 0, 1]])
SHAPES = (box(), l_shape())
RED, BLUE, GREEN = np.array([[190, 60, 50], [60, 60, 190], [90, 140, 100]])
R_TRUE, T_TRUE = turned(28.0, 23.0, 11.0), torch.tensor([0.01, -0.01, 0.4])
AXES = [(5.0, 0.0, 0.0), (0.0, 5.0, 0.0), (0.0, 0.0, 5.0), (-3.0, 3.0, -3.0)]
EVERYWHERE = torch.ones(1, 1, 12, 12)


def make_fit() -> ContourFit:
    corners = torch.tensor(np.stack([shape.corners for shape in SHAPES])).float()
    diameters = torch.cdist(corners, corners).amax((1, 2))
    room = ContourFitConfig(faces=320, edges=480)  # as many as the letter has
    fit = ContourFit(room, corners, diameters)
    for row, shape in enumerate(SHAPES):
        put(fit.extractor, row, shape.solid, shape.corners.mean(0))
    return fit


FIT = make_fit()
POINTS = torch.stack([points_of(s.solid, s.corners.mean(0)) for s in SHAPES])


def coverage(shape: Shape = SHAPES[0], R: Tensor = R_TRUE, t: Tensor = T_TRUE) -> np.ndarray:
    return silhouette(shape, R, t, K, WIDTH, HEIGHT)


def surroundings() -> np.ndarray:
    """(H, W, 3) green of patches 8 px wide."""
    patch = np.random.default_rng(0).uniform(-30, 30, (HEIGHT // 8, WIDTH // 8, 1))
    return GREEN + patch.repeat(8, 0).repeat(8, 1)


def photograph(colors: np.ndarray) -> Tensor:
    """(1, H, W, 3) with a camera's noise."""
    noise = np.random.default_rng(1).normal(0, 8, colors.shape)
    return torch.from_numpy(np.clip(colors + noise, 0, 255).astype(np.uint8))[None]


def painted(mask: np.ndarray) -> np.ndarray:
    return surroundings() * (1 - mask) + RED * mask


def what_is_visible(mask: np.ndarray, t: Tensor) -> Tensor:
    """(1, 1, 12, 12) as a refiner that looks at the box there says it."""
    side = (CROP_SCALE * K[0, 0] * FIT.diameters[0] / t[2]).view(1, 1)
    camera = look_at(geometry.project(t[None], K)[None], side, torch.zeros(1, 1), K[None], 12)
    image = torch.from_numpy((255 * mask).astype(np.uint8)).expand(1, -1, -1, 3)
    return sample_crops(image, K[None], camera, 12)[..., 0] / 255.0


def fitted(
    image: Tensor, R: Tensor, t: Tensor, visible: Tensor = EVERYWHERE, row: int = 0, K: Tensor = K
) -> tuple[Tensor, Tensor, float]:
    """One instance's pose and how much of it is seen."""
    around = t + R @ FIT.centers[row]
    poses = PoseBatch(torch.tensor([[row]]), R[None, None], t[None, None], K[None])
    new, seen = FIT(image, poses, around[None, None], visible, POINTS)
    return new.R[0, 0], new.t[0, 0], float(seen[0, 0])


def degrees(R: Tensor, R_true: Tensor = R_TRUE) -> float:
    return float(torch.rad2deg(geometry.rotation_angle(R, R_true)))


def off(t: Tensor, t_true: Tensor = T_TRUE) -> float:
    """Share of the depth that a pose is off."""
    return abs(float(t[2] / t_true[2]) - 1.0)


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("axis", AXES)
def test_a_wrong_pose_is_moved_to_where_the_colours_change(
    row: int, axis: tuple[float, ...], sign: int
) -> None:
    image = photograph(painted(coverage(SHAPES[row])))
    R = turned(*(sign * a for a in axis)) @ R_TRUE
    t = T_TRUE * (1 + 0.03 * sign) + torch.tensor([3.0, -3.0, 0.0]) * 0.4 / 500  # px
    R_new, t_new, seen = fitted(image, R, t, row=row)
    assert degrees(R_new) < 2.5  # of 5
    assert off(t_new) < 0.006  # of 0.03
    middle = torch.stack((R_new @ FIT.centers[row] + t_new, R_TRUE @ FIT.centers[row] + T_TRUE))
    pixel, truth = geometry.project(middle, K)
    assert (pixel - truth).norm() < 0.5
    assert seen > 0.9


@pytest.mark.parametrize("row", [0, 1])
def test_a_true_pose_stays(row: int) -> None:
    R, t, _ = fitted(photograph(painted(coverage(SHAPES[row]))), R_TRUE, T_TRUE, row=row)
    assert degrees(R) < 0.6
    assert off(t) < 0.0015
    assert (t - T_TRUE)[:2].abs().max() * 500 / 0.4 < 0.2  # px


HALVES = [np.s_[:, :172], np.s_[:, 172:], np.s_[107:], np.s_[:107]]  # of the box's middle


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("wrong", [1.03, 0.97])
def test_a_half_that_is_known_to_be_hidden_says_nothing_of_the_depth(
    half: tuple[slice, ...], wrong: float
) -> None:
    mask = coverage()
    colors = painted(mask)
    colors[half] = BLUE
    mask[half] = 0.0
    image, t = photograph(colors), T_TRUE * wrong
    R_new, t_new, seen = fitted(image, R_TRUE, t, what_is_visible(mask, t))
    assert off(t_new) < 0.012
    assert degrees(R_new) < 2.0
    assert 0.3 < seen < 0.6
    assert off(fitted(image, R_TRUE, t)[1]) > 0.05  # where nobody says what is hidden


@pytest.mark.parametrize("x", [-0.13, 0.12])
def test_the_border_of_the_image_is_no_outline(x: float) -> None:
    t = torch.tensor([x, -0.01, 0.4])
    mask = coverage(t=t)
    assert mask[:, [0, -1]].sum() > 100  # px of the border are the object's
    image = photograph(painted(mask))
    for wrong in (1.03, 0.97, 1.0):
        assert off(fitted(image, R_TRUE, t * wrong)[1], t) < 0.015
    beside = 80  # px on which the image is taken to go on as its border is
    wide = image[:, :, (torch.arange(WIDTH + 2 * beside) - beside).clamp(0, WIDTH - 1)]
    K_wide = K + torch.tensor([[0.0, 0, beside], [0, 0, 0], [0, 0, 0]])
    assert off(fitted(wide, R_TRUE, t, K=K_wide)[1], t) > 0.02


@pytest.mark.parametrize("wrong", [1.03, 0.97])
def test_colours_that_tell_nothing_leave_the_pose_as_it_is(wrong: float) -> None:
    image, t = photograph(np.ones((HEIGHT, WIDTH, 1)) * RED), T_TRUE * wrong
    R_new, t_new, _ = fitted(image, R_TRUE, t, torch.full((1, 1, 12, 12), 0.5))
    assert degrees(R_new) < 0.1
    assert t_new == pytest.approx(t, abs=1e-5)
    R_new, t_new, _ = fitted(image, R_TRUE, t, what_is_visible(coverage(t=t), t))
    assert degrees(R_new) < 2.5
    assert off(t_new, t) < 0.01


def test_more_is_seen_of_an_object_than_of_none() -> None:
    mask, nothing = coverage(), photograph(surroundings())
    visible = what_is_visible(mask, T_TRUE)
    there = fitted(photograph(painted(mask)), R_TRUE, T_TRUE, visible)[2]
    assert there > 0.8
    assert fitted(nothing, R_TRUE, T_TRUE, visible)[2] < there - 0.1
    assert fitted(nothing, R_TRUE, T_TRUE, 0.0 * visible)[2] == 0.0


def batch() -> tuple[Tensor, ...]:
    """Two images of two instances each, and wrong poses of them."""
    R = torch.stack([R_TRUE, turned(-20.0, 30.0, 60.0), turned(150.0, 10.0, 0.0), R_TRUE.T])
    t = torch.tensor([[-0.06, 0, 0.45], [0.06, 0.01, 0.4], [-0.07, 0, 0.5], [0.05, 0, 0.5]])
    row, images = torch.tensor([0, 1, 1, 0]), []
    for pair in ((0, 1), (2, 3)):
        colors = surroundings()
        for i, color in zip(pair, (RED, BLUE), strict=True):
            mask = coverage(SHAPES[row[i]], R[i], t[i])
            colors = colors * (1 - mask) + color * mask
        images.append(photograph(colors))
    R, t, row = R.view(2, 2, 3, 3), t.view(2, 2, 3), row.view(2, 2)
    return torch.cat(images), row, turned(2.0, -2.0, 3.0) @ R, 1.02 * t, R, t


def fit_all(
    image: Tensor, row: Tensor, R: Tensor, t: Tensor, visible: Tensor | None = None
) -> tuple[Tensor, ...]:
    around = t + (R @ FIT.centers[row].unsqueeze(-1)).squeeze(-1)
    around = torch.where(torch.isfinite(around), around, torch.ones(3))
    visible = torch.ones(*row.shape, 12, 12) if visible is None else visible
    poses = PoseBatch(row, R, t, K.expand(len(row), 3, 3))
    new, seen = FIT(image, poses, around, visible, POINTS)
    return new.R, new.t, seen


def test_instances_and_images_do_not_mix() -> None:
    image, row, R, t, R_true, t_true = batch()
    R_new, t_new, seen = fit_all(image, row, R, t)
    assert torch.rad2deg(geometry.rotation_angle(R_new, R_true)).max() < 2.0
    assert (t_new / t_true - 1.0)[..., 2].abs().max() < 0.01
    for b in range(2):
        for m in range(2):
            one = np.s_[b : b + 1, m : m + 1]
            alone = fit_all(image[b : b + 1], row[one], R[one], t[one])
            for together, single in zip((R_new, t_new, seen), alone, strict=True):
                assert torch.allclose(together[one], single, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value"), [("R", np.nan), ("t", -0.4), ("t", 0.0), ("t", 1e-3), ("visible", np.nan)]
)
def test_what_cannot_be_stays_as_it_is_and_spoils_no_others(name: str, value: float) -> None:
    image, row, R, t, _, _ = batch()
    visible = torch.ones(2, 2, 12, 12)
    expected = fit_all(image, row, R, t, visible)
    broken = {"R": R, "t": t[..., 2], "visible": visible}[name]
    broken[0, 1] = value
    got = fit_all(image, row, R, t, visible)
    for new, want in zip(got, expected, strict=True):
        assert torch.allclose(new[[0, 1, 1], [0, 0, 1]], want[[0, 1, 1], [0, 0, 1]], atol=1e-4)
    R_new, t_new, seen = (value[0, 1] for value in got)
    assert seen == 0.0
    if name != "R":
        assert t_new == pytest.approx(t[0, 1], abs=1e-5)
        assert geometry.rotation_angle(R_new, R[0, 1]) < 1e-2
