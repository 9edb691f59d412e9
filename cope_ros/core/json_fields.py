"""JSON files as people have them: any Unicode encoding, numbers as text, rows or matrices."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError

LARGEST = 2**31  # integer: ids, sizes and counts are far smaller
SHOWN = 80  # characters of a wrong value in a message


def read_json(path: Path) -> Any:
    """Parses a JSON file in UTF-8 or UTF-16, with or without a byte-order mark.

    Raises:
        CopeError: it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_without_repetition)
    except OSError as error:
        raise CopeError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CopeError(f"{path}: expected JSON, got {error}") from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's content; json itself would keep the last of several equal keys."""
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice!r} twice in one object")
    return content


def numbers(entry: Any, key: str, count: int, where: str) -> np.ndarray:
    """(count,) float64: the finite numbers under a key, given flat, as rows, or as a single one.

    Raises:
        CopeError: the key is missing, or its value is of another size or not finite.
    """
    value = required(entry, key, where)
    try:
        flat = np.array(value, dtype=object).reshape(-1).tolist()
        # float() takes a bool for a number and "1_0" for ten.
        doubtful = any(isinstance(v, bool) or (isinstance(v, str) and "_" in v) for v in flat)
        found = np.array([] if doubtful else flat, dtype=float)
    except (TypeError, ValueError, OverflowError):
        found = np.zeros(0)
    if len(found) != count or not np.isfinite(found).all():
        what = "a finite number" if count == 1 else f"{count} finite numbers"
        raise CopeError(f"{where}: {key}: expected {what}, got {shortened(value)}")
    return found


def whole_number(entry: Any, key: str, where: str) -> int:
    """The integer under a key; 5.0 and "5" are 5.

    Raises:
        CopeError: the key is missing, or its value is no integer.
    """
    given = required(entry, key, where)
    value = math.nan if isinstance(given, bool) else float(numbers(entry, key, 1, where)[0])
    if value != round(value, 0) or abs(value) > LARGEST:
        raise CopeError(f"{where}: {key}: expected an integer, got {shortened(given)}")
    return int(value)


def required(entry: Any, key: str, where: str) -> Any:
    """The value under a key.

    Raises:
        CopeError: ``entry`` is no mapping or lacks the key.
    """
    if not isinstance(entry, dict):
        raise CopeError(f"{where}: expected a mapping with {key}, got {shortened(entry)}")
    if key not in entry:
        raise CopeError(f"{where}: {key} is missing")
    return entry[key]


def intrinsics(data: Any, where: str) -> np.ndarray:
    """K (3, 3) in pixels from the keys of BOP's camera.json or scene_camera.json.

    Args:
        data: with ``cam_K`` (nine numbers by rows, or three rows) or ``fx, fy, cx, cy``.
        where: names the file and the image.

    Raises:
        CopeError: keys are missing, no numbers, not finite, or a focal length is not positive.
    """
    if isinstance(data, dict) and "cam_K" not in data:
        missing = [key for key in ("fx", "fy", "cx", "cy") if key not in data]
        if len(missing) == 4:
            raise CopeError(f"{where}: expected cam_K, or fx, fy, cx, cy; found neither")
        fx, fy, cx, cy = (float(numbers(data, k, 1, where)[0]) for k in ("fx", "fy", "cx", "cy"))
        K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    else:
        K = numbers(data, "cam_K", 9, where).reshape(3, 3)
    if K[0, 0] <= 0 or K[1, 1] <= 0:
        raise CopeError(f"{where}: expected focal lengths over 0, got {K.tolist()}")
    if K[1, 0] != 0:
        raise CopeError(f"{where}: expected 0 as fourth number of cam_K, got {K[1, 0]}")
    if not np.array_equal(K[2], [0, 0, 1]):
        raise CopeError(f"{where}: expected 0 0 1 as last row of cam_K, got {K[2].tolist()}")
    return K


def shortened(value: Any) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
