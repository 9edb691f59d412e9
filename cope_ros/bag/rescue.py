"""What can still be read of a damaged or unindexed storage file, copied into a sound one.

Recorders that are killed leave files without an index or cut within a record. Everything before
the damage is intact, so it is read from the beginning, record by record.
"""

import bz2
import io
import sqlite3
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import lz4.frame
from rosbags.interfaces import Connection
from rosbags.rosbag1 import ReaderError
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag1.reader import Header, RecordType, normalize, read_uint32
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from cope_ros.bag.found import Found
from cope_ros.bag.mcap_records import ROS1, contents_of, records_mcap

MAGIC = b"#ROSBAG V2.0\n"
# Of data that is cut off they give what comes before the cut.
DECOMPRESSOR: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "bz2": lambda data: bz2.BZ2Decompressor().decompress(data),
    "lz4": lambda data: lz4.frame.LZ4FrameDecompressor().decompress(data),
}
DAMAGE_ROS1 = (ReaderError, KeyError, OSError, ValueError, EOFError, RuntimeError, struct.error)
UNKNOWN_HASH = "RIHS01_" + "0" * 64


def rescue(path: Path, folder: Path) -> tuple[Path, int]:
    """Copies the readable messages of a storage file.

    Returns:
        The copy in ``folder`` (a .bag, or a rosbag2 folder), and how many messages it has.
    """
    if path.suffix == ".bag":
        copy = folder / path.name
        return copy, _copy(Writer1(copy), _records_ros1(path))
    copy = folder / path.stem
    if path.suffix == ".mcap" and contents_of(path).ros == ROS1:
        copy = copy.with_suffix(".bag")
        return copy, _copy(Writer1(copy), records_mcap(path))
    if path.suffix == ".mcap":
        writer = Writer2(copy, version=8, storage_plugin=StoragePlugin.MCAP)
        return copy, _copy(writer, records_mcap(path))
    writer = Writer2(copy, version=8, storage_plugin=StoragePlugin.SQLITE3)
    return copy, _copy(writer, _records_sqlite3(path))


def _copy(writer: Any, messages: Iterator[Found]) -> int:
    connections: dict[tuple[str, str], Connection] = {}
    count = 0
    with writer:
        for found in messages:
            key = (found.topic, found.msgtype)
            if key not in connections:
                connections[key] = _connect(writer, found)
            writer.write(connections[key], found.time, found.data)
            count += 1
    return count


def _connect(writer: Any, found: Found) -> Connection:
    if isinstance(writer, Writer1):
        added: Connection = writer.add_connection(
            found.topic, found.msgtype, msgdef=found.msgdef, md5sum=found.digest
        )
        return added
    store = get_typestore(Stores.EMPTY if found.msgdef else Stores.ROS2_JAZZY)
    if found.msgdef:
        store.register(get_types_from_msg(found.msgdef, found.msgtype))
    if found.msgtype in store.fielddefs:
        return writer.add_connection(found.topic, found.msgtype, typestore=store)
    return writer.add_connection(found.topic, found.msgtype, msgdef="", rihs01=UNKNOWN_HASH)


def _records_sqlite3(path: Path) -> Iterator[Found]:
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    try:
        connection.execute("PRAGMA writable_schema=ON")  # else a shortened file is not even opened
        texts = _definitions(connection)
        rows = connection.execute("SELECT id, name, type FROM topics").fetchall()
        topics = {row[0]: (row[1], row[2]) for row in rows}
        # Without an order: that would need the index, which lies behind the messages.
        for topic, time, data in connection.execute(
            "SELECT topic_id, timestamp, data FROM messages NOT INDEXED"
        ):
            if topic in topics:
                name, msgtype = topics[topic]
                yield Found(name, msgtype, texts.get(msgtype, ""), "", time, data)
    except sqlite3.DatabaseError:
        return  # the damage
    finally:
        connection.close()


def _definitions(connection: sqlite3.Connection) -> dict[str, str]:
    """Message definitions by type; bags before Iron have none."""
    try:
        rows = connection.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        ).fetchall()
    except sqlite3.DatabaseError:
        return {}
    return {name: text for name, encoding, text in rows if encoding == "ros2msg"}


def _records_ros1(path: Path) -> Iterator[Found]:
    with path.open("rb") as file:
        if file.read(len(MAGIC)) == MAGIC:
            yield from _ros1_messages(file, {})


def _ros1_messages(
    file: BinaryIO, connections: dict[int, tuple[str, str, str, str]]
) -> Iterator[Found]:
    """Messages in chunks and, as in the last chunk of a killed recorder, outside of them."""
    try:
        for header, data in _ros1_records(file):
            kind = header.get_uint8("op")
            if kind == RecordType.CHUNK:
                plain = DECOMPRESSOR[header.get_string("compression")](data)
                yield from _ros1_messages(io.BytesIO(plain), connections)
            elif kind == RecordType.CONNECTION:
                _ros1_connection(header, data, connections)
            elif kind == RecordType.MSGDATA and header.get_uint32("conn") in connections:
                known = connections[header.get_uint32("conn")]
                yield Found(*known, header.get_time("time"), data)
    except DAMAGE_ROS1:
        return


def _ros1_records(file: BinaryIO) -> Iterator[tuple[Header, bytes]]:
    """Records until the end or the damage; of a chunk that is cut off, what is there."""
    while True:
        header = Header.read(file)
        size = read_uint32(file)
        data = file.read(size)
        if len(data) == size or header.get_uint8("op") == RecordType.CHUNK:
            yield header, data
        if len(data) < size:
            return


def _ros1_connection(
    header: Header, data: bytes, connections: dict[int, tuple[str, str, str, str]]
) -> None:
    # The data of a connection record is a header itself, with its length in front left out.
    inner = Header.read(io.BytesIO(len(data).to_bytes(4, "little") + data))
    name, msgtype = normalize(header.get_string("topic")), normalize(inner.get_string("type"))
    package, _, short = msgtype.rpartition("/")
    kind = f"{package.removesuffix('/msg')}/msg/{short}"
    text, digest = inner.get_string("message_definition"), inner.get_string("md5sum")
    connections[header.get_uint32("conn")] = (name, kind, text, digest)
