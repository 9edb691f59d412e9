"""What lies on the lines across a contour: colours, where they change, how that moves a pose."""

import numpy as np
import pytest
import torch
from contour_scene import box, extractor_of, points_of, turned
from torch import Tensor

from cope_ros.core import geometry
from cope_ros.core.refinement.color_model import ColorModel
from cope_ros.core.refinement.contour import Contour, cover
from cope_ros.core.refinement.contour_fit import contour_jacobian
from cope_ros.core.refinement.contour_lines import CorrespondenceLines

SIZE = 192
K = torch.tensor([[[400.0, 0, 95.5], [0, 400.0, 95.5], [0, 0, 1]]])
RED, BLUE, GREEN, YELLOW = np.array([[190, 60, 50], [60, 60, 190], [60, 190, 50], [250, 250, 20]])


def chances(visible: Tensor, shown: Tensor) -> Tensor:
    """(64, 64) of a red square on green, blue before its upper part and yellow in a corner."""
    colors = np.ones((64, 64, 1)) * GREEN
    colors[20:44, 20:44] = RED
    colors[20:30, 20:44] = BLUE
    colors[:2, :2] = YELLOW  # too far from the square to be known
    covered = torch.zeros(1, 64, 64)
    covered[:, 20:44, 20:44] = 1.0
    image = torch.from_numpy(colors.astype(np.uint8))[None]
    model = ColorModel(64)
    mine, theirs = model(image, covered, visible[None], shown[None])
    pixels = image.flatten(1, 2).float()
    return model.object_probability(mine, theirs, pixels, visible[None].flatten(1)).view(64, 64)


def test_colours_tell_object_surroundings_and_what_neither_knows() -> None:
    visible = torch.zeros(64, 64)
    visible[30:44, 20:44] = 1.0
    own = chances(visible, torch.ones(64, 64))
    assert own[30:44, 20:44].min() > 0.9
    assert own[20:30, 20:44].max() < 0.1  # blue is known from before the object
    assert own[2:20].max() < 0.1
    assert own[44:].max() < 0.1
    assert own[:2, :2] == pytest.approx(torch.full((2, 2), 0.5), abs=1e-3)


def test_colours_of_places_alone_do_not_tell_without_an_image() -> None:
    visible = torch.full((64, 64), 0.5)
    own = chances(visible, torch.zeros(64, 64))
    assert own[20:44, 20:44] == pytest.approx(torch.full((24, 24), 0.5), abs=1e-3)
    assert own[:20] == pytest.approx(torch.full((20, 64), 0.5), abs=1e-3)
    whole = chances(visible, torch.ones(64, 64))
    assert whole[2:20].max() < 0.1  # green is known from around the object


def test_a_colour_of_both_is_weighed_by_its_shares() -> None:
    colors = np.ones((1, 64, 64, 1)) * GREEN
    colors[:, ::6] = BLUE  # a sixth of what is around, which is many pixels
    colors[:, 24:40, 24:40] = RED
    colors[:, 24:40, 32:40] = BLUE  # half of the object
    covered = torch.zeros(1, 64, 64)
    covered[:, 24:40, 24:40] = 1.0
    model, image = ColorModel(64), torch.from_numpy(colors.astype(np.uint8))
    known = model(image, covered, covered, torch.ones(1, 64, 64))
    color = torch.from_numpy(BLUE).float().view(1, 1, 3)
    blue = model.object_probability(*known, color, torch.full((1, 1), 0.5))
    assert float(blue) == pytest.approx((1 / 2) / (1 / 2 + 1 / 6), abs=0.05)


def upright(x: list[float], side: list[float]) -> Contour:
    """Places one below the other whose normals look to the right (1) or to the left (-1)."""
    y = 40.0 + 8.0 * torch.arange(len(x))
    pixel = torch.stack((torch.tensor(x), y), 1)
    normal = torch.stack((torch.tensor(side), torch.zeros(len(x))), 1)
    ray = torch.cat((pixel, torch.ones(len(x), 1)), 1)
    return Contour(ray[None], pixel[None], normal[None], torch.ones(1, len(x), dtype=torch.bool))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_line_says_how_far_out_the_colours_change(step: int) -> None:
    lines, truth = CorrespondenceLines(SIZE), torch.tensor([0.0, 2.0, -3.0, 1.0, -1.0]) * step
    contour = upright([90.0] * 5, [1.0, 1.0, 1.0, -1.0, -1.0])
    place = lines.places(contour, step)
    assert place[..., 1] == pytest.approx(contour.pixel[:, :, None, 1].expand(place.shape[:3]))
    beyond = (place[..., 0] - 90.0) * contour.normal[:, :, None, 0] - truth[:, None]
    own = torch.sigmoid(-3.0 * beyond / step)  # sharper than a line takes it to be
    everywhere = torch.ones(1, SIZE, SIZE)
    offset, weight, seen = lines(own, everywhere, everywhere, contour, step)
    assert offset[0] == pytest.approx(truth, abs=0.3 * step)
    assert (weight > 0).all()
    assert weight[0, 0] == weight.max()  # what is far off counts less
    assert seen[0, 0] > 0.9
    unknown = lines(0.5 + 0.0 * own, everywhere, everywhere, contour, step)
    assert unknown[0].abs().max() < 1e-3 * step
    assert unknown[1].max() == 0.0


def test_lines_where_the_object_is_hidden_or_the_image_ends_count_nothing() -> None:
    lines, visible, shown = CorrespondenceLines(SIZE), torch.ones(1, 96, 96), torch.ones(1, 96, 96)
    shown[:, :, :10] = visible[:, :, :10] = 0.0  # px 0 to 19, of maps half as wide
    visible[:, :, 58:] = 0.0  # px 116 and on
    x = [90.0, 90.0, 40.0, 21.0, 10.0, 118.0, 122.0, 140.0, -300.0]
    side = [1.0, -1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    counted = torch.tensor([True, True, True, False, False, True, False, False, False])
    contour = upright(x, side)
    own = torch.sigmoid(torch.linspace(10, -10, lines.places(contour, 1).shape[2])).expand(1, 9, -1)
    _, weight, seen = lines(own, visible, shown, contour, 1)
    assert torch.equal(weight[0] > 0, counted)
    assert torch.equal(seen[0] > 0, counted)
    none = contour._replace(valid=torch.zeros(1, 9, dtype=torch.bool))
    assert lines(own, visible, shown, none, 1)[1].abs().max() == 0.0


def test_the_motion_of_an_outline_is_that_of_its_points() -> None:
    solid, center = box().solid, torch.tensor([[0.01, -0.01, 0.4]])
    pose = turned(28.0, 23.0, 11.0)[None], center, K
    covered = cover(points_of(solid)[None, :, :3], *pose, SIZE)
    contour = extractor_of(solid)(torch.tensor([0]), *pose, covered)
    assert contour.valid.all()
    contour = Contour(*(value.double() for value in contour[:3]), contour.valid)
    center, K_double, step = center.double(), K.double(), 1e-6
    J = contour_jacobian(contour, center, K_double)
    for i, change in enumerate(step * torch.eye(6).double()):
        ends = []
        for moved in (change, -change):
            about = (contour.point - center) @ geometry.exp_so3(moved[:3]).T
            ends.append(geometry.project(about + center + moved[3:], K_double))
        outwards = ((ends[0] - ends[1]) * contour.normal).sum(-1) / (2 * step)
        assert J[..., i] == pytest.approx(outwards, abs=1e-3)  # px per rad or m, of hundreds
