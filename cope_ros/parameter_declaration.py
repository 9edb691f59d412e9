"""What is declared about a parameter, and how rclpy is told."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

Check = Callable[[Any], str | None]  # the reason to refuse a value, None where it is accepted


@dataclass(frozen=True)
class Spec:
    """What is declared about one parameter, apart from its default."""

    name: str
    description: str
    live: bool = False  # may be set while the node runs
    span: tuple[float, float] | None = None  # inclusive
    check: Check | None = None


def entry(name: str, default: Any, description: str, **options: Any) -> Any:
    """A field of a parameter table: its declaration travels in the field's metadata."""
    return field(default=default, metadata={"spec": Spec(name, description, **options)})


def one_of(*choices: str) -> Check:
    """Accepts these strings alone."""
    text = ", ".join(choices)
    return lambda value: None if value in choices else f"expected one of {text}; got '{value}'"


def matching(pattern: re.Pattern[str], expected: str) -> Check:
    """Accepts strings of a pattern; ``expected`` describes them."""

    def check(value: str) -> str | None:
        return None if pattern.fullmatch(value) else f"expected {expected}; got '{value}'"

    return check


def descriptor(spec: Spec, default: Any) -> ParameterDescriptor:
    """What ``ros2 param describe`` shows of a parameter."""
    text = spec.description if spec.live else f"{spec.description}. Fixed at start-up"
    message = ParameterDescriptor(description=text, read_only=not spec.live)
    if spec.span is not None and isinstance(default, float):
        low, high = spec.span
        message.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif spec.span is not None:
        low, high = (int(bound) for bound in spec.span)
        message.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return message
