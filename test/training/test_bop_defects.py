"""What is wrong with a BOP folder is named in one error, as people's folders have it wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluation_scene import Scene
from PIL import Image

from cope_ros.core.errors import CopeError
from cope_training.evaluation.metrics import find_scenes, read_ground_truth
from cope_training.evaluation.metrics.ground_truth import check_image_sizes

Entry = dict


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Scene().write(tmp_path / "toys")


def change(root: Path, name: str, edit: Callable) -> Path:
    """Edits the content of one of the scene's JSON files."""
    path = root / "test" / "000007" / name
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


def scaled(entry: Entry, key: str, factor: float) -> None:
    entry[key] = [value * factor for value in entry[key]]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda o: scaled(o, "cam_R_m2c", -1), r"cam_R_m2c.*reflection"),
        (lambda o: scaled(o, "cam_R_m2c", 1000), r"cam_R_m2c.*scaled by 1000"),
        (lambda o: scaled(o, "cam_t_m2c", 1e-3), r"are these metres\?"),
        (lambda o: o["cam_t_m2c"].__setitem__(2, -500), r"in front of the camera.*-500 mm"),
        (lambda o: o["cam_t_m2c"].__setitem__(0, float("nan")), r"cam_t_m2c"),
        (lambda o: o.update(obj_id=77), r"unknown obj_id 77"),
        (lambda o: o.update(obj_id="cup"), r"obj_id"),
        (lambda o: o.update(cam_R_m2c=[1, 0, 0]), r"cam_R_m2c"),
        (lambda o: o.pop("cam_t_m2c"), r"cam_t_m2c"),
    ],
)
def test_a_wrong_pose_is_named_with_file_image_and_object(
    root: Path, edit: Callable, says: str
) -> None:
    change(root, "scene_gt.json", lambda content: edit(content["2"][1]))
    with pytest.raises(CopeError, match=r"scene_gt\.json: image 2, object 1.*" + says):
        read_ground_truth(find_scenes(root))


def test_nested_matrices_text_ids_and_a_byte_order_mark_are_read(root: Path) -> None:
    before = read_ground_truth(find_scenes(root))

    def nest(content: dict) -> None:
        for entry in (e for entries in content.values() for e in entries):
            entry["cam_R_m2c"] = np.reshape(entry["cam_R_m2c"], (3, 3)).tolist()
            entry["obj_id"] = str(entry["obj_id"])

    path = change(root, "scene_gt.json", nest)
    path.write_text("\ufeff" + path.read_text(), encoding="utf-8")
    after = read_ground_truth(find_scenes(root))
    np.testing.assert_array_equal(after.R, before.R)
    np.testing.assert_array_equal(after.obj_id, before.obj_id)


def test_keys_that_are_no_numbers_are_named(root: Path) -> None:
    change(root, "scene_gt.json", lambda content: content.update(first=content.pop("0")))
    with pytest.raises(CopeError, match=r"scene_gt\.json.*first"):
        read_ground_truth(find_scenes(root))


def test_without_visibility_everything_counts_and_is_said(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "test" / "000007" / "scene_gt_info.json").unlink()
    gts = read_ground_truth(find_scenes(root))
    assert (gts.visibility == 1).all()
    assert "scene_gt_info.json" in caplog.text


def test_an_image_of_another_size_is_named(root: Path) -> None:
    scenes = find_scenes(root)
    gts = read_ground_truth(scenes)
    check_image_sizes(scenes, gts)
    path = scenes.image_path(7, 3)
    assert path is not None
    Image.new("RGB", (80, 60)).save(path)
    with pytest.raises(CopeError, match=r"000003\.png: expected 160 x 120 px.*got 80 x 60"):
        check_image_sizes(scenes, gts)
