"""Crops of single instances: where things are seen, who sees which frame."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from core_factory import make_catalogue
from test_targets import SIDE, K, make_frame

from cope_training.data.frames import Frame
from cope_training.data.instance_crops import BLOCK, InstanceCropFrames, virtual_frame
from cope_training.data.sources import RepeatedFrames
from cope_training.tasks.crop_head.config import CropHeadTraining

CATALOGUE = make_catalogue()
SIZE = 96
MASK = (slice(40, 80), slice(50, 90))


def make_scene(number: int = 0, visibility: float = 1.0) -> Frame:
    """One box half a metre away, seen as a wall; colours tell the place in the image."""
    frame = make_frame([(0, 0.5, visibility)], [MASK])
    frame.T_cam_obj[0, :2, 3] = (0.02, -0.01)
    frame.boxes[0] = [50, 40, 89, 79]
    frame.image[..., 0] = np.arange(SIDE)[None]
    frame.image[..., 1] = np.arange(SIDE)[:, None]
    frame.image[..., 2] = number % 256
    return replace(frame, depth=np.full((SIDE, SIDE), 0.48, np.float32))


@pytest.mark.parametrize(("side", "roll"), [(60.0, 0.0), (96.0, 0.5), (45.0, -0.3)])
def test_picture_depth_and_pose_agree_in_the_window(side: float, roll: float) -> None:
    frame = make_scene()
    crop = virtual_frame(frame, np.array([66.0, 58.0]), side, roll, SIZE)
    assert crop.image.shape == (SIZE, SIZE, 3)
    R_cam_crop = frame.T_cam_obj[0, :3, :3] @ crop.T_cam_obj[0, :3, :3].T
    assert np.allclose(R_cam_crop @ crop.T_cam_obj[0, :3, 3], frame.T_cam_obj[0, :3, 3])
    assert np.linalg.det(R_cam_crop) == pytest.approx(1.0, abs=1e-5)
    labels, depth = crop.instance_map, crop.depth
    assert labels is not None
    assert depth is not None
    rows, columns = np.nonzero(labels == 0)
    rays = np.stack((columns, rows, np.ones_like(rows)), 1) @ np.linalg.inv(crop.K).T
    points = (rays * depth[rows, columns, None]) @ R_cam_crop.T
    assert points[:, 2] == pytest.approx(np.full(len(points), 0.48), abs=2e-3)
    pixels = points @ K.T / points[:, 2:]
    shown = crop.image[rows, columns, :2].astype(float)
    assert np.abs(shown - pixels[:, :2]).max() < 1.2
    assert (pixels[:, 0] > 49).all()
    assert (pixels[:, 0] < 90).all()
    x1, y1, x2, y2 = crop.boxes[0]
    assert (columns >= x1 - 1).all()
    assert (columns <= x2 + 1).all()
    assert (rows >= y1 - 1).all()
    assert (rows <= y2 + 1).all()


def test_beyond_the_image_nothing_is_labelled() -> None:
    crop = virtual_frame(make_scene(), np.array([2.0, 2.0]), 60.0, 0.0, SIZE)
    assert crop.instance_map is not None
    assert crop.depth is not None
    assert (crop.instance_map[:20, :20] == -1).all()
    assert (crop.depth[:20, :20] == 0).all()


@dataclass(frozen=True)
class Scenes:
    """Every third frame shows too little, every fifth nothing."""

    def open(self):
        def read(number: int) -> Frame:
            if number % 5 == 4:
                return make_frame([], [])
            return make_scene(number, 0.05 if number % 3 == 2 else 1.0)

        return read


def looker(repeats: int = 1, **values: float) -> InstanceCropFrames:
    source = RepeatedFrames(Scenes(), repeats, BLOCK) if repeats > 1 else Scenes()
    return InstanceCropFrames(source, repeats, CATALOGUE, CropHeadTraining(**values), SIZE, 7)


def frame_number(crop: Frame) -> int:
    return int(np.median(crop.image[..., 2]))


def test_what_cannot_be_seen_is_not_looked_at_and_windows_repeat_by_number() -> None:
    read, again = looker().open(), looker().open()
    for number in (0, 2, 4, 9, 30):
        crop = read(number)
        assert crop.class_index.tolist() == [0]
        assert crop.visibility[0] == 1.0
        assert np.array_equal(crop.image, again(number).image)
    assert not np.array_equal(read(0).image, read(1).image)


@dataclass(frozen=True)
class AtTheEdge:
    """In every second block of frames the box lies at the left edge of the image."""

    def open(self):
        def read(number: int) -> Frame:
            frame = make_scene(number)
            if number // BLOCK % 2 == 0:
                frame.T_cam_obj[0, 0, 3] = (5.0 - K[0, 2]) / K[0, 0] * 0.5
            return frame

        return read


@pytest.mark.parametrize(("room", "expected"), [(0.0, {0, 1}), (0.2, {1})])
def test_images_hold_as_much_around_a_window_as_asked(room: float, expected: set[int]) -> None:
    config = CropHeadTraining(center_sigma=0.0, room=room)
    read = InstanceCropFrames(AtTheEdge(), 1, CATALOGUE, config, SIZE, 7).open()
    assert {frame_number(read(number)) // BLOCK % 2 for number in range(20)} == expected


def test_windows_lie_as_far_off_as_asked() -> None:
    exact = looker(center_sigma=0.0, size_sigma=0.0, roll_sigma=0.0).open()(0)
    p = exact.T_cam_obj[0, :3, 3]
    uv = (exact.K @ (p / p[2]))[:2]
    assert uv == pytest.approx([47.5, 47.5], abs=1e-3)
    read = looker(center_sigma=0.1, size_sigma=0.2, roll_sigma=10.0).open()
    focal, off = [], []
    for number in range(0, 300, 5):
        crop = read(number)
        p = crop.T_cam_obj[0, :3, 3]
        focal.append(np.log(crop.K[0, 0] / exact.K[0, 0]))
        off.append(((crop.K @ (p / p[2]))[:2] - 47.5) / (SIZE / 1.25) * 1.0)
    assert np.std(focal) == pytest.approx(0.2, rel=0.3)
    assert np.std(off) == pytest.approx(0.1, rel=0.35)


def test_processes_share_the_frames_and_each_use_has_its_own_window() -> None:
    repeats = 3
    seen: list[set[int]] = []
    for rank in range(2):
        read = looker(repeats).open()
        crops = [read(n) for n in range(rank + 100, 340 + rank, 2)]
        numbers = [frame_number(w) for w in crops]
        counts = np.bincount(numbers)
        assert counts.max() >= repeats
        seen.append(set(numbers))
        same = [w for w in crops if frame_number(w) == int(counts.argmax())]
        assert not np.array_equal(same[0].image, same[1].image)
    assert not seen[0] & seen[1]
