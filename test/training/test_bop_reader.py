"""BOP reader and writer: round trip, refusal of broken sets, real ground truth."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.bop_reader import BopDataset
from cope_training.data.bop_writer import DEPTH_SCALE, BopSceneWriter
from cope_training.data.frames import Frame
from cope_training.rendering.camera import project_box
from cope_training.rendering.placement import random_rotation
from cope_training.rendering.studio import load_objects

BOX = {"min_x": -50, "min_y": -50, "min_z": -50, "size_x": 100, "size_y": 100, "size_z": 100}
CATALOGUE = Catalogue.from_dict({str(i): {"diameter": 173.2, **BOX} for i in (2, 5, 9)})


def make_frame(rng: np.random.Generator, count: int, height: int = 24, width: int = 32) -> Frame:
    poses = np.tile(np.eye(4), (count, 1, 1))
    for pose in poses:
        pose[:3, :3] = random_rotation(rng)
        pose[:3, 3] = rng.uniform([-1, -1, 0.5], 2, 3)
    K = np.array([[50.0, 0, 15.2], [0, 51.0, 12.4], [0, 0, 1]])
    class_index = rng.integers(0, 3, count)
    corners = [CATALOGUE[c].corners for c in class_index.tolist()]
    boxes = np.stack([project_box(*of, K) for of in zip(corners, poses, strict=True)])
    return Frame(
        image=rng.integers(0, 256, (height, width, 3), np.uint8),
        K=K,
        class_index=class_index,
        T_cam_obj=poses,
        visibility=rng.uniform(0, 1, count).astype(np.float32),
        instance_map=rng.integers(-1, count, (height, width)).astype(np.int16),
        boxes=boxes.astype(np.float32),
    )


def write_scene(folder: Path, frames: list[Frame], **extra) -> None:
    writer = BopSceneWriter(folder, CATALOGUE)
    for frame in frames:
        count = len(frame.class_index)
        visible = [(frame.instance_map == i).sum() for i in range(count)]
        pixels = np.stack([np.array(visible) + 5, visible], axis=1).reshape(-1, 2).astype(int)
        silhouettes = np.stack([frame.instance_map == i for i in range(count)])
        writer.add(frame, pixels, silhouettes=silhouettes, **extra)
    writer.close()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**31), counts=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_what_is_written_is_read_back(tmp_path_factory, seed, counts):
    folder = tmp_path_factory.mktemp("set") / "train_pbr"
    rng = np.random.default_rng(seed)
    frames = [make_frame(rng, n) for n in counts]
    write_scene(folder / "000003", frames)
    dataset = BopDataset(folder, CATALOGUE)
    assert len(dataset) == len(frames)
    for index, (frame, again) in enumerate(zip(frames, dataset, strict=True)):
        assert dataset.ids(index) == (3, index)
        assert (again.image == frame.image).all()
        assert (again.instance_map == frame.instance_map).all()
        assert (again.class_index == frame.class_index).all()
        assert np.allclose(again.T_cam_obj, frame.T_cam_obj, atol=1e-6)
        assert np.allclose(again.K, frame.K)
        assert np.allclose(again.visibility, frame.visibility, atol=1e-5)
        assert np.abs(again.boxes - frame.boxes).max() <= 1.0  # BOP's boxes are whole pixels


def test_depth_is_written_in_tenths_of_millimetres(tmp_path):
    frame = make_frame(np.random.default_rng(0), 1)
    depth = np.linspace(0.0, 3.0, frame.image[..., 0].size).reshape(frame.image.shape[:2])
    write_scene(tmp_path / "000000", [frame], depth=depth)
    stored = np.asarray(Image.open(tmp_path / "000000" / "depth" / "000000.png"))
    assert stored.dtype == np.uint16
    assert np.abs(stored * DEPTH_SCALE / 1000 - depth).max() <= 0.5e-4 + 1e-9


def test_unknown_objects_are_left_out_of_masks_too(tmp_path):
    frame = make_frame(np.random.default_rng(2), 4)
    write_scene(tmp_path / "000000", [frame])
    some = Catalogue.from_dict({"5": {"diameter": 173.2, **BOX}})
    again = BopDataset(tmp_path, some)[0]
    kept = np.nonzero(frame.class_index == 1)[0]
    assert len(again.class_index) == len(kept)
    for number, row in enumerate(kept):
        assert ((again.instance_map == number) == (frame.instance_map == row)).all()


def test_jpeg_and_gray_images_are_found(tmp_path):
    frame = make_frame(np.random.default_rng(3), 1)
    write_scene(tmp_path / "000000", [frame])
    folder = tmp_path / "000000"
    gray = Image.fromarray(frame.image).convert("L")
    shutil.rmtree(folder / "rgb")
    (folder / "gray").mkdir()
    gray.save(folder / "gray" / "000000.png")
    image = BopDataset(folder, CATALOGUE)[0].image
    assert image.shape == frame.image.shape
    assert (image[..., 0] == np.asarray(gray)).all()
    (folder / "rgb").mkdir()
    Image.fromarray(np.full_like(frame.image, 77)).save(folder / "rgb" / "000000.jpg")
    assert abs(int(BopDataset(folder, CATALOGUE)[0].image.mean()) - 77) <= 1


def break_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


BROKEN = {
    "pose missing": ("scene_gt.json", lambda c: c["1"][0].pop("cam_R_m2c"), "cam_R_m2c"),
    "not a rotation": (
        "scene_gt.json",
        lambda c: c["1"][0].update(cam_R_m2c=[2.0] * 9),
        "cam_R_m2c",
    ),
    "too few numbers": ("scene_gt.json", lambda c: c["1"][0].update(cam_t_m2c=[1, 2]), "cam_t"),
    "text for a number": ("scene_gt.json", lambda c: c["1"][0].update(obj_id="two"), "obj_id"),
    "no intrinsics": ("scene_camera.json", lambda c: c["1"].pop("cam_K"), "cam_K"),
    "infinite": ("scene_camera.json", lambda c: c["1"].update(cam_K=[1e999] * 9), "cam_K"),
    "image unknown": ("scene_camera.json", lambda c: c.pop("1"), "image 1"),
    "rows differ": ("scene_gt_info.json", lambda c: c["1"].pop(), "image 1"),
    "no visibility": (
        "scene_gt_info.json",
        lambda c: c["1"][0].pop("visib_fract"),
        "visib_fract",
    ),
    "box": ("scene_gt_info.json", lambda c: c["1"][0].update(bbox_obj=None), "bbox_obj"),
    "strange key": ("scene_gt.json", lambda c: c.update(one=[]), "one"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_ground_truth_is_refused_by_file_and_key(tmp_path, case):
    rng = np.random.default_rng(4)
    write_scene(tmp_path / "000000", [make_frame(rng, 2) for _ in range(2)])
    name, change, key = BROKEN[case]
    break_json(tmp_path / "000000" / name, change)
    with pytest.raises(CopeError) as refusal:
        BopDataset(tmp_path, CATALOGUE)
    assert name in str(refusal.value)
    assert key in str(refusal.value)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.one_of(st.text(max_size=30), st.sampled_from(["[]", "{}", '{"0": 3}', '{"0": [1]}']))
)
def test_any_text_as_ground_truth_is_refused_or_empty(tmp_path, text):
    folder = tmp_path / "000000"
    if not folder.exists():
        write_scene(folder, [make_frame(np.random.default_rng(5), 1)])
    (folder / "scene_gt.json").write_text(text, encoding="utf-8")
    with pytest.raises(CopeError):
        BopDataset(folder, CATALOGUE)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(CopeError, match=r"scene_gt\.json"):
        BopDataset(tmp_path, CATALOGUE)
    write_scene(tmp_path / "000000", [make_frame(np.random.default_rng(6), 2) for _ in range(3)])
    (tmp_path / "000000" / "rgb" / "000001.png").unlink()
    with pytest.raises(CopeError, match=r"rgb.000001"):
        BopDataset(tmp_path, CATALOGUE)
    skipping = BopDataset(tmp_path, CATALOGUE, missing_images="skip")
    assert [skipping.ids(i)[1] for i in range(len(skipping))] == [0, 2]
    (tmp_path / "000000" / "mask_visib" / "000002_000001.png").write_bytes(b"no image")
    with pytest.raises(CopeError, match=r"000002_000001\.png"):
        skipping[1]
    (tmp_path / "000000" / "scene_camera.json").unlink()
    with pytest.raises(CopeError, match=r"scene_camera\.json"):
        BopDataset(tmp_path, CATALOGUE)


def test_index_is_compact(tmp_path):
    """50,000 images with 15 objects stay under 100 MB: under 120 bytes a row."""
    write_scene(tmp_path / "000000", [make_frame(np.random.default_rng(7), 5) for _ in range(4)])
    scene = BopDataset(tmp_path, CATALOGUE)._scenes[0]
    per_row = sum(a[:1].nbytes for a in (scene.row, scene.class_index, scene.pose))
    per_row += scene.visibility[:1].nbytes + scene.boxes[:1].nbytes
    assert per_row < 120
    assert all(
        isinstance(v, np.ndarray) for k, v in vars(scene).items() if k not in ("folder", "paths")
    )


def test_lmo_boxes_fit_the_projected_meshes(real_data):
    objects = load_objects(real_data("lmo") / "models")
    dataset = BopDataset(real_data("lmo") / "test", objects.catalogue, missing_images="skip")
    frame = dataset[0]
    assert frame.instance_map is None
    assert len(frame.class_index) > 3
    for c, T, box in zip(frame.class_index, frame.T_cam_obj, frame.boxes, strict=True):
        exact = project_box(objects.meshes[c].vertices.astype(float), T, frame.K)
        assert np.abs(exact - box).max() < 3.0
