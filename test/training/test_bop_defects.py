"""What is wrong with a BOP folder is named by training and evaluation, in one error each."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bop_folder import Folder, demonstration, evaluation, train
from evaluation_scene import SIZE
from PIL import Image

from cope_ros.core.errors import CopeError


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "toys")


def refused(folder: Folder, says: str, *readers: Callable[[Folder], object]) -> None:
    """Every reader names it (training and evaluation by default)."""
    for read in readers or (train, evaluation):
        with pytest.raises(CopeError, match=says):
            read(folder)


def scaled(entry: dict, key: str, factor: float) -> None:
    entry[key] = [value * factor for value in entry[key]]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda o: scaled(o, "cam_R_m2c", -1), r"cam_R_m2c.*reflection \(determinant -1\)"),
        (lambda o: scaled(o, "cam_R_m2c", 1000), r"cam_R_m2c.*scaled by 1000"),
        (lambda o: scaled(o, "cam_R_m2c", 1e200), r"cam_R_m2c: expected a rotation"),
        (lambda o: scaled(o, "cam_t_m2c", 1e-3), r"are these metres\?"),
        (lambda o: scaled(o, "cam_t_m2c", 1e3), r"are these micrometres\?"),
        (lambda o: scaled(o, "cam_t_m2c", 1e300), r"too far to be seen"),
        (lambda o: o["cam_t_m2c"].__setitem__(2, -500), r"in front of the camera.*-500 mm"),
        (lambda o: o["cam_t_m2c"].__setitem__(0, float("nan")), r"cam_t_m2c"),
        (lambda o: o["cam_t_m2c"].__setitem__(0, None), r"cam_t_m2c: expected 3 finite numbers"),
        (lambda o: o.update(obj_id="cup"), r"obj_id"),
        (lambda o: o.update(obj_id=True), r"obj_id: expected an integer, got True"),
        (lambda o: o.update(obj_id=0), r"obj_id: expected BOP's, from 1 on, got 0"),
        (lambda o: o.update(obj_id="1_0"), r"obj_id: expected a finite number, got '1_0'"),
        (lambda o: o["cam_t_m2c"].__setitem__(0, True), r"cam_t_m2c: expected 3 finite numbers"),
        (lambda o: o.update(obj_id=1.5), r"obj_id: expected an integer, got 1.5"),
        (lambda o: o.update(cam_R_m2c=[1, 0, 0]), r"cam_R_m2c"),
        (lambda o: o.pop("cam_t_m2c"), r"cam_t_m2c"),
    ],
)
def test_a_wrong_pose_is_named_with_file_image_and_object(
    folder: Folder, edit: Callable, says: str
) -> None:
    folder.edit("scene_gt.json", lambda content: edit(content["2"][1]))
    refused(folder, r"scene_gt\.json: image 2, object 1.*" + says)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda o: o.update(visib_fract=87), r"visib_fract: expected a share from 0 to 1, got 87"),
        (lambda o: o.update(visib_fract=-1), r"visib_fract.*got -1"),
        (lambda o: o.update(visib_fract=float("nan")), r"visib_fract"),
        (lambda o: o.update(bbox_obj=[-1, -1, -1, -1]), r"bbox_obj"),
        (lambda o: o.update(bbox_obj=[1, 2, 3]), r"bbox_obj: expected 4 finite numbers"),
    ],
)
def test_wrong_visibilities_and_boxes_are_named(folder: Folder, edit: Callable, says: str) -> None:
    folder.edit("scene_gt_info.json", lambda content: edit(content["2"][1]))
    refused(folder, r"scene_gt_info\.json: image 2, object 1.*" + says)


def test_boxes_given_by_two_corners_are_named(folder: Folder) -> None:
    """Read as x, y, width, height they reach beyond the object that the pose says."""

    def corners(content: dict) -> None:
        for entry in (entry for image in content.values() for entry in image):
            x, y, width, height = entry["bbox_obj"]
            entry["bbox_obj"] = [x, y, x + width, y + height]

    folder.edit("scene_gt_info.json", corners)
    refused(folder, r"scene_gt_info\.json: image \d, object \d: bbox_obj: .*x1, y1, x2, y2")


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("scene_gt.json", lambda row: row.reverse()),
        ("scene_gt_info.json", lambda row: row.reverse()),
        ("scene_gt.json", lambda row: [scaled(entry, "cam_t_m2c", 0.1) for entry in row]),  # cm
        ("scene_gt_info.json", lambda row: [scaled(entry, "bbox_obj", 1 / 160) for entry in row]),
        ("scene_gt.json", lambda row: [mirrored(entry) for entry in row]),
    ],
)
def test_poses_and_boxes_that_are_not_of_one_image_are_named(
    folder: Folder, name: str, edit: Callable
) -> None:
    folder.edit(name, lambda content: [edit(row) for row in content.values()])
    refused(
        folder, r"scene_gt_info\.json: image \d, object \d: bbox_obj: expected .* inside and about"
    )


def mirrored(entry: dict) -> None:
    """With y pointing up, as some renderers have it."""
    entry["cam_t_m2c"][1] *= -1


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.point(lambda value: 255 - value),
        lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda image: Image.new("L", image.size),
    ],
    ids=["inverted", "mirrored", "empty"],
)
def test_masks_of_something_else_are_named_before_training(
    folder: Folder, change: Callable[[Image.Image], Image.Image]
) -> None:
    for path, image in folder.pictures("mask_visib"):
        change(image).save(path)
    refused(folder, r"mask_visib: expected masks inside bbox_obj of their objects", train)


def test_intrinsics_of_other_images_do_not_fit_the_boxes(folder: Folder) -> None:
    """Half as large again, their principal point lies well inside the images still."""

    def enlarge(content: dict) -> None:
        for entry in content.values():
            entry["cam_K"] = [1.5 * v for v in entry["cam_K"][:8]] + [1]

    folder.edit("scene_camera.json", enlarge)
    refused(folder, r"bbox_obj: expected .* cam_K of others")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "expected JSON"),
        ("<html>", "expected JSON"),
        ("[]", "expected a mapping of image numbers, got a list"),
        ('{"first": []}', "expected image numbers as keys, got 'first'"),
        ('{"-1": []}', "expected image numbers as keys, got '-1'"),
        ('{"0": [], "000000": []}', "image 0 comes twice"),
        ('{"0": [], "0": []}', "expected JSON, got the key '0' twice"),
        ('{"0": {}}', "image 0: expected a list of objects"),
        ('{"0": [null]}', "image 0, object 0: expected a mapping with obj_id"),
        ("[" * 100000, "expected JSON"),
    ],
)
def test_files_that_are_no_ground_truth_are_named(folder: Folder, content: str, says: str) -> None:
    (folder.scene / "scene_gt.json").write_text(content)
    refused(folder, r"scene_gt\.json: " + says)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda c: c.update({"1": None}), "image 1: expected a mapping with cam_K, got None"),
        (lambda c: c["1"].update(cam_K=[0] * 9), "image 1: expected focal lengths over 0"),
        (lambda c: c["1"].update(cam_K=[9, 0, 0, 0, 9, 0, 5, 5, 1]), "last row of cam_K"),
        (lambda c: c["1"].update(cam_K=[9, 0, 5, 1, 9, 5, 0, 0, 1]), "fourth number of cam_K"),
        (lambda c: c["1"].update(cam_K=[800, 0, 320, 0, 800, 240, 0, 0, 1]), "another image size"),
        (lambda c: c["1"].update(cam_K=[1.2, 0, 80, 0, 1.6, 60, 0, 0, 1]), "expected pixels"),
        (lambda c: c["1"].update(width=640, height=480), "image 1, got 160 x 120"),
        (lambda c: c["1"].update(width=640, height=-1), "width, height: expected over 0"),
    ],
)
def test_wrong_intrinsics_are_named_by_all(folder: Folder, edit: Callable, says: str) -> None:
    folder.edit("scene_camera.json", edit)
    refused(folder, rf"scene_camera\.json.*{says}", train, evaluation, demonstration)


@pytest.mark.parametrize("scale", [0, -1, None, "mm"])
def test_wrong_depth_scales_are_named(folder: Folder, scale: object) -> None:
    folder.edit("scene_camera.json", lambda content: content["1"].update(depth_scale=scale))
    refused(folder, r"scene_camera\.json: image 1: depth_scale")


def test_objects_that_models_info_lacks_are_named_in_evaluation(folder: Folder) -> None:
    folder.edit("scene_gt.json", lambda content: content["2"][1].update(obj_id=77))
    refused(folder, r"image 2, object 1: unknown obj_id 77: models_info.json has", evaluation)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read as an image"),
    ],
)
@pytest.mark.parametrize("kind", ["rgb", "depth"])
def test_files_that_are_no_images_are_named(
    folder: Folder, kind: str, content: bytes, says: str
) -> None:
    (folder.scene / kind / "000001.png").write_bytes(content)
    refused(folder, rf"{kind}/000001\.png: cannot be read as an image.*{says}|{says}")


def test_truncated_and_gigantic_images_are_named(folder: Folder) -> None:
    path = folder.scene / "rgb" / "000001.png"
    path.write_bytes(path.read_bytes()[:9000])
    refused(folder, r"000001\.png: cannot be read as an image", train, evaluation, demonstration)
    Image.new("1", (20000, 20000)).save(path)
    refused(folder, r"000001\.png.*178956970 pixels", train, evaluation, demonstration)


def test_colour_as_depth_is_named(folder: Folder) -> None:
    Image.new("RGB", SIZE).save(folder.scene / "depth" / "000002.png")
    refused(folder, r"depth/000002\.png: expected a depth image of one channel, got RGB")


@pytest.mark.parametrize("kind", ["rgb", "depth"])
def test_images_of_another_size_are_named(folder: Folder, kind: str) -> None:
    path = folder.scene / kind / "000003.png"
    Image.fromarray(np.zeros((80, 100), np.uint16 if kind == "depth" else np.uint8)).save(path)
    refused(folder, r"000003\.png: expected 1\d\d x \d+ px")


def test_camera_json_of_another_size_is_named(folder: Folder) -> None:
    camera = {"fx": 200, "fy": 200, "cx": 80, "cy": 60, "width": 640, "height": 480}
    (folder.root / "camera.json").write_text(json.dumps(camera))
    refused(folder, r"000000\.png: expected 640 x 480 px as in camera\.json", evaluation)


@pytest.mark.parametrize("name", ["mask_visib", "mask_visib/000001_000001.png"])
def test_missing_masks_are_named_before_training(folder: Folder, name: str) -> None:
    path = folder.scene / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused(folder, r"mask_visib/00000\d_00000\d\.png: the mask is missing", train)
