"""cope_bag: every kind of bag in, the same bag with poses out, read back by a foreign reader."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import bag_factory
import cv2
import numpy as np
import pytest
from bag_factory import (
    IMAGE,
    PERIOD,
    REALSENSE,
    START,
    contents,
    frame,
    intrinsics,
    realsense,
    run,
    usb_cam,
)
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from node_fakes import FakeEstimator

from cope_ros.bag.outputs import default_out
from cope_ros.bag.types import output_store

HASHES = json.loads((Path(__file__).parents[1] / "data" / "type_hashes.json").read_text())["hashes"]
NOETIC_DETECTIONS_MD5 = "05c51d9aea1fb4cfdc8effb94f197b6f"  # vision_msgs 0.0.1, as released


@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        *[("mcap", ""), ("mcap", "storage"), ("mcap", "message")],
        *[("sqlite3", ""), ("sqlite3", "file"), ("sqlite3", "message")],
    ],
)
def test_each_format_comes_back_as_it_was(
    storage: str, compression: str, tmp_path: Path, estimator: FakeEstimator
) -> None:
    source = realsense(tmp_path / "in", storage=storage, compression=compression)
    assert run(source, "--image", f"{REALSENSE}/image_raw") == 0
    before, after = contents(source), contents(tmp_path / "in_cope")
    for topic in set(before) - {"/tf"}:
        assert [t for t, _ in after[topic]] == [t for t, _ in before[topic]], topic
    assert len(after["/tf"]) == 1 + 4  # the bag's own, then one per image
    assert [t for t, _ in after["/cope/detections"]] == [t for t, _ in before[IMAGE]]
    for _, message in after["/cope/detections"]:
        assert {d.id for d in message.detections} == {"carton_0", "cup_0", "carton_1"}
    metadata = (tmp_path / "in_cope" / "metadata.yaml").read_text()
    assert f"storage_identifier: {storage}" in metadata
    if compression in ("file", "message"):
        assert f"compression_mode: {compression}" in metadata


def test_a_foreign_reader_finds_poses_frames_and_markers(
    tmp_path: Path, estimator: FakeEstimator
) -> None:
    realsense(tmp_path / "in")
    assert run(tmp_path / "in") == 0  # depth beside it is no candidate
    with (tmp_path / "in_cope" / "in_cope.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        rows = [(c.topic, s.name, m) for s, c, _, m in reader.iter_decoded_messages()]
    detections = [m for topic, _, m in rows if topic == "/cope/detections"]
    first = detections[0].detections[0]
    assert first.header.frame_id == "camera_color_optical_frame"
    assert first.results[0].hypothesis.class_id == "carton"
    place = first.results[0].pose.pose.position
    assert (place.x, place.y, place.z) == pytest.approx((0.3, 0.0, 1.0))
    assert first.results[0].pose.covariance[7] == pytest.approx(2e-6)
    markers = [m for topic, _, m in rows if topic == "/cope/markers"]
    assert {m.ns for m in markers[0].markers if m.ns} >= {"carton/mesh", "cup/label"}
    children = [t.child_frame_id for topic, _, m in rows if topic == "/tf" for t in m.transforms]
    assert children[0] == "optical"
    assert "cup_0" in children
    statics = [m for topic, _, m in rows if topic == "/tf_static"]
    assert statics[0].transforms[0].header.frame_id == "base_link"


@pytest.mark.parametrize("compression", ["", "lz4", "bz2"])
def test_ros1_bags_get_ros1_messages(
    compression: str, tmp_path: Path, estimator: FakeEstimator
) -> None:
    usb_cam(tmp_path / "in.bag", compression=compression)
    assert run(tmp_path / "in.bag") == 0
    after = contents(tmp_path / "in_cope.bag")
    assert len(after["/usb_cam/image_raw/compressed"]) == len(after["/cope/detections"]) == 4
    result = after["/cope/detections"][0][1].detections[1].results[0]
    assert (result.id, round(result.score, 3)) == (2, 0.8)
    assert after["/tf"][0][1].transforms[1].child_frame_id == "cup_0"
    assert len(after["/cope/markers"][0][1].markers) == 1 + 2 * 3


def test_written_types_are_upstreams() -> None:
    ros2 = output_store(None, ros2=True)
    for name in ("Detection3DArray", "Detection3D", "ObjectHypothesisWithPose", "BoundingBox3D"):
        msgtype = f"vision_msgs/msg/{name}"
        assert ros2.hash_rihs01(msgtype) == HASHES[msgtype], name
    assert ros2.hash_rihs01("tf2_msgs/msg/TFMessage") == HASHES["tf2_msgs/msg/TFMessage"]
    ros1 = output_store(None, ros2=False)
    assert ros1.generate_msgdef("vision_msgs/msg/Detection3DArray")[1] == NOETIC_DETECTIONS_MD5


def test_table_has_a_line_per_pose(tmp_path: Path, estimator: FakeEstimator) -> None:
    realsense(tmp_path / "in", count=3)
    assert run(tmp_path / "in", "--every", 2) == 0
    with (tmp_path / "in_cope.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3
    assert rows[0]["time"] == f"{START // 10**9}.000000000"
    assert rows[3]["time"] == f"{START // 10**9}.{2 * PERIOD:09d}"
    assert (rows[1]["class_id"], rows[1]["id"]) == ("cup", "cup_0")
    assert float(rows[0]["sigma_y"]) == pytest.approx(2e-6**0.5, abs=1e-6)


def test_distorted_images_are_undistorted_with_their_own_intrinsics(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    usb_cam(tmp_path / "in", count=1, D=(-0.3, 0.1, 0.0, 0.0, 0.0))
    assert run(tmp_path / "in") == 0
    assert "undistorted" in capsys.readouterr().err
    K = intrinsics(0)
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(frame(0), cv2.COLOR_RGB2BGR))[1]
    stored = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    expected = cv2.undistort(stored, K, np.array([-0.3, 0.1, 0, 0, 0]))
    image, used = estimator.seen[0]
    assert np.allclose(used, K)
    assert np.abs(image.astype(int) - expected).mean() < 1
    assert run(tmp_path / "in", "--rectified", "yes", "--out", tmp_path / "second") == 0
    assert np.array_equal(estimator.seen[1][0], stored)


def test_video_shows_every_frame(tmp_path: Path, estimator: FakeEstimator) -> None:
    realsense(tmp_path / "in", count=4)
    assert run(tmp_path / "in", "--video", tmp_path / "v.mp4") == 0
    video = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    _, picture = video.read()
    assert picture.shape == (480, 640, 3)
    assert np.abs(picture[..., ::-1].astype(int) - frame(0)).mean() < 20


def test_a_single_compressed_file_is_read(tmp_path: Path, estimator: FakeEstimator) -> None:
    source = realsense(tmp_path / "in", count=2, storage="sqlite3", compression="file")
    assert run(source / "in.db3.zstd", "--out", tmp_path / "out") == 0
    assert len(contents(tmp_path / "out")["/cope/detections"]) == 2


def test_the_demo_model_finds_the_bundled_objects(tmp_path: Path) -> None:
    realsense(tmp_path / "in", count=1)
    assert run(tmp_path / "in", "--device", "cpu") == 0
    found = contents(tmp_path / "in_cope")["/cope/detections"][0][1].detections
    truth = json.loads((bag_factory.SCENE / "scene_gt.json").read_text())["0"]
    assert len(found) >= len(truth) / 2
    places = np.array([d["cam_t_m2c"] for d in truth]) / 1000
    mine = np.array([[getattr(d.bbox.center.position, a) for a in "xyz"] for d in found])
    near = np.linalg.norm(mine[:, None] - places[None], axis=2).min(axis=1)
    assert np.median(near) < 0.08  # boxes' centres against origins of the meshes


@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("drive.mcap", "drive_cope"),
        ("drive-10.30.mcap.zstd", "drive-10.30_cope"),
        ("drive_0.db3", "drive_0_cope"),
    ],
)
def test_the_bag_is_written_beside_the_other_under_its_name(tmp_path, name, out):
    (tmp_path / name).touch()
    assert default_out(tmp_path / name, ros2=True) == tmp_path / out
    for ros1 in ("v1.2.bag", "v1.2.bag.active"):
        assert default_out(tmp_path / ros1, ros2=False) == tmp_path / "v1.2_cope.bag"
