"""cope_bag on what is missing, ambiguous, damaged or interrupted: one line, and what was kept."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bag_factory import (
    IMAGE,
    PERIOD,
    START,
    BagFactory,
    contents,
    frame,
    intrinsics,
    realsense,
    run,
)
from node_fakes import FakeEstimator

from cope_ros.bag import command

HASHES = json.loads((Path(__file__).parents[1] / "data" / "type_hashes.json").read_text())["hashes"]
NOETIC_DETECTIONS_MD5 = "05c51d9aea1fb4cfdc8effb94f197b6f"  # vision_msgs 0.0.1, as released


def test_several_cameras_are_listed_and_chosen(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = BagFactory(tmp_path / "in")
    for side in ("left", "right"):
        bag.image(f"/{side}/image_raw", START, frame(0), side)
        bag.info(f"/{side}/camera_info", START, intrinsics(0), (640, 480), side)
    bag.close()
    assert run(tmp_path / "in") == 1
    error = capsys.readouterr().err
    assert "choose with --image; there are /left/image_raw (1), /right/image_raw (1)" in error
    assert not (tmp_path / "in_cope").exists()
    assert run(tmp_path / "in", "--image", "/right/image_raw") == 0
    detections = contents(tmp_path / "in_cope")["/cope/detections"]
    assert detections[0][1].header.frame_id == "right"
    assert run(tmp_path / "in", "--image", "/up", "--out", tmp_path / "other") == 1
    assert "--image /up: no such image topic" in capsys.readouterr().err


def test_intrinsics_come_from_a_file_where_the_bag_has_none(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = BagFactory(tmp_path / "in")
    bag.image("/image", START, frame(0))
    bag.close()
    assert run(tmp_path / "in") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--camera FILE" in error
    (tmp_path / "c.json").write_text('{"fx": 600, "fy": 601, "cx": 320, "cy": 240}')
    assert run(tmp_path / "in", "--camera", tmp_path / "c.json") == 0
    assert estimator.seen[0][1][1, 1] == 601
    (tmp_path / "c.yaml").write_text(
        "image_width: 640\nimage_height: 480\ndistortion_model: plumb_bob\n"
        "camera_matrix: {data: [500, 0, 320, 0, 500, 240, 0, 0, 1]}\n"
        "distortion_coefficients: {data: [0, 0, 0, 0, 0]}\n"
    )
    assert run(tmp_path / "in", "--camera", tmp_path / "c.yaml", "--out", tmp_path / "b") == 0
    assert estimator.seen[1][1][0, 0] == 500


def test_images_of_another_size_are_kept_without_poses(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = BagFactory(tmp_path / "in")
    for index in range(3):
        time = START + index * PERIOD
        pixels = frame(index)[:: 1 + index % 2, :: 1 + index % 2]
        bag.info("/camera_info", time, intrinsics(index), (640, 480))
        bag.image("/image", time, np.ascontiguousarray(pixels))
    bag.close()
    assert run(tmp_path / "in") == 0
    said = capsys.readouterr()
    assert "2 of 3 images" in said.out
    assert "1 images without poses (size): camera_info: expected size 320x240" in said.err
    after = contents(tmp_path / "in_cope")
    assert (len(after["/image"]), len(after["/cope/detections"])) == (3, 2)


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("kind", ["mcap", "sqlite3", "bag", "unindexed", "no metadata"])
def test_of_a_damaged_bag_the_readable_part_is_kept(
    kind: str, tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "in.bag" if kind in ("bag", "unindexed") else "in"
    storage = "sqlite3" if kind == "sqlite3" else "mcap"
    source = realsense(tmp_path / name, count=4, storage=storage)
    if kind == "mcap":
        cut(source / "in.mcap", 0.6)
    elif kind == "sqlite3":
        cut(source / "in.db3", 0.6)
    elif kind == "bag":
        cut(source, 0.9)
    elif kind == "unindexed":
        data = source.read_bytes()  # a recorder that was killed leaves index_pos at zero
        at = data.index(b"index_pos=") + len(b"index_pos=")
        source.write_bytes(data[:at] + bytes(8) + data[at + 8 :])
    else:
        (source / "metadata.yaml").unlink()
    out = tmp_path / ("out.bag" if name == "in.bag" else "out")
    code = run(source, "--out", out)
    said = capsys.readouterr()
    whole = kind in ("unindexed", "no metadata")
    assert code == 0, said.err
    assert ("metadata.yaml is missing" if kind == "no metadata" else "kept") in said.err
    after = contents(out)
    count = len(after["/cope/detections"])
    assert count == len(after[IMAGE])
    assert (count == 4) if whole else (0 < count < 4)


def test_ctrl_c_leaves_a_bag_that_opens(
    tmp_path: Path, estimator: FakeEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    realsense(tmp_path / "in")
    answer = estimator.answer

    def interrupted(image: np.ndarray, K: np.ndarray) -> Any:
        estimator.seen.append((image, K))
        if len(estimator.seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return answer

    monkeypatch.setattr(estimator, "estimate", interrupted)
    assert run(tmp_path / "in", "--video", tmp_path / "v.mp4") == 130
    assert len(contents(tmp_path / "in_cope")["/cope/detections"]) == 2
    assert cv2.VideoCapture(str(tmp_path / "v.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--out", "x.mcap"), "--out x.mcap: expected the name of a folder"),
        (("--out", "in/x"), "--out in/x: lies inside the bag that is read"),
        (("--out", "c.json/x"), "expected a folder to write into, got a file"),
        (("--video", "v.txt"), "--video v.txt: expected a name that ends in .mp4"),
        (("--video", "old.mp4"), "old.mp4: exists already; name another place with --video"),
        (("--out", "old"), "old.csv: exists already; name another place with --out"),
        (("--camera", "c.json", "--camera-info", "/c"), "--camera-info: not with --camera"),
        (("--camera", "c.json"), "--camera c.json: camera_info: the camera is not calibrated"),
    ],
)
def test_options_that_cannot_be_are_one_line_before_the_model_is_loaded(
    given: tuple[str, ...], said: str, small: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(small)
    monkeypatch.setattr(command.Estimator, "load", lambda *arguments: pytest.fail("loaded"))
    assert run("in", *given) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert {path.name for path in small.iterdir()} == {"in", "c.json", "old.mp4", "old.csv"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    realsense(folder / "in", count=1)
    (folder / "c.json").write_text('{"fx": 2, "fy": 2, "cx": 320, "cy": 240}')
    for name in ("old.mp4", "old.csv"):
        (folder / name).touch()
    return folder


def test_nothing_is_overwritten_and_no_bag_is_one_line(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    realsense(tmp_path / "in", count=1)
    (tmp_path / "in_cope").mkdir()
    assert run(tmp_path / "in") == 1
    assert "exists already" in capsys.readouterr().err
    for name, text in (("no.mcap", None), ("junk.bag", b"junk"), ("junk.mcap", b"junk" * 9)):
        if text is not None:
            (tmp_path / name).write_bytes(text)
        assert run(tmp_path / name) == 1
        assert capsys.readouterr().err.count("\n") == 1, name
    connection = sqlite3.connect(tmp_path / "other.db3")
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    assert run(tmp_path / "other.db3") == 1
    assert capsys.readouterr().err.count("\n") == 1
