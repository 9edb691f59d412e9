"""Random defects of files: one value of a JSON file, one place of a text, some bytes."""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from cope_ros.core.errors import CopeError

T = TypeVar("T")
# Of each of the four kinds of files; `make fuzz-files` tries many more.
EXAMPLES = int(os.environ.get("COPE_FUZZ_EXAMPLES", "25"))
FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
# What people's scripts leave in place of a number, a list or a name.
STRANGE = st.sampled_from(
    [None, True, False, "", "12 cm", "0.5", "nan", [], {}, [[]], [1], [[1, 2], [3]], {"a": 1}, 0,
     -1, 1e-9, 1e12, 10**400, float("nan"), float("inf"), -float("inf"), "\ud800"]
)  # fmt: skip
Place = tuple[Any, Any]  # a list or mapping, and an index or key in it


def outcome(read: Callable[[], T], names: tuple[str, ...]) -> T | None:
    """What ``read`` gives, None where it refuses; fails unless the refusal names a file.

    A warning of numpy fails, too.

    Args:
        names: one of these stands in the message.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            return read()
    except CopeError as error:
        text = str(error)
        assert any(name in text for name in names), f"none of {names} is in: {text}"
        return None


def places(content: Any) -> list[Place]:
    """Every value inside a JSON content, the outermost first."""
    rows = content.items() if isinstance(content, dict) else ()
    rows = enumerate(content) if isinstance(content, list) else rows
    found = []
    for key, value in rows:
        found.append((content, key))
        found += places(value)
    return found


def change_json(path: Path, data: st.DataObject) -> str:
    """Gives one random place of a JSON file another content; says what was done."""
    content = json.loads(path.read_text())
    where, key = data.draw(st.sampled_from(places(content)))
    what = data.draw(st.sampled_from(["value", "text", "remove", "key", "add", "negate", "scale"]))
    old = where[key]
    if what == "remove":
        del where[key]
    elif what == "text":
        where[key] = json.dumps(old)
    elif what == "key" and isinstance(where, dict):
        where[data.draw(st.sampled_from(["x", "00", f"0{key}", "-1", "", " "]))] = where.pop(key)
    elif what == "add" and isinstance(where, dict):
        where[data.draw(st.sampled_from(["note", "_", "999"]))] = data.draw(STRANGE)
    elif what in ("negate", "scale") and isinstance(old, (int, float)):
        where[key] = old * (-1 if what == "negate" else 1e-3)
    else:
        where[key] = data.draw(STRANGE)
    path.write_text(json.dumps(content))
    return f"{path.name}: {what} at {key!r}, was {str(old)[:60]}, is {str(where)[:200]}"


def damage(content: bytes, data: st.DataObject) -> bytes:
    """Cuts a file short, changes, inserts or doubles some bytes of it."""
    place = data.draw(st.integers(0, max(len(content) - 1, 0)))
    some = data.draw(st.binary(min_size=1, max_size=8))
    ways = [
        content[:place],
        content[:place] + some + content[place + len(some) :],
        content[:place] + some + content[place:],
        content[:place] + content[place : place + 40] + content[place:],
        content + some,
        b"",
    ]
    return data.draw(st.sampled_from(ways))
