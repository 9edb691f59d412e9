"""cope_bag on files that rosbag2 did not write: other encodings, journals, killed recorders."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    usb_cam,
)
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from node_fakes import FakeEstimator
from rosbags.rosbag1 import Reader as Reader1


def rewritten(
    source: Path, target: Path, add: Callable[[Writer], Any] | None = None, **options: Any
) -> Path:
    """An MCAP file once more, by the reader and writer of MCAP's own library."""
    with source.open("rb") as old, target.open("wb") as new:
        writer = Writer(new, **options)
        writer.start(profile="ros2")
        schemas: dict[str, int] = {}
        channels: dict[str, int] = {}
        for schema, channel, message in make_reader(old).iter_messages():
            assert schema is not None
            if schema.name not in schemas:
                schemas[schema.name] = writer.register_schema(
                    schema.name, schema.encoding, schema.data
                )
            if channel.topic not in channels:
                channels[channel.topic] = writer.register_channel(
                    channel.topic, channel.message_encoding, schemas[schema.name]
                )
            writer.add_message(
                channels[channel.topic], message.log_time, message.data, message.publish_time
            )
        if add is not None:
            add(writer)
        writer.finish()
    return target


@pytest.mark.parametrize("compression", CompressionType)
def test_mcaps_own_writer_is_read(
    compression: CompressionType, tmp_path: Path, estimator: FakeEstimator
) -> None:
    source = realsense(tmp_path / "in", count=2) / "in.mcap"
    foreign = rewritten(source, tmp_path / "foreign.mcap", compression=compression)
    assert run(foreign) == 0
    assert len(contents(tmp_path / "foreign_cope")["/cope/detections"]) == 2


def test_topics_in_other_encodings_are_left_out_and_named(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    def add(writer: Writer) -> None:
        kinds = {"json": ("jsonschema", b"{}"), "protobuf": ("protobuf", b"\x00\x01")}
        for encoding, (name, schema) in kinds.items():
            channel = writer.register_channel(
                f"/{encoding}", encoding, writer.register_schema("Note", name, schema)
            )
            writer.add_message(channel, START, b"{}", START)
        writer.add_message(writer.register_channel("/bare", "", 0), START, b"1", START)

    source = realsense(tmp_path / "in", count=2) / "in.mcap"
    assert run(rewritten(source, tmp_path / "mixed.mcap", add)) == 0
    said = capsys.readouterr().err
    assert "left out: /bare (no encoding), /json (json), /protobuf (protobuf)" in said
    assert len(contents(tmp_path / "mixed_cope")["/cope/detections"]) == 2


def test_ros1_messages_in_mcap_become_a_ros1_bag(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    usb_cam(tmp_path / "in.bag", count=2)
    target = tmp_path / "converted.mcap"
    with Reader1(tmp_path / "in.bag") as reader, target.open("wb") as file:
        writer = Writer(file)
        writer.start(profile="ros1")
        channels: dict[str, int] = {}
        for connection, time, raw in reader.messages():
            if connection.topic not in channels:
                kind = connection.msgtype.replace("/msg/", "/")
                text = connection.msgdef.data.encode()
                schema = writer.register_schema(kind, "ros1msg", text)
                channels[connection.topic] = writer.register_channel(
                    connection.topic, "ros1", schema
                )
            writer.add_message(channels[connection.topic], time, raw, time)
        writer.finish()
    assert run(target) == 0
    assert "written as a ROS 1 bag" in capsys.readouterr().err
    after = contents(tmp_path / "converted_cope.bag")
    assert len(after["/usb_cam/image_raw/compressed"]) == len(after["/cope/detections"]) == 2


@pytest.mark.parametrize("header_open", [True, False])
def test_a_killed_recorder_of_ros1_leaves_its_last_chunk_open(
    header_open: bool, tmp_path: Path, estimator: FakeEstimator
) -> None:
    """``.bag.active``: cut within a chunk, or with the size of its chunk not yet written."""
    usb_cam(tmp_path / "in.bag")
    data = (tmp_path / "in.bag").read_bytes()
    if header_open:  # one chunk has all messages; its length follows its header, which ends so
        at = data.index(b"size=") + len(b"size=") + 4
        data = data[:at] + bytes(4) + data[at + 4 :]
    (tmp_path / "in.bag.active").write_bytes(data[: int(0.8 * len(data))])
    (tmp_path / "in.bag").unlink()
    assert run(tmp_path / "in.bag.active") == 0
    after = contents(tmp_path / "in_cope.bag")
    assert 2 <= len(after["/cope/detections"]) < 4


@pytest.mark.parametrize("compression", ["lz4", "bz2"])
def test_a_compressed_chunk_that_is_cut_is_one_line_or_its_beginning(
    compression: str, tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    usb_cam(tmp_path / "in.bag", compression=compression)
    data = (tmp_path / "in.bag").read_bytes()
    (tmp_path / "cut.bag").write_bytes(data[: int(0.8 * len(data))])
    code = run(tmp_path / "cut.bag")
    said = [x for x in capsys.readouterr().err.splitlines() if "cope_bag:" in x]
    if code == 0:
        assert len(contents(tmp_path / "cut_cope.bag")["/cope/detections"]) < 4
    assert len(said) == 1
    assert ("kept" if code == 0 else "no message can be read") in said[0]


def test_messages_in_sqlites_journal_are_read(tmp_path: Path, estimator: FakeEstimator) -> None:
    source = realsense(tmp_path / "in", count=2, storage="sqlite3")
    connection = sqlite3.connect(source / "in.db3")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute(
        "INSERT INTO messages(topic_id, timestamp, data) "
        f"SELECT topic_id, timestamp + {10 * PERIOD}, data FROM messages"
    )
    connection.commit()
    shutil.copytree(source, tmp_path / "killed")  # before the journal goes into the file
    connection.close()
    assert (tmp_path / "killed" / "in.db3-wal").stat().st_size > 0
    assert run(tmp_path / "killed") == 0
    after = contents(tmp_path / "killed_cope")
    assert len(after[IMAGE]) == len(after["/cope/detections"]) == 4


def test_of_one_camera_the_raw_images_are_taken(tmp_path: Path, estimator: FakeEstimator) -> None:
    bag = BagFactory(tmp_path / "in")
    bag.info("/cam/camera_info", START, intrinsics(0), (640, 480))
    bag.image("/cam/image_raw", START, frame(0))
    bag.compressed("/cam/image_raw/compressed", START, frame(0), "optical")
    bag.close()
    assert run(tmp_path / "in") == 0
    assert (estimator.seen[0][0] == frame(0)).all()  # no trace of JPEG
