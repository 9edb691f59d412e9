"""The bag that is written: all that was in the other one, in its format, and what was found."""

from pathlib import Path
from typing import Any, Literal

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinitionFormat,
    Qos,
)
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2

from cope_ros.bag.reading import Bag
from cope_ros.bag.types import output_store
from cope_ros.core.errors import CopeError

VERSION: Literal[8, 9] = 8  # of rosbag2's metadata: what every distribution since Iron reads
UNKNOWN_HASH = "RIHS01_" + "0" * 64  # of a type that nothing in the bag defines
MODES = {
    "": CompressionMode.NONE,
    "file": CompressionMode.FILE,
    "message": CompressionMode.MESSAGE,
    "storage": CompressionMode.STORAGE,
}


class BagCopy:
    """Writes a bag of the format of ``source``; must be closed, whatever happens."""

    def __init__(self, path: Path, source: Bag) -> None:
        """Creates the bag.

        Raises:
            CopeError: there is something at ``path`` already.
        """
        if path.exists():
            raise CopeError(f"{path}: exists already; name another place with --out")
        self._store = output_store(source.store, source.ros2)
        self._source = source
        self._copies: dict[tuple[int, int], Connection] = {}  # by key_of the source's
        self._own: dict[str, Connection] = {}  # by topic
        self.count = 0  # messages
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = _writer(path, source)
        self._writer.open()

    @property
    def store(self) -> Any:
        """The types of what is written."""
        return self._store

    def copy(self, connection: Connection, time: int, raw: bytes) -> None:
        """Writes a message of the source as it is."""
        key = _key(connection)
        if key not in self._copies:
            self._copies[key] = self._connect(connection)
        self._writer.write(self._copies[key], time, raw)
        self.count += 1

    def add(self, topic: str, msgtype: str, time: int, message: Any) -> None:
        """Writes a message of our own; on a topic of the source it goes among its messages."""
        if topic not in self._own:
            self._own[topic] = self._connection_of(topic, msgtype)
        serialize = self._store.serialize_cdr if self._source.ros2 else self._store.serialize_ros1
        self._writer.write(self._own[topic], time, serialize(message, msgtype))
        self.count += 1

    def close(self) -> None:
        """Writes index and metadata: the bag can be opened from then on."""
        self._writer.close()

    def _connection_of(self, topic: str, msgtype: str) -> Connection:
        for connection in self._source.connections:
            if connection.topic == topic and connection.msgtype == msgtype:
                key = _key(connection)
                if key not in self._copies:
                    self._copies[key] = self._connect(connection)
                return self._copies[key]
        return self._writer.add_connection(topic, msgtype, typestore=self._store)

    def _connect(self, connection: Connection) -> Connection:
        """A connection of the copy that equals one of the source."""
        topic, msgtype, digest = connection.topic, connection.msgtype, connection.digest
        known = connection.msgdef.format == MessageDefinitionFormat.MSG and digest
        text = connection.msgdef.data
        extra = connection.ext
        if not isinstance(extra, ConnectionExtRosbag2):
            options: dict[str, Any] = {"callerid": extra.callerid, "latching": extra.latching}
            return self._writer.add_connection(
                topic, msgtype, msgdef=text, md5sum=digest, **options
            )
        qos: list[Qos] = extra.offered_qos_profiles
        options = {"offered_qos_profiles": qos}
        if known:
            return self._writer.add_connection(
                topic, msgtype, msgdef=text, rihs01=digest, **options
            )
        if msgtype in self._source.store.fielddefs:
            store = self._source.store
            return self._writer.add_connection(topic, msgtype, typestore=store, **options)
        return self._writer.add_connection(
            topic, msgtype, msgdef="", rihs01=UNKNOWN_HASH, **options
        )


def _key(connection: Connection) -> tuple[int, int]:
    """Tells a connection from all others of a bag, which may have several files."""
    return id(connection.owner), connection.id


def _writer(path: Path, source: Bag) -> Any:
    if source.storage == "ros1":
        writer = Writer1(path)
        if source.compression:
            writer.set_compression(Writer1.CompressionFormat[source.compression.upper()])
        return writer
    plugin = StoragePlugin.MCAP if source.storage == "mcap" else StoragePlugin.SQLITE3
    rosbag2 = Writer2(path, version=VERSION, storage_plugin=plugin)
    rosbag2.set_compression(MODES[source.compression], CompressionFormat.ZSTD)
    return rosbag2
