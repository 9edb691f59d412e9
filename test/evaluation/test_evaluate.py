"""``cope_eval`` from the images to the files it writes, on a tiny data set."""

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_scene import IMAGES, SIZE, K, KnowingEstimator, Scene, run
from page_reading import check_alone, frames_in
from PIL import Image
from scipy.spatial.transform import Rotation

from cope_ros.core.errors import CopeError
from cope_training import evaluate
from cope_training.data.bop_csv import read_results
from cope_training.evaluation.failures import explain
from cope_training.evaluation.inference import run_model
from cope_training.evaluation.metrics import find_scenes, read_ground_truth

REQUIRED = {
    *{"add_s_recall", "ar_mssd", "ar_mspd", "ar_vsd", "coco_map", "bop24_ap_mssd"},
    *{"bop24_ap_mspd", "time_s_per_image", "images", "targets", "per_object"},
}


def test_the_truth_scores_one_everywhere(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path
) -> None:
    content = run(scene.write(tmp_path / "toys"), tmp_path / "out")
    assert content.keys() >= REQUIRED
    for name in ("add_s_recall", "ar_mssd", "ar_mspd", "bop24_ap_mssd", "bop24_ap_mspd"):
        assert content[name] == pytest.approx(1.0), name
    assert content["coco_map"] == pytest.approx(1.0)
    assert content["ar_vsd"] is None
    assert content["images"] == IMAGES
    assert content["targets"] == 3 * IMAGES  # one of four is hardly visible
    assert content["time_s_per_image"] > 0
    assert content["failures"]["found"] == 3 * IMAGES
    assert content["per_object"]["thing_2"]["targets"] == IMAGES
    bins = content["by_visibility"]
    assert bins["instances"] == [0, 0, 0, 0, IMAGES, 0, 0, IMAGES, 0, IMAGES]
    assert bins["add_s"] == [None, None, None, None, 1, None, None, 1, None, 1]
    results = read_results(tmp_path / "out" / "knowing_toys.csv", obj_ids={1, 2})
    np.testing.assert_allclose(results.t, scene.t, atol=1e-6)
    assert set(results.scene_id.tolist()) == {7}


def test_the_report_needs_nothing_beside_it(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path
) -> None:
    run(scene.write(tmp_path / "toys"), tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    check_alone(page)
    assert len(frames_in(page)) == IMAGES
    assert "100% right" in page
    assert "thing_1" in page
    assert "wrong rotation" in page


def test_every_failure_has_its_kind(scene: Scene, tmp_path: Path) -> None:
    turn = Rotation.from_rotvec([0.8, 0, 0]).as_matrix()

    def disturb(row: int, found: dict) -> bool | None:
        if row == 0:
            return False
        if row == 1:
            found["class_index"][...] = 0
        if row == 4:
            found["R"][...] = found["R"] @ turn
        if row == 5:
            found["t"][...] = found["t"] * 1.05
        if row == 6:
            found["t"][...] = found["t"] + [0.02, 0, 0]
        return None

    scenes = find_scenes(scene.write(tmp_path / "toys"))
    gts = read_ground_truth(scenes)
    ests = run_model(KnowingEstimator(scene, disturb), scenes, gts.K).estimates
    result = evaluate.evaluate(ests, scenes, gts, scene.objects)
    failures = explain(result.estimates, gts, result.found_by, scene.objects)
    assert failures.counts() == {
        "found": 3 * IMAGES - 5,
        "missed": 1,
        "wrong class": 1,
        "wrong rotation": 1,
        "wrong depth": 1,
        "wrong place": 1,
    }
    assert result.summary["add_s_recall"] == pytest.approx((3 * IMAGES - 5) / (3 * IMAGES))


def test_turning_a_cylinder_about_its_axis_is_no_error(scene: Scene, tmp_path: Path) -> None:
    def disturb(row: int, found: dict) -> None:
        if found["class_index"] == 1:
            found["R"][...] = found["R"] @ Rotation.from_rotvec([0, 0, 1.1]).as_matrix()

    scenes = find_scenes(scene.write(tmp_path / "toys"))
    gts = read_ground_truth(scenes)
    ests = run_model(KnowingEstimator(scene, disturb), scenes, gts.K).estimates
    summary = evaluate.evaluate(ests, scenes, gts, scene.objects).summary
    assert summary["ar_mssd"] == 1.0
    assert summary["add_s_recall"] == 1.0
    assert summary["add_recall"] == pytest.approx(2 / 3)


def test_an_estimator_that_finds_nothing(scene: Scene, tmp_path: Path) -> None:
    scenes = find_scenes(scene.write(tmp_path / "toys"))
    gts = read_ground_truth(scenes)
    run = run_model(KnowingEstimator(scene, lambda row, found: False), scenes, gts.K)
    result = evaluate.evaluate(run.estimates, scenes, gts, scene.objects)
    assert result.summary["ar_mssd"] == 0
    assert result.summary["coco_map"] == 0
    assert result.summary["time_s_per_image"] is None
    assert len(run.image_seconds) == IMAGES
    failures = explain(result.estimates, gts, result.found_by, scene.objects)
    assert failures.counts()["missed"] == 3 * IMAGES


def test_missing_images_are_left_out(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = run(scene.write(tmp_path / "toys", images=2), tmp_path / "out", "--no-report")
    assert content["images"] == 2
    assert content["targets"] == 6
    assert "2 of 4 images are there" in capsys.readouterr().out
    assert not (tmp_path / "out" / "index.html").exists()


def test_boxes_come_from_the_meshes_where_no_file_gives_them(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path
) -> None:
    root = scene.write(tmp_path / "toys")
    (root / "test" / "000007" / "scene_gt_info.json").unlink()
    content = run(root, tmp_path / "out", "--no-report")
    assert content["targets"] == 4 * IMAGES  # every instance counts as visible
    assert content["coco_map"] == pytest.approx(1.0)


def test_depth_images_bring_vsd(scene: Scene, knowing: KnowingEstimator, tmp_path: Path) -> None:
    pytest.importorskip("moderngl")
    from cope_training.evaluation.depth import RenderedDepth

    root = scene.write(tmp_path / "toys")
    try:
        renderer = RenderedDepth(scene.objects)
    except CopeError as error:
        pytest.skip(f"no EGL here: {error}")
    folder = root / "test" / "000007" / "depth"
    folder.mkdir()
    for i in range(IMAGES):
        layers = [
            renderer.depth(int(scene.obj_id[g]), scene.R[g], scene.t[g], K, SIZE)
            for g in np.flatnonzero(scene.im_id == i)
        ]
        nearest = np.stack([np.where(d > 0, d, np.inf) for d in layers]).min(axis=0)
        units = np.where(np.isfinite(nearest), nearest * 1e4, 0).round().astype(np.uint16)
        Image.fromarray(units).save(folder / f"{i:06d}.png")
    content = run(root, tmp_path / "out", "--no-report")
    assert content["ar_vsd"] == pytest.approx(1.0)
    assert content["ar"] == pytest.approx(1.0)
    (folder / "000001.png").unlink()
    assert run(root, tmp_path / "out", "--no-report")["ar_vsd"] is None


def test_a_result_file_is_scored_without_a_model(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path
) -> None:
    root = scene.write(tmp_path / "toys")
    run(root, tmp_path / "out", "--no-report")
    results = str(tmp_path / "out" / "knowing_toys.csv")
    arguments = ["--results", results, "--data", str(root), "--out", str(tmp_path / "again")]
    assert evaluate.main([*arguments, "--no-report"]) == 0
    content = json.loads((tmp_path / "again" / "knowing_toys_toys.json").read_text())
    assert content["ar_mssd"] == 1.0
    assert content["device"] is None


def test_depth_goes_along_and_images_without_it_are_left_out(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = scene.write(tmp_path / "toys")
    folder = data / "test" / "000007" / "depth"
    folder.mkdir()
    for im_id in (0, 2):
        Image.fromarray(np.full(SIZE[::-1], 900, np.uint16)).save(folder / f"{im_id:06d}.png")
    depths = []
    estimate = knowing.estimate
    knowing.estimate = lambda image, K, *depth: depths.append(depth) or estimate(image, K)
    content = run(data, tmp_path / "out", "--depth", "--min-visibility", "0.5", "--no-report")
    assert f"2 of {IMAGES} images have depth" in capsys.readouterr().out
    assert (content["images"], content["depth"]) == (2, True)
    assert [len(depth) for depth in depths] == [1, 1]
    assert np.allclose(depths[0][0].depth, 0.09)  # depth_scale 0.1
    assert np.array_equal(depths[0][0].K, K)
    assert (content["targets_visible"], content["add_s_recall_visible"]) == (4, 1.0)
    assert content["z_error_median_mm"] == pytest.approx(0.0, abs=1e-3)
    assert content["depth_confirmed"] == 0.0  # the stand-in's poses are the image's


@pytest.mark.parametrize(
    ("units", "said"), [(0, "has no distance"), (5, "has a median distance of 0.0005 m")]
)
def test_depth_that_cannot_be_true_leaves_the_images_poses_and_is_said_once(
    units: int, said: str, scene: Scene, knowing: KnowingEstimator, tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    data = scene.write(tmp_path / "toys")
    folder = data / "test" / "000007" / "depth"
    folder.mkdir()
    for im_id in range(IMAGES):
        Image.fromarray(np.full(SIZE[::-1], units, np.uint16)).save(folder / f"{im_id:06d}.png")
    content = run(data, tmp_path / "out", "--depth", "--no-report")
    assert capsys.readouterr().err.count(said) == 1
    assert (content["images"], content["add_s_recall"]) == (IMAGES, 1.0)
