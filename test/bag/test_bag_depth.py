"""cope_bag with depth images: found by stamp wherever they lie, or said why not."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_factory import (
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
from rosbags.interfaces import Connection

from cope_ros.bag.reading import Bag

MS = 1_000_000  # ns
COLOR, ALIGNED = "/cam/color/image_raw", "/cam/aligned_depth_to_color/image_raw"


def rgbd(path: Path, shift: int = 0, late: bool = False, packed: bool = False) -> Path:
    """Four colour images and as many depth images, ``shift`` ms apart, each of another distance.

    Args:
        late: depth is recorded after the colour image of its stamp, else before.
        packed: compressedDepth.
    """
    bag = BagFactory(path)
    for index in range(4):
        time = START + index * PERIOD
        bag.info("/cam/color/camera_info", time, intrinsics(index), (640, 480))
        if late:
            bag.image(COLOR, time, frame(index))
        values = np.full((480, 640), 600 + index, np.uint16)
        if packed:
            bag.compressed_depth(f"{ALIGNED}/compressedDepth", time + shift * MS, values, "optical")
        else:
            bag.depth(ALIGNED, time + shift * MS, values)
        if not late:
            bag.image(COLOR, time, frame(index))
    bag.close()
    return path


@pytest.mark.parametrize("late", [False, True])
def test_each_image_gets_the_depth_of_its_stamp(
    late: bool, tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    estimator.answer.depth_share[0] = 0.9
    source = rgbd(tmp_path / "in", shift=12 if late else 0, late=late)
    assert run(source, "--depth", ALIGNED, "--every", 2) == 0
    assert [float(d.depth.max()) for d in estimator.depths] == pytest.approx([0.6, 0.602])
    assert np.allclose(estimator.depths[1].K, intrinsics(2))
    assert {"score_threshold": None, "depth": True} in estimator.settings
    assert "used for 2 images, 33 % of their poses confirmed" in capsys.readouterr().out
    before, after = contents(source), contents(tmp_path / "in_cope")
    assert [t for t, _ in after[ALIGNED]] == [t for t, _ in before[ALIGNED]]
    with (tmp_path / "in_cope.csv").open() as file:
        shares = [row["depth_share"] for row in csv.DictReader(file)]
    assert shares == ["0.900000", "0.000000", "0.000000"] * 2


def test_compressed_depth_is_read_and_no_image_twice(
    tmp_path: Path, estimator: FakeEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = rgbd(tmp_path / "in", packed=True)
    read: Counter[str] = Counter()
    deserialize = Bag.deserialize

    def counted(self: Bag, connection: Connection, raw: bytes) -> Any:
        read[connection.topic] += 1
        return deserialize(self, connection, raw)

    monkeypatch.setattr(Bag, "deserialize", counted)
    assert run(source, "--depth", f"{ALIGNED}/compressedDepth") == 0
    assert [float(d.depth.max()) for d in estimator.depths] == pytest.approx(
        [0.6, 0.601, 0.602, 0.603]
    )
    assert (read[COLOR], read[f"{ALIGNED}/compressedDepth"]) == (4, 4)


def test_depth_too_far_off_leaves_the_images_poses(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    source = rgbd(tmp_path / "in", shift=50)
    assert run(source, "--depth", ALIGNED) == 0
    assert estimator.depths == [None] * 4
    said = capsys.readouterr().err
    assert "4 times no depth (unmatched): depth: expected one within 0.02 s" in said
    assert len(contents(tmp_path / "in_cope")["/cope/detections"]) == 4


def test_unregistered_and_malformed_depth_is_said_once(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    source = realsense(tmp_path / "in", count=3)
    bag = BagFactory(tmp_path / "far")
    for index in range(3):
        time = START + index * PERIOD
        bag.info("/color/camera_info", time, intrinsics(index), (640, 480))
        bag.image("/color/image_raw", time, frame(index))
        bag.depth("/depth/image", time, np.ones((480, 640), np.float32), "camera_depth_frame")
    bag.close()
    assert run(tmp_path / "far", "--depth", "/depth/image") == 0
    said = capsys.readouterr().err
    assert "3 times no depth (frame_id)" in said
    assert "aligned depth topic" in said
    assert run(source, "--depth", "/camera/camera/depth/image_rect_raw") == 0  # rgb8
    assert "3 times no depth (malformed): depth: expected encoding 16UC1" in capsys.readouterr().err
    assert estimator.depths == [None] * 6
    assert run(source, "--depth", "/nothing", "--out", tmp_path / "x") == 1
    assert "--depth /nothing: no such depth image topic" in capsys.readouterr().err
