"""Virtual cameras: they look where they are told, and see what the image shows there."""

import math

import pytest
import torch

from cope_ros.core import geometry
from cope_ros.core.refinement.virtual_camera import look_at, sample_crops, source_pixels

WIDTH, HEIGHT, SIZE = 96, 64, 32
K = torch.tensor([[[120.0, 0, 47.5], [0, 120.0, 31.5], [0, 0, 1]]])


def one_view(center: tuple[float, float], side: float, roll: float = 0.0):
    place = torch.tensor(center).view(1, 1, 2)
    return look_at(place, torch.full((1, 1), side), torch.full((1, 1), roll), K, SIZE)


def ramp() -> torch.Tensor:
    """(1, H, W, 3) uint8: red tells the column, green the row."""
    image = torch.zeros(1, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    image[..., 0] = torch.arange(WIDTH)
    image[..., 1] = torch.arange(HEIGHT)[:, None]
    return image


def test_a_straight_view_of_the_same_scale_is_a_cut() -> None:
    image = torch.randint(0, 256, (1, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    crop = sample_crops(image, K, one_view((47.5, 31.5), 32.0), SIZE)[0, 0]
    assert torch.equal(crop, image[0, 16:48, 32:64])


@pytest.mark.parametrize("roll", [0.0, 0.4])
@pytest.mark.parametrize("side", [20.0, 32.0, 90.0])
def test_points_are_seen_where_the_view_says(side: float, roll: float) -> None:
    camera = one_view((60.0, 25.0), side, roll)
    points = torch.tensor([[0.1, -0.05, 1.0], [0.12, -0.06, 0.9], [0.2, -0.1, 2.0]])
    in_image = geometry.project(points, K[0])
    in_view = geometry.project(points @ camera.R_cam_crop[0, 0], camera.K[0, 0])
    pixels = source_pixels(camera, K, SIZE).view(SIZE, SIZE, 2)
    middle = geometry.project(camera.R_cam_crop[0, 0, :, 2][None], K[0])
    assert middle[0] == pytest.approx([60.0, 25.0], abs=1e-3)
    for (x, y), (u, v) in zip(in_image.tolist(), in_view.tolist(), strict=True):
        if not (0 <= u <= SIZE - 1 and 0 <= v <= SIZE - 1):
            continue
        near = pixels[round(v), round(u)]
        assert math.dist(near.tolist(), (x, y)) <= 0.75 * side / SIZE
    across = pixels[SIZE // 2, -1] - pixels[SIZE // 2, 0]
    assert across.norm() == pytest.approx(side * (SIZE - 1) / SIZE, rel=0.08)
    assert math.atan2(float(across[1]), float(across[0])) == pytest.approx(roll, abs=0.05)


@pytest.mark.parametrize("side", [20.0, 40.0, 70.0, 200.0])
def test_a_ramp_is_read_right_at_every_zoom(side: float) -> None:
    camera = one_view((50.0, 30.0), side)
    crop = sample_crops(ramp(), K, camera, SIZE)[0, 0].float()
    pixels = source_pixels(camera, K, SIZE).view(SIZE, SIZE, 2)
    inside = (pixels >= 2).all(-1) & (pixels <= torch.tensor([WIDTH - 3.0, HEIGHT - 3.0])).all(-1)
    assert inside.sum() > 50
    assert (crop[..., :2] - pixels)[inside].abs().max() < 0.6


def test_zooming_out_averages() -> None:
    """A chessboard of single pixels is grey from afar; picking pixels would show it."""
    board = (torch.arange(WIDTH)[None] + torch.arange(HEIGHT)[:, None]) % 2
    image = (255 * board)[None, ..., None].expand(1, HEIGHT, WIDTH, 3).to(torch.uint8)
    crop = sample_crops(image, K, one_view((47.5, 31.5), 80.0), SIZE)
    assert (crop.float() - 127.5).abs().max() < 1.0


def test_every_image_has_its_own_windows() -> None:
    image = torch.randint(0, 256, (2, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    cameras = torch.cat((K, K * torch.tensor([1.2, 1.2, 1.0])[:, None]))
    center = torch.tensor([[[20.0, 20], [70, 40]], [[40, 30], [10, 60]]])
    side, roll = torch.tensor([[20.0, 60], [30, 150]]), torch.tensor([[0.0, 0.3], [-0.2, 0.0]])
    camera = look_at(center, side, roll, cameras, SIZE)
    together = sample_crops(image, cameras, camera, SIZE)
    assert together.shape == (2, 2, SIZE, SIZE, 3)
    for b in range(2):
        for m in range(2):
            place = (center[b, m].view(1, 1, 2), side[b, m].view(1, 1), roll[b, m].view(1, 1))
            alone = look_at(*place, cameras[b : b + 1], SIZE)
            crop = sample_crops(image[b : b + 1], cameras[b : b + 1], alone, SIZE)
            assert (together[b, m].int() - crop[0, 0].int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("center", "side"), [((1e6, -1e6), 50.0), ((40.0, 30.0), 1e9), ((40.0, 30.0), 0.0)]
)
def test_absurd_windows_stay_images(center: tuple[float, float], side: float) -> None:
    camera = one_view(center, side)
    assert torch.isfinite(camera.K).all()
    assert sample_crops(ramp(), K, camera, SIZE).shape == (1, 1, SIZE, SIZE, 3)
