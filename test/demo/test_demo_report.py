"""What the demonstration writes, without ROS."""

import json
from pathlib import Path

import demo_scene
import pytest

from demo.record import Pose, Processed, Shot
from demo.report import write_report

IMAGES = 15


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory with a sequence of fifteen images."""
    folder = tmp_path_factory.mktemp("model")
    demo_scene.write_model(folder)
    demo_scene.write_scene(folder / "sequence", IMAGES)
    return folder


def answer(im_id: int, stamp: int) -> Processed:
    """The true wedge of an image."""
    return Processed(stamp, 20.0, (Pose("wedge", "wedge_0", 0.9, demo_scene.poses(im_id)[2]),))


def test_answers_are_joined_to_images_by_stamp(model: Path, tmp_path: Path) -> None:
    """In whatever order they come; one with an unknown stamp belongs to no image."""
    shots = [Shot(index, 1000 + index) for index in range(3)]
    processed = [answer(2, 1002), answer(7, 5), answer(0, 1000)]
    source = (model / "sequence", None)
    content = write_report(tmp_path, source, model, "cpu", shots, processed)
    assert content["frames_processed"] == 2
    assert content["frames_dropped"] == 1
    assert content["add_s_recall"] == 0.5  # both wedges, no brick
    assert content["mean_translation_error_mm"] == pytest.approx(0, abs=1e-3)
    assert json.loads((tmp_path / "summary.json").read_text()) == content
    assert sorted(p.name for p in tmp_path.glob("*.jpg")) == ["frame_0000.jpg", "frame_0001.jpg"]


def test_pictures_end_in_time_but_the_sheet_is_whole(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any time left only the sheet's twelve frames are drawn, first and last included."""
    monkeypatch.setattr("demo.report.OVERLAY_SECONDS", -1.0)
    shots = [Shot(index, index) for index in range(IMAGES)]
    processed = [answer(index, index) for index in range(IMAGES)]
    write_report(tmp_path, (model / "sequence", None), model, "cpu", shots, processed)
    numbers = sorted(int(p.stem.split("_")[1]) for p in tmp_path.glob("frame_*.jpg"))
    assert len(numbers) == 12
    assert (numbers[0], numbers[-1]) == (0, IMAGES - 1)
    assert (tmp_path / "overview.png").is_file()


def test_no_answer_at_all(model: Path, tmp_path: Path) -> None:
    """A summary of zeros and nulls, no picture, no crash."""
    content = write_report(
        tmp_path, (model / "sequence", None), model, "cuda:0", [Shot(0, 1), Shot(1, 2)], []
    )
    assert (content["frames_published"], content["detections"]) == (2, 0)
    assert content["latency_ms"] == {"p50": None, "p99": None}
    assert content["device"] == "cuda:0"
    assert not list(tmp_path.glob("*.jpg"))
    assert content["add_s_recall"] is None


def test_meshes_may_lie_beside_the_images(model: Path, tmp_path: Path) -> None:
    """A model directory without meshes takes those of the data set that is played."""
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "models_info.json").write_text((model / "models_info.json").read_text())
    source = (model / "sequence", None)
    content = write_report(tmp_path, source, bare, "cpu", [Shot(0, 1000)], [answer(0, 1000)])
    assert content["add_s_recall"] == 0.5
    assert (tmp_path / "frame_0000.jpg").is_file()


def test_without_meshes_cuboids_are_drawn_and_nothing_is_measured(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    demo_scene.write_model(bare)
    for path in (bare / "meshes").glob("*"):
        path.unlink()
    (bare / "meshes").rmdir()
    demo_scene.write_scene(tmp_path / "scene", 1)
    source = (tmp_path / "scene", None)
    content = write_report(tmp_path, source, bare, "cpu", [Shot(0, 1000)], [answer(0, 1000)])
    assert content["detections"] == 1
    assert content["add_s_recall"] is None
    assert (tmp_path / "frame_0000.jpg").is_file()
