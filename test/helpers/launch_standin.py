"""A stand-in for ROS 2's `launch` and `launch_ros`, as strict as upstream where our file could err.

Texts stay texts, a ParameterValue takes only a value of its type, a Node knows its arguments and
checks its parameters. No processes are started.
"""

import re
import sys
from pathlib import Path
from types import ModuleType


def require(value, kinds, what):
    """Upstream's ensure_argument_type."""
    if not isinstance(value, kinds):
        raise TypeError(f"{what}: expected {kinds}, got {value!r} of type {type(value).__name__}")
    return value


class Action:
    pass


class Substitution:
    pass


class LaunchContext:
    def __init__(self):
        self.launch_configurations = {}
        self.environment = {}


class LaunchConfiguration(Substitution):
    def __init__(self, name):
        self.name = require(name, str, "LaunchConfiguration")

    def perform(self, context):
        if self.name not in context.launch_configurations:
            raise LookupError(f"launch configuration '{self.name}' does not exist")
        return context.launch_configurations[self.name]


class DeclareLaunchArgument(Action):
    def __init__(self, name, *, default_value=None, description=None, choices=None):
        self.name = require(name, str, "name")
        self.default = require(default_value, (str, Substitution), "default_value")
        require(description, str, "description")

    def visit(self, context):
        context.launch_configurations.setdefault(self.name, self.default)


class SetEnvironmentVariable(Action):
    def __init__(self, name, value):
        self.pair = (require(name, str, "name"), require(value, str, "value"))

    def visit(self, context):
        context.environment.update([self.pair])


class LogInfo(Action):
    def __init__(self, *, msg):
        self.msg = require(msg, (str, Substitution), "msg")


class OpaqueFunction(Action):
    def __init__(self, *, function):
        self.function = function

    def visit(self, context):
        return self.function(context)


class LaunchDescription:
    def __init__(self, entities):
        self.entities = [require(entity, Action, "entity") for entity in entities]

    def get_launch_arguments(self):
        return [e for e in self.entities if isinstance(e, DeclareLaunchArgument)]


class ParameterValue:
    def __init__(self, value, *, value_type=None):
        if not isinstance(value, (Substitution, value_type or object)):
            raise TypeError(f"value={value!r} is not an instance of {value_type}")
        self.value = value


class Node(Action):
    def __init__(
        self,
        *,
        executable,
        package=None,
        name=None,
        namespace=None,
        parameters=None,
        remappings=None,
        arguments=None,
        output="log",
        respawn=False,
        respawn_delay=None,
    ):
        for value in (executable, package, name, namespace, output):
            require(value, str, "a text of Node")
        if not re.fullmatch(r"/?(\w+(/\w+)*)?", namespace) or not re.fullmatch(r"\w+", name):
            raise ValueError(f"not a node: '{namespace}' '{name}'")
        self.package, self.executable = package, executable
        self.respawn = require(respawn, bool, "respawn")
        if respawn_delay is not None:
            require(respawn_delay, float, "respawn_delay")
        self.node_name = re.sub("/+", "/", f"/{namespace}/{name}")
        self.arguments = [require(text, str, "arguments") for text in arguments or ()]
        self.remappings = {require(a, str, "from"): require(b, str, "to") for a, b in remappings}
        self.files, self.parameters = [], {}
        for item in require(parameters, list, "parameters"):
            if isinstance(item, dict):
                self.parameters |= {name: _checked(name, value) for name, value in item.items()}
            else:
                self.files.append(require(item, (str, Path), "parameters"))


def _checked(name, value):
    require(name, str, "parameter name")
    value = value.value if isinstance(value, ParameterValue) else value
    return require(value, (bool, int, float, str), f"parameter {name}")


MODULES = {
    "launch": [Action, LaunchContext, LaunchDescription, Substitution],
    "launch.actions": [DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable],
    "launch.substitutions": [LaunchConfiguration],
    "launch_ros": [],
    "launch_ros.actions": [Node],
    "launch_ros.parameter_descriptions": [ParameterValue],
}


def install(monkeypatch):
    """Puts the stand-ins where `import launch` finds them."""
    made = {name: ModuleType(name) for name in MODULES}
    for module, members in zip(made.values(), MODULES.values(), strict=True):
        for member in members:
            setattr(module, member.__name__, member)
    for name in list(sys.modules):
        if name.partition(".")[0] in ("launch", "launch_ros"):
            monkeypatch.delitem(sys.modules, name)
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
