"""Bags of every kind as one stream of messages; a damaged one ends where the damage is."""

import shutil
import struct
import sys
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

from cope_ros.bag.rescue import rescue
from cope_ros.bag.topics import Topic
from cope_ros.core.errors import CopeError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STORAGES = (".mcap", ".db3")
ZSTD = ".zstd"
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
            self._open(self._files(path))
        except BaseException:
            self._stack.close()
            raise

    def __exit__(self, *details: object) -> None:
        """Closes the bag."""
        self._stack.close()

    def _files(self, path: Path) -> list[Path]:
        if not path.exists():
            raise CopeError(f"{path}: no such bag")
        if path.is_dir() and (path / "metadata.yaml").is_file():
            return [path]
        if path.is_dir():  # the recorder died before it wrote metadata.yaml
            found = [file for file in sorted(path.iterdir()) if _is_storage(file)]
            if not found:
                raise CopeError(f"{path}: expected metadata.yaml, .mcap or .db3 files, found none")
            self.damage = "metadata.yaml is missing"
            return [self._decompressed(file) for file in found]
        if path.suffix == ".bag" or _is_storage(path):
            return [self._decompressed(path)]
        raise CopeError(f"{path}: expected a rosbag2 folder, .mcap, .db3 or .bag, got {path.name}")

    def _decompressed(self, path: Path) -> Path:
        if path.suffix != ZSTD:
            return path
        plain = self._temporary() / path.stem
        try:
            with zstd.open(path, "rb") as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target)
        except (zstd.ZstdError, EOFError) as error:  # what came out until then is read
            self.damage = f"{path.name} ends early ({error})"
        return plain

    def _temporary(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="cope_bag_")))

    def _open(self, paths: list[Path]) -> None:
        try:
            self._reader = self._stack.enter_context(_reader(paths))
        except (*DAMAGE, OSError) as error:
            self._rescue(paths, error)
        self.ros2 = self._reader.is2
        self.store: Typestore = self._reader.typestore
        self.connections: list[Connection] = list(self._reader.connections)
        self.storage, self.compression = _format(self._reader)

    def _rescue(self, paths: list[Path], cause: Exception) -> None:
        """Copies what can be read of damaged files and opens the copies."""
        files = [file for path in paths for file in _storage_files(path)]
        copies, kept = [], 0
        for file in files:
            copy, count = rescue(self._decompressed(file), self._temporary())
            kept += count
            if count:
                copies.append(copy)
        reason = str(cause).strip().rstrip(".")
        if not kept:
            raise CopeError(f"{self.path}: no message can be read ({reason})") from cause
        self.damage = f"damaged or not indexed ({reason}); {kept} messages of it were kept"
        self._reader = self._stack.enter_context(_reader(copies))

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
    ros1 = paths[0].suffix == ".bag"
    default = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_JAZZY)
    return AnyReader(paths, default_typestore=default)


def _is_storage(path: Path) -> bool:
    return path.suffix in STORAGES or (path.suffix == ZSTD and Path(path.stem).suffix in STORAGES)


def _storage_files(path: Path) -> list[Path]:
    if path.is_dir():
        return [file for file in sorted(path.iterdir()) if _is_storage(file)]
    return [path]


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
