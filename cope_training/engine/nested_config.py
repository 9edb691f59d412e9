"""Nested dataclasses from plain data, for configurations in YAML and in checkpoints."""

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from cope_ros.core.renamed import unknown_keys


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Nested dictionaries, the second's values before the first's."""
    both = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = merged(both[key], value) if nested else value
    return both


def build(cls: type, data: dict[str, Any], where: str) -> Any:
    """An instance of a dataclass; ``where`` names the data in errors.

    Raises:
        CopeError: keys that the class has not.
    """
    known = {f.name for f in fields(cls)}
    if set(data) - known:
        raise unknown_keys(where, set(data) - known, known)
    types = get_type_hints(cls)
    values = {}
    for key, value in data.items():
        nested = is_dataclass(types[key])
        values[key] = build(types[key], value, f"{where}.{key}") if nested else value
    return cls(**values)
