"""Training from BOP sets: order, windows, mixtures, refusals, memory."""

import itertools
import json
import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_bop_reader import CATALOGUE, make_frame, write_scene

from cope_ros.core.errors import CopeError
from cope_training.data import bop_stream
from cope_training.data.bop_stream import BopStream
from cope_training.data.frames import Frame, FrameStream
from cope_training.data.sources import BopFrames, MixedFrames, ScaledFrames, build_source
from cope_training.engine.configuration import AugmentConfig, BopConfig, DataConfig, TrainConfig

SCENES = {"000001": 5, "000002": 3, "000007": 4}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "train_pbr"
    rng = np.random.default_rng(0)
    for name, count in SCENES.items():
        write_scene(folder / name, [make_frame(rng, 2, 64, 96) for _ in range(count)])
    return folder


def same(a: Frame, b: Frame) -> bool:
    return bool((a.image == b.image).all()) and np.array_equal(a.boxes, b.boxes)


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own(split: Path) -> None:
    stream = BopStream(split, CATALOGUE, seed=3)
    assert len(stream) == 12
    epochs = [[stream.locate(e, i) for i in range(12)] for e in (0, 1)]
    everything = sorted((s, i) for s, n in enumerate(SCENES.values()) for i in range(n))
    assert [sorted(e) for e in epochs] == [everything, everything]
    assert epochs[0] != epochs[1]
    other = BopStream(split, CATALOGUE, seed=4)
    assert [other.locate(0, i) for i in range(12)] != epochs[0]


def test_frames_depend_on_seed_and_number_alone(split: Path) -> None:
    straight = [BopStream(split, CATALOGUE, 3, crop=32)(i) for i in range(14)]
    jumping = BopStream(split, CATALOGUE, 3, crop=32)
    for i in (13, 2, 7):
        assert same(jumping(i), straight[i])


def test_workers_and_resumed_streams_go_on_in_order(split: Path) -> None:
    source = BopFrames(split, CATALOGUE, seed=3)
    read = source.open()
    with FrameStream(source, workers=2, start=5, stride=2) as stream:
        for number in (5, 7, 9, 11):
            assert same(stream.next_frame(), read(number))


def test_few_scenes_are_in_memory(split: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bop_stream, "GROUP", 1)
    stream = BopStream(split, CATALOGUE, seed=0)
    visited = [stream.locate(0, i)[0] for i in range(12)]
    assert sum(a != b for a, b in itertools.pairwise(visited)) == 2  # one by one
    for i in range(12):
        stream(i)
        assert len(stream._scenes) == 1


def test_windows_are_cut_with_exact_intrinsics(split: Path) -> None:
    whole = {}
    stream = BopStream(split, CATALOGUE, seed=1)
    for i in range(12):
        whole[stream.locate(0, i)] = stream(i)
    crops = BopStream(split, CATALOGUE, seed=1, crop=32)
    for i in range(12):
        crop, full = crops(i), whole[crops.locate(0, i)]
        assert crop.image.shape == (32, 32, 3)
        left, top = full.K[:2, 2] - crop.K[:2, 2]
        assert left == int(left)
        x, y = int(left), int(top)
        assert (crop.image == full.image[y : y + 32, x : x + 32]).all()
        assert (crop.K[:2, :2] == full.K[:2, :2]).all()


def write_empty_scene(folder: Path, count: int) -> None:
    """Files of the right names; only listing them may be cheap."""
    (folder / "rgb").mkdir(parents=True)
    for name in bop_stream.SCENE_FILES:
        (folder / name).write_text(json.dumps({str(i): [] for i in range(count)}))
    for i in range(count):
        (folder / "rgb" / f"{i:06d}.jpg").touch()


def test_the_index_is_four_bytes_an_image_and_keeps_no_ground_truth(tmp_path: Path) -> None:
    for scene in range(10):
        write_empty_scene(tmp_path / f"{scene:06d}", 200)
    tracemalloc.start()
    stream = BopStream(tmp_path, CATALOGUE, seed=0)
    stream.locate(0, 0)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(stream) == 2000
    assert stream.index_bytes == 8 * 2000
    assert kept < 60 * 2000
    with pytest.raises(CopeError, match=r"scene_camera\.json: image \d+: expected"):
        stream(0)


@pytest.mark.parametrize("missing", [*bop_stream.SCENE_FILES, "rgb"])
def test_scenes_without_a_file_are_refused_at_once(tmp_path: Path, missing: str) -> None:
    write_scene(tmp_path / "000000", [make_frame(np.random.default_rng(0), 1)])
    place = tmp_path / "000000" / missing
    place.rename(place.with_name("elsewhere"))
    with pytest.raises(CopeError, match=missing):
        BopStream(tmp_path, CATALOGUE, seed=0)


def test_broken_frames_are_refused_by_file_and_key_through_workers(tmp_path: Path) -> None:
    write_scene(tmp_path / "000000", [make_frame(np.random.default_rng(0), 1, 32, 32)])
    path = tmp_path / "000000" / "scene_gt.json"
    content = json.loads(path.read_text())
    content["0"][0]["cam_t_m2c"] = [1.0, 2.0]
    path.write_text(json.dumps(content))
    source = BopFrames(tmp_path, CATALOGUE, seed=0)
    with (
        FrameStream(source) as stream,
        pytest.raises(CopeError, match=r"scene_gt\.json: image 0, object 0: cam_t_m2c"),
    ):
        stream.next_frame()


def test_sets_without_masks_or_of_odd_sizes_are_refused(tmp_path: Path) -> None:
    write_scene(tmp_path / "000000", [make_frame(np.random.default_rng(0), 1, 30, 32)])
    with pytest.raises(CopeError, match="multiples of 32 px, got 32 x 30"):
        BopStream(tmp_path, CATALOGUE, seed=0)(0)
    with pytest.raises(CopeError, match=r"crop: expected at most 30 as in .*, got 32"):
        BopStream(tmp_path, CATALOGUE, seed=0, crop=32)(0)
    masks = tmp_path / "000000" / "mask_visib"
    masks.rename(masks.with_name("gone"))
    with pytest.raises(CopeError, match="mask_visib: training needs masks"):
        BopStream(tmp_path, CATALOGUE, seed=0)(0)


def test_configurations_become_sources(split: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETS", str(split.parent))
    bop = BopConfig(folder="$SETS", share=0.5, crop=64)
    data = DataConfig(bop=bop, scene={"crop_size": 64})
    config = TrainConfig(data=data, augment=AugmentConfig(scale=0.05))
    source = build_source(config, CATALOGUE)
    assert isinstance(source, ScaledFrames)
    assert isinstance(source.source, MixedFrames)
    moved = pickle.loads(pickle.dumps(source)).source  # as to a worker process
    assert (moved.share, moved.first.folder) == (0.5, split)
    assert same(source.source.first.open()(3), moved.first.open()(3))
    alone = replace(config, data=replace(data, bop=replace(bop, share=1.0, crop=0)))
    assert isinstance(build_source(alone, CATALOGUE).source, BopFrames)
    wrong = replace(config, data=replace(data, bop=replace(bop, crop=32)))
    with pytest.raises(CopeError, match=r"data\.bop\.crop: expected data\.scene\.crop_size \(64\)"):
        build_source(wrong, CATALOGUE)
    for change, reason in (
        ({"data": replace(data, bop=replace(bop, share=2.0))}, "share: expected 0 to 1, got 2"),
        ({"data": replace(data, repeats=0)}, "data.repeats: expected at least 1, got 0"),
        ({"augment": AugmentConfig(scale=0.6)}, "scale: expected 0 to 0.5, got 0.6"),
        ({"augment": AugmentConfig(scale=0.1, scale_by="size")}, "intrinsics or depth"),
    ):
        with pytest.raises(CopeError, match=reason):
            build_source(replace(config, **change), CATALOGUE)


def test_depth_images_come_along_in_metres(tmp_path: Path) -> None:
    frame = make_frame(np.random.default_rng(5), 1, 64, 96)
    depth = np.random.default_rng(6).uniform(0.2, 3.0, (64, 96))
    write_scene(tmp_path / "with" / "000000", [frame], depth=depth)
    write_scene(tmp_path / "without" / "000000", [frame])
    read = BopStream(tmp_path / "with", CATALOGUE, seed=0)(0)
    assert read.depth.dtype == np.float32
    assert np.abs(read.depth - depth).max() <= 0.6e-4
    assert BopStream(tmp_path / "without", CATALOGUE, seed=0)(0).depth is None
    window = BopStream(tmp_path / "with", CATALOGUE, seed=0, crop=32)(1)
    assert window.depth.shape == (32, 32)
    camera = tmp_path / "with" / "000000" / "scene_camera.json"
    camera.write_text(camera.read_text().replace('"depth_scale": 0.1', '"depth_scale": "no"'))
    with pytest.raises(CopeError, match=r"scene_camera\.json.*depth_scale"):
        BopStream(tmp_path / "with", CATALOGUE, seed=0)(0)
