"""Reading a BOP data set's annotations: layouts, targets and what is wrong with them."""

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_scene import SIZE, Scene

from cope_ros.core.errors import CopeError
from cope_training.evaluation.metrics import find_scenes, read_ground_truth
from cope_training.evaluation.metrics.ground_truth import read_available


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("inner", ["", "test", "test/000007"])
def test_root_split_and_scene_are_all_accepted(scene: Scene, tmp_path: Path, inner: str) -> None:
    scenes = find_scenes(scene.write(tmp_path / "toys") / inner)
    assert list(scenes.scenes) == [7]
    assert scenes.models is not None
    gts = read_ground_truth(scenes)
    assert len(gts) == len(scene.obj_id)
    assert gts.image_size == SIZE
    np.testing.assert_allclose(gts.t, scene.t, atol=1e-9)


def test_a_targets_file_chooses_images_and_counts(scene: Scene, tmp_path: Path) -> None:
    root = scene.write(tmp_path / "toys")
    targets = [{"scene_id": 7, "im_id": 2, "obj_id": 1, "inst_count": 1}]
    (root / "test_targets_bop19.json").write_text(json.dumps(targets))
    gts = read_ground_truth(find_scenes(root))
    assert gts.images == [(7, 2)]
    assert gts.targets == 1
    del targets[0]["obj_id"]
    (root / "test_targets_bop19.json").write_text(json.dumps(targets))
    with pytest.raises(CopeError, match=r"test_targets_bop19\.json: target 0.*obj_id"):
        read_ground_truth(find_scenes(root))


def test_a_part_of_the_images_keeps_its_rows(scene: Scene, tmp_path: Path) -> None:
    scenes = find_scenes(scene.write(tmp_path / "toys"))
    gts = read_ground_truth(scenes)
    first, second = gts.images[:2]
    part, again = (
        gts.of_images([second, first, (99, 1)]),
        read_ground_truth(scenes, [first, second]),
    )
    assert part.images == again.images == [first, second]
    for name in ("scene_id", "im_id", "obj_id", "R", "t", "visibility", "boxes"):
        np.testing.assert_array_equal(getattr(part, name), getattr(again, name), err_msg=name)
    assert part.inst_count == again.inst_count
    assert 0 < part.targets < gts.targets
    assert len(gts.of_images([])) == 0


def test_images_without_a_file_are_left_out(scene: Scene, tmp_path: Path) -> None:
    scenes = find_scenes(scene.write(tmp_path / "toys"))
    images = read_ground_truth(scenes).images
    scenes.image_path(*images[0]).unlink()
    scenes = find_scenes(tmp_path / "toys")
    assert read_available(scenes).images == images[1:]
    (tmp_path / "toys" / "camera.json").unlink(missing_ok=True)
    assert read_available(scenes).image_size == SIZE  # of an image that is there
    assert read_available(scenes, 1).images == images[1:2]
    for key in images[1:]:
        scenes.image_path(*key).unlink()
    with pytest.raises(CopeError, match=r"toys: no image to evaluate"):
        read_available(find_scenes(tmp_path / "toys"))


def test_broken_annotations_name_file_and_image(scene: Scene, tmp_path: Path) -> None:
    root = scene.write(tmp_path / "toys")
    path = root / "test" / "000007" / "scene_camera.json"
    cameras = json.loads(path.read_text())
    del cameras["3"]["cam_K"]
    path.write_text(json.dumps(cameras))
    with pytest.raises(CopeError, match=r"000007.*image 3.*cam_K"):
        read_ground_truth(find_scenes(root))
    path.write_text("{")
    with pytest.raises(CopeError, match=r"scene_camera\.json: expected JSON"):
        read_ground_truth(find_scenes(root))
