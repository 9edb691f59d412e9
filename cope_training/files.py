"""Files written whole or not at all, and folders that may be written into."""

import json
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cope_ros.core.errors import CopeError


@contextmanager
def written_whole(path: Path | str) -> Generator[Path, None, None]:
    """A path beside ``path`` to write to, renamed when the block ends, removed when it fails.

    The name keeps its suffix, so that libraries which look at it still see the format.

    Example:
        with written_whole(folder / "scene_gt.json") as path:
            path.write_text(text)
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}.part{os.getpid()}{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Writes a text file whole or not at all."""
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any) -> None:
    """Writes a JSON file, indented by two, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def check_output_folder(folder: Path) -> None:
    """Makes sure that a folder can be written into, before any work; makes nothing.

    Raises:
        CopeError: it, or the nearest folder above it that is there, is a file or not writable.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise CopeError(f"{there}: expected a folder to write into, got a file")
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise CopeError(f"{folder}: cannot be written ({error.strerror})") from error


def check_output_file(path: Path) -> None:
    """As ``check_output_folder``, for a file.

    Raises:
        CopeError: the path is a folder, or the folder it lies in cannot be written.
    """
    if path.is_dir():
        raise CopeError(f"{path}: expected a file to write, got a folder")
    check_output_folder(path.parent)
