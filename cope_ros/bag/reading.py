"""Bags of every kind as one stream of messages; a damaged one ends where the damage is."""

import struct
import tempfile
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import apsw
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag1 import ReaderError as Reader1Error
from rosbags.rosbag2 import ReaderError as Reader2Error
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from cope_ros.bag.files import bag_files, storage_files, usable, zstd
from cope_ros.bag.mcap_records import ROS1, contents_of
from cope_ros.bag.rescue import rescue
from cope_ros.bag.topics import Topic
from cope_ros.core.errors import CopeError
from cope_training.command import one_line

# What the library lets through of a file that ends early or holds something else.
DAMAGE = (
    *(AnyReaderError, Reader1Error, Reader2Error, apsw.Error, zstd.ZstdError),
    *(struct.error, EOFError, UnicodeDecodeError, AssertionError, KeyError, IndexError),
)

Message = tuple[Connection, int, bytes]  # connection, time of recording in ns, serialized


class Bag(AbstractContextManager["Bag"]):
    """A bag that is open for reading.

    Attributes:
        ros2: rosbag2, else ROS 1.
        storage: "mcap", "sqlite3" or "ros1".
        store: the message types, as the bag defines them where it does.
        damage: what is wrong with the bag and what of it was kept, "" where nothing is.
    """

    def __init__(self, path: Path) -> None:
        """Opens a rosbag2 folder, one of its storage files (also ``.zstd``) or a ``.bag``.

        Raises:
            CopeError: there is no bag, or nothing of it can be read.
        """
        self.path = path
        self.damage = ""
        self._stack = ExitStack()
        try:
            self._open(path)
        except BaseException:
            self._stack.close()
            raise

    def __exit__(self, *details: object) -> None:
        """Closes the bag."""
        self._stack.close()

    def _temporary(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="cope_bag_")))

    def _open(self, path: Path) -> None:
        found, self.damage = bag_files(path)
        paths = [self._usable(file) for file in found]
        foreign = self._foreign(paths)
        try:
            if not foreign:
                self._reader = self._stack.enter_context(_reader(paths))
        except (*DAMAGE, OSError) as error:
            reason = one_line(error).rstrip(".")
            count = self._rescue(paths, reason)
            self.damage = f"damaged or not indexed ({reason}); {count} messages of it were kept"
        if foreign:
            self._rescue(paths, foreign)
            self.damage = foreign
        self.ros2 = self._reader.is2
        self.store: Typestore = self._reader.typestore
        self.connections: list[Connection] = list(self._reader.connections)
        self.storage, self.compression = _format(self._reader)

    def _usable(self, file: Path) -> Path:
        usable_file, damage = usable(file, self._temporary)
        self.damage = damage or self.damage
        return usable_file

    def _foreign(self, paths: list[Path]) -> str:
        """What in MCAP files is not as rosbag2 writes it, "" where nothing is."""
        files = [file for path in paths for file in storage_files(path)]
        contents = [contents_of(file) for file in files if file.suffix == ".mcap"]
        said = []
        if any(item.ros == ROS1 for item in contents):
            said.append("ROS 1 messages in MCAP, written as a ROS 1 bag")
        left_out = sorted({name for item in contents for name in item.left_out})
        if left_out:
            said.append(f"topics in other encodings are left out: {', '.join(left_out)}")
        if not said and not all(item.plain for item in contents):
            said.append("not written by rosbag2, read message by message")
        return "; ".join(said)

    def _rescue(self, paths: list[Path], reason: str) -> int:
        """Copies what can be read of files and opens the copies; returns how many messages."""
        files = [self._usable(file) for path in paths for file in storage_files(path)]
        copies, kept = [], 0
        for file in files:
            copy, count = rescue(file, self._temporary())
            kept += count
            if count:
                copies.append(copy)
        if not kept:
            raise CopeError(f"{self.path}: no message can be read ({reason})")
        self._reader = self._stack.enter_context(_reader(copies))
        return kept

    @property
    def topics(self) -> list[Topic]:
        """All topics, with the number of their messages."""
        counts: dict[tuple[str, str], int] = {}
        for connection in self.connections:
            key = (connection.topic, connection.msgtype)
            counts[key] = counts.get(key, 0) + connection.msgcount
        return [Topic(name, msgtype, count) for (name, msgtype), count in sorted(counts.items())]

    @property
    def duration(self) -> float:
        """Seconds from the first to the last message."""
        return max(self._reader.duration / 1e9, 0.0)

    def messages(self, topics: Collection[str] = ()) -> Iterator[Message]:
        """Messages in the order of recording, of some topics or all; ends at a damage."""
        wanted = [c for c in self.connections if not topics or c.topic in topics]
        count = 0
        try:
            for message in self._reader.messages(wanted) if wanted else ():
                yield message
                count += 1
        except DAMAGE as error:
            self.damage = f"unreadable after {count} messages ({error}); those were kept"

    def deserialize(self, connection: Connection, raw: bytes) -> Any:
        """The message, with ``d``, ``k``, ``p`` as ROS 2 spells them in a camera_info.

        Raises:
            CopeError: the bytes are no such message.
        """
        try:
            message = self._reader.deserialize(raw, connection.msgtype)
        except (*DAMAGE, ValueError, TypeError) as error:
            raise CopeError(f"{connection.topic}: broken message ({error})") from error
        if hasattr(message, "K"):
            for name in ("D", "K", "R", "P"):
                setattr(message, name.lower(), getattr(message, name))
        return message


def _reader(paths: list[Path]) -> AnyReader:
    """A reader; bags without definitions are taken for those of the newest distribution."""
    ros1 = paths[0].suffix == ".bag" and paths[0].is_file()
    default = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_JAZZY)
    return AnyReader(paths, default_typestore=default)


def _format(reader: AnyReader) -> tuple[str, str]:
    """Storage and compression of an open bag: what a bag of the same format has."""
    first: Any = reader.readers[0]
    if not reader.is2:
        chunks = first.chunks.values()
        modules = {chunk.decompressor.__module__ for chunk in chunks}
        return "ros1", next((n for n in ("lz4", "bz2") if any(n in m for m in modules)), "")
    storage = first.storage
    inner = storage.storages[0] if hasattr(storage, "storages") else storage
    chunked = any(chunk.compression for chunk in getattr(inner, "chunks", ()))
    mode = storage.metadata.compression_mode or ("storage" if chunked else "")
    return ("mcap" if hasattr(inner, "chunks") else "sqlite3"), mode
