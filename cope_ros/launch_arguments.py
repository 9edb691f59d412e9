"""The texts of launch arguments: what each takes, and one line against what it does not take.

``launch`` hands every argument on as a text; an empty one means its default. Knows no ROS.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cope_ros.core.errors import CopeError
from cope_ros.near_names import ALIKE, hint

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
NAME = r"[A-Za-z_]\w*"
TOPIC = re.compile(rf"(~/|/)?{NAME}(/{NAME})*")
NAMESPACE = re.compile(rf"/?({NAME}(/{NAME})*)?")
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
LEVELS = ("debug", "info", "warn", "error", "fatal")
TRANSPORTS = ("raw", "compressed")
DEPTH_MODES = ("off", "auto", "required")


class Argument(NamedTuple):
    """One launch argument."""

    default: str
    description: str
    read: Callable[[str], Any]  # ValueError with what is expected, as a text


def boolean(text: str) -> bool:
    """A truth value in any spelling of YAML or launch."""
    if text.lower() not in TRUE + FALSE:
        raise ValueError("true or false (1 or 0)")
    return text.lower() in TRUE


def choice(*words: str) -> Callable[[str], str]:
    """One of some words, in lower or upper case."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(", ".join(words[:-1]) + f" or {words[-1]}")
        return text.lower()

    return read


def like(pattern: re.Pattern[str], expected: str) -> Callable[[str], str]:
    """A text of a pattern; ``expected`` describes it."""

    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(expected)
        return text

    return read


def path(text: str) -> str:
    """A path or a name; the shell leaves a ``~`` behind ``:=`` alone."""
    return str(Path(text).expanduser()) if text.startswith("~") else text


def namespace(text: str) -> str:
    """A namespace, a slash at its end ignored."""
    return like(NAMESPACE, "a namespace such as left or /robot/left")(text.rstrip("/"))


def read_arguments(table: Mapping[str, Argument], texts: Mapping[str, str]) -> dict[str, Any]:
    """The value of every argument, None where it is empty.

    Raises:
        CopeError: names the argument and what it takes.
    """
    values: dict[str, Any] = {}
    for name, argument in table.items():
        text = texts[name].strip() or argument.default
        try:
            values[name] = argument.read(text) if text else None
        except ValueError as error:
            expected = f"expected {error}, got '{texts[name]}'"
            raise CopeError(f"launch argument '{name}': {expected}") from error
    return values


def misspelt(known: Collection[str], given: Iterable[str]) -> list[str]:
    """One line for each given name that is nearly a known one; launch itself takes any name.

    Args:
        given: may hold names of the launch files around this one.
    """
    hints = {name: hint(name, known, ALIKE) for name in sorted(set(given) - set(known))}
    return [f"launch argument '{name}' is unknown{meant}" for name, meant in hints.items() if meant]


def full_name(base: str | None, namespace: str | None, name: str) -> str:
    """A node's fully qualified name; ``base`` is the namespace of the launch group around it."""
    inner = namespace or ""
    parts = [inner] if inner.startswith("/") else [base or "", inner]
    return "/".join(["", *(part.strip("/") for part in parts if part.strip("/")), name])
