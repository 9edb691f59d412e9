"""Which file a model is read from, and whether it is the one that was exported.

The bytes that were checked are the bytes that are loaded: a file is read once.
"""

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from cope_ros.core.errors import CopeError

MODEL_NAME = "model.pt"  # inside a model directory
CHECKSUM_SUFFIX = ".sha256"  # model.pt -> model.sha256, as `sha256sum model.pt` writes it
LARGEST = 2 * 2**30  # bytes; a hundred times the largest preset
LARGEST_CHECKSUM = 4096  # bytes
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


class ModelBytes(NamedTuple):
    """A model's content as read from its file."""

    file: Path
    content: bytes
    sha256: str  # hexadecimal
    verified: bool  # whether a checksum lay beside it; a wrong one is an error


def read_model(path: Path | str) -> ModelBytes:
    """Reads a model and compares it with the checksum beside it, if there is one.

    Args:
        path: a ``model.pt`` or the directory that holds one.

    Raises:
        CopeError: not a regular file, too large, or of another checksum.
    """
    file = Path(path)
    file = file / MODEL_NAME if file.is_dir() else file
    content = _read_regular(file, LARGEST, f"an exported model ({MODEL_NAME})")
    digest = hashlib.sha256(content).hexdigest()
    expected = _expected(file)
    if expected is not None and digest != expected:
        raise CopeError(
            f"{file}: expected SHA-256 {expected} ({checksum_file(file).name}), got {digest}; "
            "the file is damaged or not the one that was exported"
        )
    return ModelBytes(file, content, digest, expected is not None)


def write_checksum(file: Path) -> None:
    """Writes a model's checksum beside it; ``sha256sum -c`` reads it too."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    checksum_file(file).write_text(f"{digest}  {file.name}\n")


def checksum_file(file: Path) -> Path:
    """Where a model's checksum lies."""
    return file.with_suffix(CHECKSUM_SUFFIX)


def _expected(file: Path) -> str | None:
    """The checksum beside a model, None where there is none."""
    path = checksum_file(file)
    if not os.path.lexists(path):
        return None
    text = _read_regular(path, LARGEST_CHECKSUM, "a checksum").decode("utf-8", "replace")
    for line in text.splitlines():
        match = LINE.fullmatch(line.strip())
        if match is not None and match[2] == file.name:
            return match[1].lower()
    raise CopeError(f"{path}: expected a line '<SHA-256>  {file.name}', found none")


def _read_regular(file: Path, limit: int, what: str) -> bytes:
    """The content of a regular file; nothing else is ever waited for or read."""
    try:
        # Looked at before it is opened, which alone can have effects on a device; and again
        # afterwards, because it may have been exchanged. O_NONBLOCK: a FIFO has no writer yet.
        _check_regular(os.stat(file), file, limit, what)
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            size = _check_regular(os.fstat(descriptor), file, limit, what)
            return stream.read(size)
    except FileNotFoundError as error:
        raise CopeError(f"{file}: expected {what}, found no such file") from error
    except OSError as error:
        raise CopeError(f"{file}: expected {what}, cannot read it ({error.strerror})") from error


def _check_regular(status: os.stat_result, file: Path, limit: int, what: str) -> int:
    """The size of a regular file, bytes; refuses everything else."""
    if not stat.S_ISREG(status.st_mode):
        raise CopeError(f"{file}: expected {what}, found no regular file")
    if status.st_size > limit:
        got = f"{status.st_size} bytes"
        raise CopeError(f"{file}: expected {what} of at most {limit} bytes, got {got}")
    return status.st_size
