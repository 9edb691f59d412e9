"""What people write of parameters: values in a type near the declared one, names nobody declares.

An integer for a number, one text for a list of texts, 0 or 1 for a truth value are taken; the rest
is left for rclpy to refuse. An unknown name is an error, unless it comes from a section that
nodes of other names read too.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.parameter import Parameter

from cope_ros.core.errors import CopeError
from cope_ros.depth_parameters import OFF
from cope_ros.near_names import ALIKE, hint
from cope_ros.parameter_files import sections_for
from cope_ros.qos import OVERRIDES


class ParameterError(CopeError):
    """A parameter with which the node cannot start; the message begins with its name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"parameter '{name}': {reason}")


def as_declared(default: Any, value: Any) -> Any:
    """``value`` in the type of ``default`` where it is written in a type near it."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None:
        return value
    if isinstance(default, bool):
        return bool(value) if number and value in (0, 1) else value
    if isinstance(default, float):
        return float(value) if number else value
    if isinstance(default, int):
        return int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(default, str):
        if value is False and default == OFF:  # YAML takes the bare word for a truth value
            return OFF
        return str(value) if number and isinstance(value, int) else value
    if isinstance(value, str) or number:
        value = [value]
    if isinstance(value, bool):
        return value
    if not value:  # an empty list has no type
        return list(default)
    return [as_declared("", item) for item in value]


def converted(defaults: Mapping[str, Any], parameters: Iterable[Parameter]) -> list[Parameter]:
    """The parameters with their values as declared; those without a value are left alone."""
    made = []
    for item in parameters:
        if item.name not in defaults or item.type_ == Parameter.Type.NOT_SET:
            made.append(item)
            continue
        made.append(Parameter(item.name, value=as_declared(defaults[item.name], item.value)))
    return made


def shared_names(files: Sequence[Path], node: str) -> set[str]:
    """Names that the files set in sections for other nodes too, and nowhere for this one alone.

    Args:
        node: its fully qualified name.

    Raises:
        CopeError: a file does not reach the node, or cannot be read.
    """
    sections = [section for file in files for section in sections_for(file, node)]
    own = {name for s in sections if not s.shared for name in s.parameters}
    return {name for s in sections if s.shared for name in s.parameters} - own


def check_names(
    names: Iterable[str],
    known: Collection[str],
    shared: Collection[str],
    warn: Callable[[str], object],
) -> None:
    """Refuses names that nobody declares; those in ``shared`` are warned about.

    Raises:
        ParameterError: names the parameter and the nearest one that there is.
    """
    for name in names:
        if name in known:
            continue
        ours = [item for item in known if item.startswith(OVERRIDES) == name.startswith(OVERRIDES)]
        # An override of QoS that is nearly ours would be missed, wherever it stands.
        nearly = hint(name, ours, ALIKE)
        if name in shared and not (name.startswith(OVERRIDES) and nearly):
            unused = f"parameter '{name}' of a shared parameter file is not one of this node"
            warn(unused + hint(name, ours))
        else:
            raise ParameterError(name, unknown(name, ours))


def unknown(name: str, known: Collection[str]) -> str:
    """What there is to say of a name that nobody declares: the nearest one, else all."""
    return "unknown" + (hint(name, known) or f" (known: {', '.join(sorted(known))})")


def apply(node: Node, defaults: Mapping[str, Any]) -> None:
    """Converts the overrides of a node that has not declared its parameters yet."""
    # rclpy offers no public way to its overrides.
    overrides = node._parameter_overrides
    overrides.update({item.name: item for item in converted(defaults, overrides.values())})
    for name, default in defaults.items():  # an empty list in a file has no type
        if isinstance(default, list) and name in overrides and overrides[name].value is None:
            del overrides[name]
