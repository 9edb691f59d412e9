"""Augmentation: Table 4's chances and ranges, and filters against naive ones."""

import colorsys

import numpy as np
import pytest
import torch
from scipy import ndimage

from cope_training.data import filters
from cope_training.data.augmentation import Augmenter
from cope_training.engine.configuration import AugmentConfig

# Table 4: chance for an image, and the range of the operation's result on one grey value.
TABLE = {
    "gaussian blur": 0.2,
    "average/median/motion blur": 0.2,
    "bilateral blur": 0.2,
    "hue/saturation": 0.5,
    "grayscale": 0.5,
    "add": 0.5,
    "multiply": 0.5,
    "gamma contrast": 0.5,
    "sigmoid contrast": 0.5,
    "logarithmic contrast": 0.5,
    "linear contrast": 0.5,
}
RANGES = {  # of 0.6: what the table's numbers make of it
    "add": (0.56, 0.64),
    "multiply": (0.45, 0.75),
    "gamma contrast": (0.6**1.25, 0.6**0.75),
    "logarithmic contrast": (0.75 * np.log2(1.6), np.log2(1.6)),
    "linear contrast": (0.57, 0.63),
}


def make_augmenter(seed: int = 0, strength: float = 1.0) -> Augmenter:
    return Augmenter(AugmentConfig(strength=strength), torch.Generator().manual_seed(seed))


def noise(batch: int = 1, side: int = 24) -> torch.Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_the_rows_are_the_tables_in_its_order() -> None:
    assert [(row.name, row.chance) for row in make_augmenter().rows] == list(TABLE.items())


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_each_image_is_changed_with_the_rows_chance(strength: float) -> None:
    augmenter = make_augmenter(strength=strength)
    x = noise(4000, 1)
    for row in augmenter.rows:
        changed = augmenter._apply(row._replace(operation=lambda v: 1.0 - v), x) != x
        share = changed.flatten(1).any(1).float().mean().item()
        assert share == pytest.approx(row.chance * strength, abs=0.03), row.name


@pytest.mark.parametrize("name", RANGES)
def test_ranges_and_channels_are_the_tables(name: str) -> None:
    row = next(r for r in make_augmenter().rows if r.name == name)
    out = row.operation(torch.full((4000, 3, 1, 1), 0.6))[..., 0, 0]
    low, high = RANGES[name]
    assert low - 1e-6 <= out.min().item() <= low + 0.02 * (high - low)
    assert high - 0.02 * (high - low) <= out.max().item() <= high + 1e-6
    split = (out[:, 0] != out[:, 1]).float().mean().item()
    assert split == pytest.approx(0.5, abs=0.03)  # "0.5 (0.5)": each channel on its own


def test_sigmoid_contrast_keeps_black_and_white_and_rises() -> None:
    ramp = torch.linspace(0, 1, 11).expand(500, 3, 1, 11)
    out = make_augmenter()._sigmoid_contrast(ramp)
    assert torch.allclose(out[..., [0, 5, 10]], ramp[..., [0, 5, 10]], atol=1e-4)
    assert (out.diff(dim=-1) > -1e-6).all()


def test_grayscale_mixes_at_most_a_fifth() -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(2000, 3, 1, 1)
    out = make_augmenter()._grayscale(red)[:, 1, 0, 0]
    assert out.max().item() == pytest.approx(0.2 * 0.299, rel=0.02)


def test_grey_pictures_stay_grey_under_colour_and_blur() -> None:
    x = torch.full((8, 3, 16, 16), 128 / 255)
    augmenter = make_augmenter()
    for row in augmenter.rows[:5]:
        assert torch.allclose(row.operation(x), x, atol=1e-5), row.name


def test_hue_and_saturation_are_those_of_hsv() -> None:
    x = noise(1, 6)
    hue, saturation = torch.tensor(0.05), torch.tensor(-0.04)
    got = filters.shift_hue_saturation(x, hue.view(1, 1, 1), saturation.view(1, 1, 1))
    for pixel, out in zip(x[0].flatten(1).T.tolist(), got[0].flatten(1).T.tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        expected = colorsys.hsv_to_rgb((h + 0.05) % 1.0, min(max(s - 0.04, 0.0), 1.0), v)
        assert out == pytest.approx(expected, abs=1e-5)


def test_gaussian_blur_has_each_images_own_width() -> None:
    x = noise(3)
    got = filters.gaussian_blur(x, torch.tensor([0.0, 1.0, 2.0]))
    assert torch.allclose(got[0], x[0], atol=1e-6)
    for i, sigma in ((1, 1.0), (2, 2.0)):
        expected = [
            ndimage.gaussian_filter(c, sigma, mode="nearest", radius=5) for c in x[i].numpy()
        ]
        assert np.allclose(got[i].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("width", [3, 5, 7])
def test_mean_and_median_blur(width: int) -> None:
    x = noise()
    mean = filters.convolve(x, filters.box_kernels(torch.tensor([width])))
    median = filters.median_blur(x[0], width)
    for c in range(3):
        plane = x[0, c].numpy()
        expected = ndimage.uniform_filter(plane, width, mode="nearest")
        assert np.allclose(mean[0, c].numpy(), expected, atol=1e-5)
        expected = ndimage.median_filter(plane, width, mode="nearest")
        assert np.allclose(median[c].numpy(), expected)


def test_motion_blur_smears_along_its_line() -> None:
    kernels = filters.line_kernels(torch.tensor([7, 5]), torch.tensor([0.0, torch.pi / 2]))
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(2))
    assert torch.allclose(kernels[0, 3], torch.full((7,), 1 / 7))
    assert torch.allclose(kernels[1, 1:6, 3], torch.full((5,), 1 / 5), atol=1e-6)


def test_bilateral_blur_keeps_edges_and_smooths_grain() -> None:
    x = torch.zeros(3, 16, 16)
    x[..., 8:] = 1.0
    grain = 0.02 * noise(1, 16)[0]
    got = filters.bilateral_blur(x + grain, 7, 0.05)
    assert (got - x).abs().max().item() < 0.021
    assert got[..., 4:12, 2:6].std() < 0.4 * grain[..., 4:12, 2:6].std()
    assert torch.allclose(filters.bilateral_blur(x, 1, 0.5), x)


def test_bilateral_blur_by_hand() -> None:
    x = torch.zeros(3, 3, 3)
    x[:, 1, 1] = 0.2
    like = np.exp(-0.5 * (0.2 / 0.1) ** 2)
    got = filters.bilateral_blur(x, 2, 0.1)
    assert got[0, 1, 1].item() == pytest.approx(0.2 / (1 + 4 * like))


def test_cameras_sharpen_and_add_noise() -> None:
    config = AugmentConfig(camera=0.4)
    augmenter = Augmenter(config, torch.Generator().manual_seed(0))
    rows = {row.name: row for row in augmenter.rows[len(TABLE) :]}
    assert list(rows) == ["sharpen", "noise", "white balance", "exposure", "demosaicing", "jpeg"]
    edge = torch.zeros(400, 3, 9, 12)
    edge[..., 6:] = 0.5
    steep = augmenter._sharpen(edge + 0.25)[:, 0, 4]
    assert torch.allclose(steep[:, [0, 11]], torch.tensor([0.25, 0.75]), atol=1e-3)
    assert (steep[:, 6] > 0.75 - 1e-6).all()
    assert steep[:, 6].max() > 0.9
    noisy = augmenter._noise(torch.full((4000, 3, 9, 7), 0.5)) - 0.5
    spread = noisy.std((1, 2, 3))
    assert spread.max().item() == pytest.approx(0.05, rel=0.4)
    assert spread.mean().item() == pytest.approx(0.025, rel=0.1)
    grey = (noisy[:, 0] == noisy[:, 1]).flatten(1).all(1).float().mean().item()
    assert grey == pytest.approx(0.5, abs=0.05)
    grain = (noisy[:, 0, 0, 0] == noisy[:, 0, 1, 1]).float().mean().item()
    assert grain == pytest.approx(0.5, abs=0.05)
    for row in rows.values():
        changed = row.operation(torch.rand(2, 3, 10, 14))
        assert changed.shape == (2, 3, 10, 14)
        assert changed.isfinite().all()
