"""Effects of cheap cameras: what they keep, and what JPEG's library does to the same block."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from cope_training.data.camera_effects import demosaic, exposure, jpeg, montage, white_balance


def test_demosaicing_keeps_flat_colours_and_measured_pixels() -> None:
    flat = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1).expand(1, 3, 10, 12)
    assert torch.allclose(demosaic(flat), flat, atol=1e-6)
    x = torch.rand(2, 3, 10, 12)
    y = demosaic(x)
    assert torch.equal(y[:, 0, ::2, ::2], x[:, 0, ::2, ::2])
    assert torch.equal(y[:, 1, ::2, 1::2], x[:, 1, ::2, 1::2])
    red = (x[:, 0, 0, 0] + x[:, 0, 0, 2]) / 2
    assert torch.allclose(y[:, 0, 0, 1], red, atol=1e-6)


def test_jpeg_is_the_librarys_on_grey_images() -> None:
    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 255, (5, 6), np.uint8)).resize((44, 36)))
    x = torch.from_numpy(np.repeat(smooth[None, None], 3, 1).copy()) / 255.0
    for quality in (15, 50, 85):
        file = io.BytesIO()
        Image.fromarray(smooth).save(file, "JPEG", quality=quality)
        expected = np.asarray(Image.open(file)) / 255.0
        got = jpeg(x, torch.tensor([float(quality)]))[0, 0].clamp(0, 1).numpy()
        inside = np.abs(got - expected)[:32, :40]  # blocks that do not reach over the border
        assert inside.mean() < 2e-3
        assert got.shape == smooth.shape


@pytest.mark.parametrize("size", [(48, 64), (45, 61)])
def test_jpeg_is_the_librarys_on_colours(size: tuple[int, int]) -> None:
    """A red object on green: luminance, colours at half the resolution, and how they come back."""
    image = np.zeros((*size, 3), np.uint8)
    image[...] = (60, 140, 80)
    image[11:30, 13:38] = (200, 20, 30)
    x = torch.from_numpy(image).permute(2, 0, 1)[None] / 255.0
    for quality in (30, 90):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)  # 4:2:0 by default
        expected = np.asarray(Image.open(file)) / 255.0
        got = jpeg(x, torch.tensor([float(quality)]))[0].clamp(0, 1).permute(1, 2, 0).numpy()
        assert got.shape == image.shape
        inside = np.abs(got - expected)[:32, :40]
        assert inside.mean() < 4e-3
        assert inside.max() < 0.08
        # The edge is a pixel and more softer than it was, in files and here.
        assert got[12:29, 38, 0].mean() > 80 / 255


def test_light_is_scaled_where_it_is_linear() -> None:
    x = torch.full((2, 3, 4, 4), 0.5)
    darker = exposure(x, torch.tensor([-1.0, 0.0]))
    assert darker[0, 0, 0, 0].pow(2.2).item() == pytest.approx(0.5**2.2 / 2, rel=1e-4)
    assert torch.allclose(darker[1], x[1], atol=1e-6)
    warm = white_balance(x, torch.tensor([1.2, 1.0]), torch.tensor([0.8, 1.0]))
    assert warm[0, 0, 0, 0] > warm[0, 1, 0, 0] > warm[0, 2, 0, 0]
    assert torch.allclose(warm[1], x[1], atol=1e-6)
    assert montage(x[:1]).shape == (3, 8, 12)
