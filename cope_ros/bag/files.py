"""The files of a bag, each in a form that the library opens."""

import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from cope_ros.core.errors import CopeError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STORAGES = (".mcap", ".db3")
ZSTD = ".zstd"
ROS1 = ".bag"
ACTIVE = ".bag.active"  # what a recorder of ROS 1 leaves when it is killed
JOURNAL = "-wal"  # beside a .db3: what SQLite had not written into it yet
METADATA = "metadata.yaml"


def is_storage(path: Path) -> bool:
    """Whether a file is one of rosbag2's, by its name."""
    return path.suffix in STORAGES or (path.suffix == ZSTD and Path(path.stem).suffix in STORAGES)


def storage_files(path: Path) -> list[Path]:
    """The storage files of a rosbag2 folder; a file by itself."""
    return [f for f in sorted(path.iterdir()) if is_storage(f)] if path.is_dir() else [path]


def bag_files(path: Path) -> tuple[list[Path], str]:
    """What is to be opened for a bag, and what is missing of it.

    Raises:
        CopeError: there is no bag.
    """
    if not path.exists():
        raise CopeError(f"{path}: no such bag")
    if not path.is_dir():
        if path.suffix == ROS1 or path.name.endswith(ACTIVE) or is_storage(path):
            return [path], ""
        raise CopeError(f"{path}: expected a rosbag2 folder, .mcap, .db3 or .bag, got {path.name}")
    found, described = storage_files(path), (path / METADATA).is_file()
    if described and not any(has_journal(file) for file in found):
        return [path], ""
    if not found:
        raise CopeError(f"{path}: expected {METADATA}, .mcap or .db3 files, found none")
    return found, "" if described else f"{METADATA} is missing"


def has_journal(path: Path) -> bool:
    """Whether messages of a .db3 lie in SQLite's journal beside it."""
    journal = path.with_name(path.name + JOURNAL)
    return journal.is_file() and journal.stat().st_size > 0


def usable(path: Path, temporary: Callable[[], Path]) -> tuple[Path, str]:
    """A file or, where the library cannot open it as it is, a copy.

    Args:
        temporary: makes a folder that lasts as long as the bag is open.

    Returns:
        Where it is, and what is wrong with it, "" where nothing is.
    """
    if path.name.endswith(ACTIVE):
        link = temporary() / f"{path.name.removesuffix(ACTIVE)}{ROS1}"
        link.symlink_to(path.resolve())
        return link, ""
    if has_journal(path):
        return _with_journal(path, temporary()), ""
    return _decompressed(path, temporary()) if path.suffix == ZSTD else (path, "")


def _decompressed(path: Path, folder: Path) -> tuple[Path, str]:
    plain = folder / path.stem
    try:
        with zstd.open(path, "rb") as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target)
    except (zstd.ZstdError, EOFError) as error:  # what came out until then is read
        return plain, f"{path.name} ends early ({error})"
    return plain, ""


def _with_journal(path: Path, folder: Path) -> Path:
    """A copy into which SQLite has written the journal, as the recorder would have."""
    copy = folder / path.name
    shutil.copy(path, copy)
    shutil.copy(path.with_name(path.name + JOURNAL), copy.with_name(copy.name + JOURNAL))
    connection = sqlite3.connect(copy)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.DatabaseError:
        pass  # the file itself is damaged: read as such
    finally:
        connection.close()
    return copy
