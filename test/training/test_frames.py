"""Frames, crops and the stream of rendered frames."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.frames import Frame, FrameStream
from cope_training.data.sources import RenderedFrames
from cope_training.rendering.scene_config import SceneConfig
from cope_training.rendering.scenes import sample_crop, sample_scene
from cope_training.rendering.studio import ObjectSet, Studio, load_objects

MODELS = str(Path(__file__).resolve().parents[2] / "models" / "demo")
CONFIG = SceneConfig(models=MODELS, crop_size=96)


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(load_objects(MODELS), pictures=8)


def check(frame: Frame, size: tuple[int, int], classes: int) -> None:
    """What every frame has to satisfy."""
    width, height = size
    count = len(frame.class_index)
    assert frame.image.shape == (height, width, 3)
    assert frame.image.dtype == np.uint8
    assert frame.instance_map.shape == (height, width)
    assert frame.instance_map.dtype == np.int16
    assert -1 <= frame.instance_map.min() <= frame.instance_map.max() < count
    assert frame.T_cam_obj.shape == (count, 4, 4)
    assert frame.boxes.shape == (count, 4)
    assert frame.visibility.dtype == np.float32
    assert ((frame.visibility >= 0) & (frame.visibility <= 1)).all()
    assert ((frame.class_index >= 0) & (frame.class_index < classes)).all()
    R = frame.T_cam_obj[:, :3, :3]
    assert np.allclose(R @ R.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(R), 1.0)
    for row in range(count):  # visible pixels lie in the box, and only visible objects have some
        ys, xs = np.nonzero(frame.instance_map == row)
        assert (len(xs) > 0) == (frame.visibility[row] > 0)
        if len(xs):
            x1, y1, x2, y2 = frame.boxes[row]
            assert x1 - 1 <= xs.min() <= xs.max() <= x2 + 1
            assert y1 - 1 <= ys.min() <= ys.max() <= y2 + 1


def test_crops_are_sound_and_reproducible(studio):
    frames = [sample_crop(np.random.default_rng([1, i]), studio, CONFIG) for i in range(16)]
    for frame in frames:
        check(frame, (96, 96), 3)
    again = sample_crop(np.random.default_rng([1, 7]), studio, CONFIG)
    assert (again.image == frames[7].image).all()
    assert (again.T_cam_obj == frames[7].T_cam_obj).all()
    assert {int(c) for f in frames for c in f.class_index} == {0, 1, 2}
    visible = np.concatenate([f.visibility for f in frames])
    assert (visible > 0.25).mean() > 0.25
    assert ((visible > 0.05) & (visible < 0.9)).any()  # some are hidden in part


def test_crop_windows_lie_in_the_virtual_image(studio):
    for i in range(10):
        K = sample_crop(np.random.default_rng([2, i]), studio, CONFIG).K
        assert CONFIG.focal_min <= K[0, 0] <= CONFIG.focal_max
        # the principal point of the virtual camera, seen from a window anywhere in its image
        assert 320 - 16 - (640 - 96) <= K[0, 2] <= 336
        assert 240 - 16 - (480 - 96) <= K[1, 2] <= 256


@pytest.mark.parametrize("count", [10, 40, 100])
def test_scenes_hold_as_many_instances_as_asked_for(studio, count):
    """The paper's IC-BIN syn: 10 to 100 instances in an image."""
    config = SceneConfig(models=MODELS, empty_share=0.0, size_min=50, size_max=100)
    frame = sample_scene(np.random.default_rng(3), studio, config, count)
    check(frame, (640, 480), 3)
    assert 0.85 * count <= len(frame.class_index) <= count  # those too near are dropped
    assert (frame.visibility > 0.1).sum() >= 0.25 * count


def test_empty_images_have_no_rows(studio):
    config = SceneConfig(models=MODELS, crop_size=64, empty_share=1.0)
    frame = sample_crop(np.random.default_rng(0), studio, config)
    check(frame, (64, 64), 3)
    assert len(frame.class_index) == 0


def test_depths_and_upright_objects_are_as_asked_for(studio):
    config = SceneConfig(
        models=MODELS, crop_size=96, depth_min=0.5, depth_max=0.6, resting_share=1.0,
        upright_share=1.0, empty_share=0.0, instances_min=1, instances_max=1, roll_sigma=0.0,
    )  # fmt: skip
    frames = [sample_crop(np.random.default_rng(i), studio, config) for i in range(20)]
    poses = np.concatenate([f.T_cam_obj for f in frames])
    # The spot under the object has the depth; the object's frame lies some centimetres above.
    assert poses[:, 2, 3].min() > 0.3
    assert poses[:, 2, 3].max() < 0.62
    up = poses[:, :3, 2]
    standing = np.abs(up[:, 0]) < 1e-6  # an upright camera sees z up, with no sideways part
    assert standing.mean() > 0.6  # one in five leans
    assert (up[standing, 1] < 0).all()


def test_select_renumbers_the_instance_map(studio):
    frame = next(
        f
        for i in itertools.count()
        if len((f := sample_crop(np.random.default_rng([4, i]), studio, CONFIG)).class_index) >= 3
        and (f.visibility > 0).sum() >= 2
    )
    rows = np.nonzero(frame.visibility > 0)[0][::-1]
    part = frame.select(rows)
    check(part, (96, 96), 3)
    for new, old in enumerate(rows):
        assert ((part.instance_map == new) == (frame.instance_map == old)).all()
    nothing = frame.select(np.zeros(len(frame.class_index), dtype=bool))
    assert len(nothing.boxes) == 0
    assert (nothing.instance_map == -1).all()


def test_stream_is_the_same_for_any_number_of_workers_and_resumes():
    config = SceneConfig(models=MODELS, crop_size=64)
    with FrameStream(RenderedFrames(config, 5), workers=1) as stream:
        frames = list(itertools.islice(stream, 5))
    with FrameStream(RenderedFrames(config, 5), workers=2, start=2) as stream:
        for expected in frames[2:]:
            got = stream.next_frame()
            assert (got.image == expected.image).all()
            assert (got.boxes == expected.boxes).all()
    stream.close()  # a second time does nothing


def test_a_worker_that_fails_tells_why():
    config = SceneConfig(models="no/such/folder")
    source = RenderedFrames(config, 0)
    with FrameStream(source) as stream, pytest.raises(CopeError, match="no/such/folder"):
        stream.next_frame()


def test_workers_are_counted():
    with pytest.raises(ValueError, match="workers"):
        FrameStream(RenderedFrames(CONFIG, 0), workers=0)


def moved(objects: ObjectSet, by: np.ndarray) -> ObjectSet:
    """The objects without symmetry, their meshes away from their origins by (3,) m."""
    info = {
        key: entry
        | {f"min_{a}": entry[f"min_{a}"] + 1e3 * m for a, m in zip("xyz", by, strict=True)}
        for key, entry in objects.catalogue.to_dict().items()
    }
    kept = [c for c, item in enumerate(objects.catalogue) if not item.is_symmetric]
    catalogue = Catalogue.from_dict({key: info[key] for c, key in enumerate(info) if c in kept})
    meshes = [objects.meshes[c] for c in kept]
    away = [replace(mesh, vertices=(mesh.vertices + by).astype(np.float32)) for mesh in meshes]
    return ObjectSet(catalogue, tuple(away))


@pytest.mark.parametrize("resting", [0.0, 1.0])
def test_origins_far_from_the_mesh_change_nothing_in_view(resting: float) -> None:
    """Parts of an assembly and scans have their origin elsewhere; poses stay those of it."""
    by = np.array([0.5, -0.3, 0.2])
    config = replace(CONFIG, resting_share=resting)
    crops = []
    for shift in (np.zeros(3), by):
        studio = Studio(moved(load_objects(MODELS), shift), pictures=4)
        crops.append([sample_crop(np.random.default_rng([9, i]), studio, config) for i in range(8)])
    assert sum(len(crop.class_index) for crop in crops[0]) > 10
    for near, far in zip(*crops, strict=True):
        assert np.allclose(near.visibility, far.visibility, atol=0.02)
        assert np.allclose(near.boxes, far.boxes, atol=0.5)
        R, t = far.T_cam_obj[:, :3, :3], far.T_cam_obj[:, :3, 3]
        assert np.allclose(R, near.T_cam_obj[:, :3, :3])
        assert np.allclose(t + R @ by, near.T_cam_obj[:, :3, 3], atol=1e-6)
