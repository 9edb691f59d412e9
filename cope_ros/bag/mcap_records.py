"""MCAP files that rosbag2 did not write: mixed encodings, ROS 1 messages, no index, a damage.

An MCAP file may hold channels of any kind beside one another; a bag has those of one ROS alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Channel, Header, Schema
from mcap.records import Message as McapMessage
from mcap.stream_reader import StreamReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from cope_ros.bag.found import Found

ROS1, ROS2 = "ros1", "ros2"
ENCODINGS = {ROS1: "ros1", ROS2: "cdr"}  # of messages
SCHEMAS = {ROS1: ("ros1msg",), ROS2: ("ros2msg", "ros2idl")}
DAMAGE = (McapError, EOFError, ValueError, KeyError, OSError)


class Contents(NamedTuple):
    """What an MCAP file holds."""

    ros: str  # whose messages are read
    plain: bool  # whether it is as rosbag2 writes it
    left_out: tuple[str, ...]  # topics in other encodings, with these


def contents_of(path: Path) -> Contents:
    """Looks at the index; a file without one is taken for rosbag2's."""
    try:
        with path.open("rb") as file:
            reader = make_reader(file)
            profile, summary = reader.get_header().profile, reader.get_summary()
    except DAMAGE:
        return Contents(ROS2, True, ())
    if summary is None:
        return Contents(_ros_of(profile), _ros_of(profile) == ROS2, ())
    channels = [(c, summary.schemas.get(c.schema_id)) for c in summary.channels.values()]
    ros1 = profile == ROS1 or any(c.message_encoding == ENCODINGS[ROS1] for c, _ in channels)
    ros = ROS1 if ros1 else ROS2
    others = [c for c, schema in channels if not _is_of(ros, c, schema)]
    named = tuple(sorted(f"{c.topic} ({c.message_encoding or 'no encoding'})" for c in others))
    return Contents(ros, profile == ROS2 and not ros1 and not others, named)


def records_mcap(path: Path) -> Iterator[Found]:
    """All ROS messages from the beginning to the end or the damage."""
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    digests: dict[str, str] = {}
    ros = ROS2
    with path.open("rb") as file:
        try:
            for record in StreamReader(file, record_size_limit=None).records:
                if isinstance(record, Header):
                    ros = _ros_of(record.profile)
                elif isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    channels[record.id] = record
                    if record.message_encoding == ENCODINGS[ROS1]:
                        ros = ROS1
                elif isinstance(record, McapMessage) and record.channel_id in channels:
                    channel = channels[record.channel_id]
                    schema = schemas.get(channel.schema_id)
                    if schema is not None and _is_of(ros, channel, schema):
                        yield _found(ros, record, channel.topic, schema, digests)
        except DAMAGE:
            return


def _ros_of(profile: str) -> str:
    return ROS1 if profile == ROS1 else ROS2


def _is_of(ros: str, channel: Channel, schema: Schema | None) -> bool:
    right = channel.message_encoding == ENCODINGS[ros]
    return right and schema is not None and schema.encoding in ("", *SCHEMAS[ros])


def _found(
    ros: str, record: McapMessage, topic: str, schema: Schema, digests: dict[str, str]
) -> Found:
    text = schema.data.decode() if schema.encoding in ("ros1msg", "ros2msg") else ""
    if ros == ROS2:
        return Found(topic, schema.name, text, "", record.log_time, record.data)
    package, _, short = schema.name.rpartition("/")
    msgtype = f"{package.removesuffix('/msg')}/msg/{short}"
    if msgtype not in digests:
        store = get_typestore(Stores.EMPTY)
        store.register(get_types_from_msg(text, msgtype))
        digests[msgtype] = store.generate_msgdef(msgtype)[1]
    return Found(topic, msgtype, text, digests[msgtype], record.log_time, record.data)
