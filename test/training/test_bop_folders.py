"""BOP folders as people have them: training, evaluation and demo read the same of them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from bop_folder import DEPTH_UNITS, FILES, Folder, demonstration, evaluation, train
from evaluation_scene import IMAGES, PER_IMAGE, SIZE
from PIL import Image

ORIENTATION = 0x0112


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "toys")


def means(folder: Folder) -> list[float]:
    """Mean gray of each image as evaluation and demo see it, which must be the same."""
    read, shown = evaluation(folder)[0], demonstration(folder)
    assert all((a == b).all() for a, b in zip(read, shown, strict=True))
    assert len(train(folder)) == len(read)
    return [float(image.mean()) for image in read]


@pytest.mark.parametrize(
    ("suffix", "form"),
    [
        *((".JPG", "JPEG"), (".Jpeg", "JPEG"), (".PNG", "PNG"), (".bmp", "BMP")),
        *((".webp", "WEBP"), (".tif", "TIFF"), (".TIFF", "TIFF")),
    ],
)
def test_names_and_formats(folder: Folder, suffix: str, form: str) -> None:
    before = means(folder)
    for kind in ("rgb", "mask_visib", "depth"):
        lossless = form if form in ("PNG", "TIFF") or kind == "rgb" else "PNG"
        new = suffix if lossless == form else ".Png"
        for path, image in folder.pictures(kind):
            image.save(path.with_suffix(new), format=lossless)
    np.testing.assert_allclose(means(folder), before, atol=0.5)
    assert all(frame.depth is not None and len(frame.class_index) for frame in train(folder))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1"])
def test_modes(folder: Folder, mode: str) -> None:
    before = means(folder)
    for path, image in folder.pictures("rgb"):
        image.convert(mode).save(path)
    np.testing.assert_allclose(means(folder), before, atol=2)


def test_sixteen_bits_become_eight(folder: Folder) -> None:
    for path, _ in folder.pictures("rgb"):
        Image.fromarray(np.full(SIZE[::-1], 40000, np.uint16)).save(path)
    assert means(folder) == [156] * IMAGES


@pytest.mark.parametrize(
    "change",
    [
        lambda mask: mask // 255,
        lambda mask: (mask // 255).astype(np.uint16),
        lambda mask: mask.astype(np.uint16) * 257,
        lambda mask: mask > 0,
        lambda mask: np.stack([mask, 0 * mask, 0 * mask, 255 + 0 * mask], axis=2),
    ],
    ids=["0 and 1", "16 bits, 0 and 1", "16 bits", "1 bit", "RGBA"],
)
def test_masks(folder: Folder, change) -> None:
    before = [frame.instance_map for frame in train(folder)]
    for path, image in folder.pictures("mask_visib"):
        Image.fromarray(change(np.asarray(image))).save(path)
    for frame, labels in zip(train(folder), before, strict=True):
        np.testing.assert_array_equal(frame.instance_map, labels)


def test_orientation_is_said_once_and_pixels_stay(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    before = means(folder)
    for path, image in folder.pictures("rgb"):
        exif = image.getexif()
        exif[ORIENTATION] = 6
        image.save(path, exif=exif)
    assert means(folder) == before
    assert caplog.text.count("EXIF") == 1


def test_stray_files_are_counted_once(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("._000000.png", "000000_vis.png", "Thumbs.db", ".DS_Store"):
        (folder.scene / "rgb" / name).write_bytes(b"x")
    (folder.scene.parent / "._000007").write_bytes(b"x")
    (folder.scene.parent / "__MACOSX").mkdir()
    assert len(means(folder)) == IMAGES
    assert caplog.text.count("are left out (4), such as .DS_Store") == 1


def test_images_and_annotations_alone_are_named_at_the_start(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.scene / "rgb" / "000001.png").unlink()
    for name in FILES:
        folder.edit(name, lambda content: content.pop("2"))
    assert len(means(folder)) == IMAGES - 2
    assert caplog.text.count("annotations without image are left out (1): 1") == 1
    assert caplog.text.count("images without annotation are left out (1): 2") == 1
    assert "scene_camera.json: images that it has no entry of are left out (1)" in caplog.text


@pytest.mark.parametrize("with_images", [True, False])
def test_empty_scenes_are_left_out(
    folder: Folder, caplog: pytest.LogCaptureFixture, with_images: bool
) -> None:
    empty = folder.scene.with_name("000008")
    shutil.copytree(folder.scene, empty)
    for name in FILES:
        (empty / name).write_text("{}")
    if not with_images:
        shutil.rmtree(empty / "rgb")
    assert (len(train(folder)), len(evaluation(folder)[0])) == (IMAGES, IMAGES)
    assert "scenes without annotated images" in caplog.text


def test_other_scene_folders_are_left_out_by_all(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(folder.scene, folder.scene.with_name("000007_old"))
    folder.scene.with_name("000009").mkdir()
    assert (len(train(folder)), len(evaluation(folder)[0])) == (IMAGES, IMAGES)
    assert "no scene numbers of their own are left out (1), such as 000007_old" in caplog.text
    assert "without scene_gt.json are left out (1), such as 000009" in caplog.text


def test_one_scene_may_have_any_name(folder: Folder) -> None:
    folder.scene = folder.scene.rename(folder.scene.with_name("kitchen"))
    assert len(means(folder)) == IMAGES


def test_matrices_ids_and_numbers_in_any_form(folder: Folder) -> None:
    before = evaluation(folder)[2]
    folder.objects(lambda e: e.update(cam_R_m2c=np.reshape(e["cam_R_m2c"], (3, 3)).tolist()))
    folder.objects(lambda e: e.update(obj_id=str(e["obj_id"])))
    folder.objects(lambda e: e.update(cam_t_m2c=[[value] for value in e["cam_t_m2c"]]))
    folder.edit(
        "scene_camera.json",
        lambda content: [
            e.update(cam_K=np.reshape(e["cam_K"], (3, 3)).tolist(), depth_scale="0.1")
            for e in content.values()
        ],
    )
    for name, encoding in zip(FILES, ("utf-8-sig", "utf-16", "utf-8-sig"), strict=True):
        path = folder.scene / name
        path.write_text(path.read_text(), encoding=encoding)
    after = evaluation(folder)[2]
    np.testing.assert_array_equal(after.R, before.R)
    np.testing.assert_array_equal(after.t, before.t)
    np.testing.assert_array_equal(after.obj_id, before.obj_id)
    assert len(means(folder)) == IMAGES


def test_depth_without_scale_is_left_out_by_all(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    assert all(depth.mean() == pytest.approx(DEPTH_UNITS * 1e-4) for depth in evaluation(folder)[1])
    folder.edit(
        "scene_camera.json", lambda content: [e.pop("depth_scale") for e in content.values()]
    )
    assert evaluation(folder)[1] == [None] * IMAGES
    assert all(frame.depth is None for frame in train(folder))
    assert caplog.text.count("no depth_scale") == 1


def test_unknown_objects_are_background_in_training_and_said(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.edit("scene_gt.json", lambda content: content["1"][0].update(obj_id=77))
    before = sum(len(frame.class_index) for frame in train(folder))
    assert before < IMAGES * PER_IMAGE
    assert caplog.text.count("objects not in models_info are background: [77]") == 1


def test_without_visibility_everything_counts_in_evaluation(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.scene / "scene_gt_info.json").unlink()
    assert (evaluation(folder)[2].visibility == 1).all()
    assert caplog.text.count("scene_gt_info.json") == 1
