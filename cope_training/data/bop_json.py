"""BOP's files of a scene: JSON by image number."""

from pathlib import Path
from typing import Any

from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import read_json


def read_by_image(path: Path) -> dict[int, Any]:
    """A file of a scene: image number -> content, in ascending order.

    Raises:
        CopeError: as ``read_json``; or it is no mapping, or a key is no number or comes twice.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise CopeError(
            f"{path}: expected a mapping of image numbers, got a {type(content).__name__}"
        )
    numbered: dict[int, Any] = {}
    for key, value in content.items():
        number = image_number(key)
        if number is None:
            raise CopeError(f"{path}: expected image numbers as keys, got {key!r}")
        if number in numbered:
            raise CopeError(f"{path}: image {number} comes twice, as {key!r} too")
        numbered[number] = value
    return dict(sorted(numbered.items()))


def image_number(text: str) -> int | None:
    """The number that a key or a file's name without suffix is, such as 000012; else None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
