"""The table of parameters on a node: declared, checked and read."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from cope_ros import overrides
from cope_ros.overrides import ParameterError
from cope_ros.parameter_declaration import Spec, descriptor, fault
from cope_ros.parameters import Parameters, defaults, specs
from cope_ros.qos import OVERRIDES, override_fault

# Overrides that belong to rclpy, not to the table; it looks at their types late or not at all.
FOREIGN = {
    name: (Spec(name, ""), True) for name in ("use_sim_time", "start_type_description_service")
}
FIXED = "can be set only while the node is unconfigured (ros2 lifecycle set: deactivate, cleanup)"


def table() -> dict[str, tuple[Spec, Any]]:
    """What is declared of each parameter, and its default, by its name."""
    values = defaults()
    return {spec.name: (spec, values[spec.name]) for spec in specs()}


def refusal(parameters: Iterable[Parameter], configured: bool = False) -> str | None:
    """Why these values cannot be set, None where they can; names the parameter.

    Args:
        configured: whether the node is, so that only live parameters may change.
    """
    known = table()
    for parameter in parameters:
        if parameter.name not in known:
            continue
        spec, default = known[parameter.name]
        reason = FIXED if configured and not spec.live else fault(spec, default, parameter.value)
        if reason is not None:
            return str(ParameterError(spec.name, reason))
    return None


def answer(reason: str | None) -> SetParametersResult:
    """To who asked for a change; ``reason`` against it, None where there is none."""
    return SetParametersResult(successful=reason is None, reason=reason or "")


def converted(parameters: Iterable[Parameter]) -> list[Parameter]:
    """The parameters with their values in the declared types, where they are near them."""
    return overrides.converted(defaults(), parameters)


def unknown(node: Node, parameters: Iterable[Parameter]) -> str | None:
    """Why parameters cannot be set that are not declared, None where all are."""
    for name in (item.name for item in parameters):
        if node.has_parameter(name):
            continue
        if name.startswith(OVERRIDES):
            return str(ParameterError(name, "QoS can be overridden at start-up alone"))
        return str(ParameterError(name, overrides.unknown(name, list(table()))))
    return None


def declare(node: Node, others: Collection[str] = (), shared: Collection[str] = ()) -> None:
    """Declares the table on ``node`` with the overrides of its command line and files.

    Args:
        others: names that are declared elsewhere.
        shared: names from sections of files that are not for this node alone.

    Raises:
        ParameterError: an override has a name that nobody declares, or a value it cannot have.
    """
    values = defaults()
    known = [*values, *FOREIGN, *others]
    names = tuple(node._parameter_overrides)  # rclpy has no public list of them
    overrides.check_names(names, known, shared, node.get_logger().warning)
    overrides.apply(node, values)
    _check_values(node._parameter_overrides)
    node.add_pre_set_parameters_callback(converted)
    for spec in specs():
        default = values[spec.name]
        node.declare_parameter(spec.name, default, descriptor(spec, default))


def read(node: Node, changed: Iterable[Parameter] = ()) -> Parameters:
    """The current values, those in ``changed`` taking precedence."""
    pending = {p.name: p.value for p in changed}
    values: dict[str, Any] = {}
    for item in fields(Parameters):
        name = item.metadata["spec"].name
        value = pending[name] if name in pending else node.get_parameter(name).value
        values[item.name] = tuple(value) if isinstance(item.default, tuple) else value
    return Parameters(**values)


def _check_values(given: Mapping[str, Parameter]) -> None:
    known = table() | FOREIGN
    for name, parameter in given.items():
        reason = None
        if name in known:
            reason = fault(*known[name], parameter.value)
        elif name.startswith(OVERRIDES):
            reason = override_fault(name, parameter.value)
        if reason is not None:
            raise ParameterError(name, reason)
