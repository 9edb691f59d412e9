"""``cope_eval`` where no image, or not every one, has ground truth."""

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_scene import IMAGES, KnowingEstimator, Scene, run
from page_reading import check_alone, frames_in

from cope_training import evaluate
from cope_training.data.bop_csv import read_results


def without_truth(root: Path) -> Path:
    """The data set as BOP publishes a test split: no poses."""
    for name in ("scene_gt.json", "scene_gt_info.json"):
        (root / "test" / "000007" / name).unlink()
    return root


@pytest.mark.parametrize("inner", ["", "test", "test/000007"])
def test_without_ground_truth_there_are_poses_and_a_page_but_no_scores(
    scene: Scene, knowing: KnowingEstimator, inner: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    root = without_truth(scene.write(tmp_path / "toys"))
    content = run(root / inner, tmp_path / "out")
    assert capsys.readouterr().out.count("no ground truth (scene_gt.json), so no scores\n") == 1
    assert (content["images_estimated"], content["images"]) == (IMAGES, 0)
    assert content["detections_per_image"] == 4
    assert "add_s_recall" not in content
    assert content["per_object"]["thing_2"] == {"obj_id": 2, "detections": 2 * IMAGES}
    results = tmp_path / "out" / f"knowing_{(root / inner).name}.csv"
    np.testing.assert_allclose(read_results(results).t, scene.t, atol=1e-6)
    page = (tmp_path / "out" / "index.html").read_text()
    check_alone(page)
    frames = frames_in(page)
    assert [len(frame["est"]) for frame in frames] == [4] * IMAGES
    assert all(frame["ms"] > 0 for frame in frames)
    assert "no ground truth (scene_gt.json), so no scores" in page
    assert "<td>8</td><td>2.000</td>" in page  # detections of a class, and per image


def test_without_ground_truth_a_targets_file_still_names_the_images(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = without_truth(scene.write(tmp_path / "toys"))
    targets = [{"scene_id": 7, "im_id": i, "obj_id": 1, "inst_count": 1} for i in (1, 3)]
    (root / "test_targets_bop19.json").write_text(json.dumps(targets))
    assert run(root, tmp_path / "out", "--no-report")["images_estimated"] == 2
    results = tmp_path / "out" / "knowing_toys.csv"
    assert set(read_results(results).im_id.tolist()) == {1, 3}
    arguments = ["--data", str(root), "--out", str(tmp_path / "again")]
    assert evaluate.main(["--results", str(results), *arguments]) == 0
    frames = frames_in((tmp_path / "again" / "index.html").read_text())
    assert [len(frame["est"]) for frame in frames] == [4, 4]
    capsys.readouterr()
    assert evaluate.main(["--model", "models/knowing", "--oracle", *arguments]) == 1
    assert "--oracle needs ground truth" in capsys.readouterr().err


def test_ground_truth_of_some_images_scores_those(
    scene: Scene, knowing: KnowingEstimator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = scene.write(tmp_path / "toys")
    for name in ("scene_gt.json", "scene_gt_info.json"):
        path = root / "test" / "000007" / name
        path.write_text(
            json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k > "1"})
        )
    content = run(root, tmp_path / "out")
    said = capsys.readouterr()
    assert "ground truth in 2 of 4 images: scores are over those" in said.out
    assert "left out" not in said.out + said.err
    assert (content["images_estimated"], content["images"]) == (IMAGES, 2)
    assert (content["add_s_recall"], content["bop24_ap_mssd"]) == (1.0, pytest.approx(1.0))
    frames = frames_in((tmp_path / "out" / "index.html").read_text())
    kinds = [{e["kind"] for e in frame["est"]} for frame in frames]
    assert kinds[:2] == [{2}, {2}]  # nobody knows
    assert all(0 in of_frame for of_frame in kinds[2:])
