"""Windows and scaled frames: what is seen stays where K, boxes and labels say it is."""

from dataclasses import replace

import numpy as np
import pytest
from test_targets import SIDE, K, make_frame

from cope_training.data.crops import cut, scale_about
from cope_training.data.frames import Frame

BLOB = (slice(40, 72), slice(48, 88))


def make_blob(offset: tuple[float, float] = (0.02, -0.01)) -> Frame:
    """One instance whose mask and box are BLOB."""
    frame = make_frame([(0, 0.5, 1.0)], [BLOB])
    frame.T_cam_obj[0, :2, 3] = offset
    frame.boxes[0] = [48, 40, 87, 71]
    ramp = np.arange(SIDE, dtype=np.uint8)
    frame.image[..., 0] = ramp[None]  # red tells the column, green the row
    frame.image[..., 1] = ramp[:, None]
    return frame


@pytest.mark.parametrize("scale", [1.0, 0.95, 1.05, 2.0])
def test_a_point_is_seen_where_the_new_intrinsics_put_it(scale: float) -> None:
    frame = make_blob()
    window = cut(frame, 20.25, 10.5, (96, 80), scale)
    assert window.image.shape == (80, 96, 3)
    rng = np.random.default_rng(0)
    old = rng.uniform(35, 60, (20, 2))
    rays = np.concatenate([old, np.ones((20, 1))], 1) @ np.linalg.inv(frame.K).T
    new = (rays @ window.K.T)[:, :2]
    inside = ((new >= 1) & (new < [94, 78])).all(1)
    assert inside.sum() >= 5
    for (x, y), (u, v) in zip(old[inside], new[inside], strict=True):
        # The picture says which column and row of the old one it shows.
        column, row = window.image[round(v), round(u), :2].astype(float)
        assert abs(column - x) <= 0.5 / scale + 0.55
        assert abs(row - y) <= 0.5 / scale + 0.55


@pytest.mark.parametrize("scale", [0.95, 1.05])
def test_masks_and_boxes_move_with_the_picture(scale: float) -> None:
    window = scale_about(make_blob(), scale, "intrinsics")
    ys, xs = np.nonzero(window.instance_map == 0)
    x1, y1, x2, y2 = window.boxes[0]
    assert abs(xs.min() - x1) <= 1
    assert abs(xs.max() - x2) <= 1
    assert abs(ys.min() - y1) <= 1
    assert abs(ys.max() - y2) <= 1
    assert len(xs) == pytest.approx(32 * 40 * scale**2, rel=0.03)
    assert window.visibility[0] == pytest.approx(1.0, abs=0.03)
    assert window.K[:2, 2] == pytest.approx(K[:2, 2])
    assert window.K[0, 0] == pytest.approx(scale * K[0, 0])


def test_a_cut_object_is_less_visible_and_one_outside_is_gone() -> None:
    other = (slice(100, 120), slice(100, 120))
    frame = make_frame([(0, 0.5, 0.8), (1, 0.5, 1.0)], [BLOB, other])
    window = cut(frame, 0, 0, (68, 128))
    assert window.class_index.tolist() == [0]
    assert window.visibility[0] == pytest.approx(0.8 * 20 / 40)
    assert (window.instance_map == frame.instance_map[:, :68]).all()
    assert (cut(frame, 0, 0, (32, 32)).instance_map == -1).all()


def test_depth_follows_where_the_intrinsics_may_not() -> None:
    frame, factor = make_blob(), 1.05
    exact, near = (scale_about(frame, factor, by) for by in ("intrinsics", "depth"))
    assert (near.K == frame.K).all()
    assert near.T_cam_obj[0, 2, 3] == pytest.approx(0.5 / factor)
    center = [(f.T_cam_obj[0, :3, 3] / f.T_cam_obj[0, 2, 3]) @ f.K.T for f in (exact, near)]
    assert np.allclose(*center)
    points = np.random.default_rng(0).uniform(-0.04, 0.04, (50, 3))
    seen = []
    for f in (exact, near):
        p = points + f.T_cam_obj[0, :3, 3]
        seen.append((p / p[:, 2:] @ f.K.T)[:, :2])
    # 4 cm of depth at half a metre: 8 % of the 5 %, of what a point is away from the centre.
    away = np.linalg.norm(seen[0] - K[:2, 2], axis=1)
    assert (np.linalg.norm(seen[0] - seen[1], axis=1) <= 0.05 * 0.09 * away).all()


def test_beyond_the_border_nothing_is_labelled() -> None:
    window = scale_about(
        make_frame([(0, 0.5, 1.0)], [(slice(0, SIDE), slice(0, SIDE))]), 0.5, "intrinsics"
    )
    assert (window.instance_map >= 0).sum() == pytest.approx(SIDE**2 / 4, rel=0.05)
    assert window.instance_map[0, 0] == -1


@pytest.mark.parametrize("scale", [0.9, 1.1])
def test_the_depth_image_moves_with_the_labels(scale: float) -> None:
    frame = make_blob()
    frame = replace(frame, depth=np.where(frame.instance_map == 0, 0.5, 2.0).astype(np.float32))
    exact, near = (scale_about(frame, scale, by) for by in ("intrinsics", "depth"))
    assert exact.depth[exact.instance_map == 0] == pytest.approx(0.5)
    assert near.depth[near.instance_map == 0] == pytest.approx(0.5 / scale)
    assert (exact.depth[0, 0] == 0) == (scale < 1)  # beyond the border nothing is known
    assert (exact.depth[exact.instance_map < 0] != 0.5).all()
