"""What is declared about a parameter, and how rclpy is told."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

Check = Callable[[Any], str | None]  # what is expected instead, None where a value is accepted
LONGEST = 60  # characters of a value in the log
WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list of texts",
}


@dataclass(frozen=True)
class Spec:
    """What is declared about one parameter, apart from its default."""

    name: str
    description: str
    live: bool = False  # may be set while the node runs, others while it is unconfigured
    at_start: bool = False  # means nothing later on
    span: tuple[float, float] | None = None  # inclusive
    check: Check | None = None


def entry(name: str, default: Any, description: str, **options: Any) -> Any:
    """A field of a parameter table: its declaration travels in the field's metadata."""
    return field(default=default, metadata={"spec": Spec(name, description, **options)})


def one_of(*choices: str) -> Check:
    """Accepts these strings alone."""
    text = ", ".join(choice or '""' for choice in choices)
    return lambda value: None if value in choices else f"one of {text}"


def matching(pattern: re.Pattern[str], expected: str) -> Check:
    """Accepts strings of a pattern; ``expected`` describes them."""
    return lambda value: None if pattern.fullmatch(value) else expected


def fault(spec: Spec, default: Any, value: Any) -> str | None:
    """Why a value cannot be taken, None where it can: what is expected and what came."""
    expected = _of_type(spec, default, value)
    if expected is None and spec.check is not None:
        expected = spec.check(value)
    return None if expected is None else f"expected {expected}; got {shown(value)}"


def shown(value: Any) -> str:
    """A value in one line of the log."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _of_type(spec: Spec, default: Any, value: Any) -> str | None:
    """What is expected where a value is of another type or out of range."""
    if type(value) is not type(default):
        fits = False
    elif isinstance(value, list):
        fits = all(isinstance(item, str) for item in value)
    else:
        fits = spec.span is None or spec.span[0] <= value <= spec.span[1]  # never of NaN
    if fits:
        return None
    limits = "" if spec.span is None else f" from {spec.span[0]:g} to {spec.span[1]:g}"
    return f"{WORDS[type(default)]}{limits}"


def descriptor(spec: Spec, default: Any) -> ParameterDescriptor:
    """What ``ros2 param describe`` shows of a parameter."""
    when = "Read at start-up alone" if spec.at_start else "Can be set while unconfigured"
    text = spec.description if spec.live else f"{spec.description}. {when}"
    message = ParameterDescriptor(description=text, read_only=spec.at_start)
    if spec.span is not None and isinstance(default, float):
        low, high = spec.span
        message.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif spec.span is not None:
        low, high = (int(bound) for bound in spec.span)
        message.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return message
