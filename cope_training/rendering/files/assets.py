"""Files that a mesh file names: materials and textures, found as people have moved them."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.files.pictures import decode_picture

MOST_ENTRIES = 5000  # of a folder and its sub-folders that are looked through for a name
DEEPEST = 3  # sub-folders
# trimesh writes its default gray beside every texture of a plain material, and does not mean it.
TRIMESH, TRIMESH_GRAY = "mikedh/trimesh", 0.4
TRIMESH_NOTE = "the factor 0.4 that trimesh writes beside a texture is left out"


class Assets:
    """Finds and reads what one mesh file names.

    Args:
        source: the mesh file.
        allow_missing: go on without textures and materials that are missing or broken; each is
            one sentence in ``notes``.
    """

    def __init__(self, source: Path, allow_missing: bool = False) -> None:
        self.source = source
        self.allow_missing = allow_missing
        self.notes: list[str] = []

    def read(self, name: str, kind: str) -> bytes | None:
        """The content of a named file, None where it may be missing.

        Args:
            name: as the mesh file has it: with a foreign path, backslashes, other case.
            kind: what it is, for the message.

        Raises:
            CopeError: it is missing.
        """
        path = find_asset(self.source.parent, name)
        if path is None:
            self.without(f"{kind} {clean_name(name)!r} is missing")
            return None
        try:
            return path.read_bytes()
        except OSError as error:
            self.without(f"{kind} {path.name!r} cannot be read ({error.strerror})")
            return None

    def picture(self, name: str) -> np.ndarray | None:
        """(H, W, 3) uint8 of a texture file, None where it may be missing.

        Raises:
            CopeError: it is missing or no picture.
        """
        data = self.read(name, "texture")
        return None if data is None else self.decode(data, clean_name(name))

    def decode(self, data: bytes, name: str) -> np.ndarray | None:
        """(H, W, 3) uint8 of a texture's bytes, None where it may be missing.

        Raises:
            CopeError: it is no picture.
        """
        try:
            return decode_picture(io.BytesIO(data), name)
        except CopeError as error:
            self.without(f"texture {error}")
            return None

    def without(self, problem: str) -> None:
        """Notes a problem of appearance, or raises it where nothing may be missing."""
        if not self.allow_missing:
            raise CopeError(f"{self.source}: {problem} (--allow-missing-texture goes on without)")
        self.notes.append(f"{problem}, gone on without")


def clean_name(name: str) -> str:
    """A file name as written on another system, with slashes and without quotes."""
    return name.strip().strip("\"'").strip().replace("\\", "/")


def find_asset(folder: Path, name: str) -> Path | None:
    """Where a named file lies: as named, or by its base name beside the mesh or below.

    Args:
        folder: of the mesh file.
        name: relative, absolute, of another system, percent-encoded, or in other case.
    """
    for wanted in _spellings(clean_name(name)):
        direct = folder / wanted  # an absolute name stands for itself
        if wanted and _is_file(direct):
            return direct
        base = wanted.rsplit("/", 1)[-1].casefold()
        found = [p for p in _files_below(folder) if p.name.casefold() == base]
        if base and found:
            return min(found, key=lambda p: _strangeness(p, wanted))
    return None


def _spellings(name: str) -> Iterator[str]:
    yield name
    yield unquote(name)
    for encoding in ("utf-8", "gbk"):  # the text was read as Latin-1
        try:
            yield name.encode("latin-1").decode(encoding)
        except UnicodeError:
            continue


def _strangeness(path: Path, wanted: str) -> tuple[int, int, str]:
    """Sorts files of one base name: most of the named folders first, then the nearest."""
    there = [part.casefold() for part in path.parts]
    named = [part.casefold() for part in wanted.split("/")]
    same = 0
    while same < min(len(there), len(named)) and there[-1 - same] == named[-1 - same]:
        same += 1
    return -same, len(path.parts), str(path)


def _files_below(folder: Path) -> Iterator[Path]:
    seen = 0
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = [] if depth >= DEEPEST else sorted(f for f in folders if f[0] != ".")
        for name in names:
            seen += 1
            if seen > MOST_ENTRIES:
                return
            yield Path(place) / name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than a name may be; a zero byte
        return False


def decode_text(data: bytes) -> str:
    """Text of a mesh or material file in whatever encoding; unknown letters stay apart.

    Numbers and keywords are ASCII in all of them; what is not UTF-8 is read as Latin-1, where
    every byte is a letter, so that names in two files still agree.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
