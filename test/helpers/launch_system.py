"""`launch` for tests of the launch file: the real one, or its stand-in."""

import importlib
import importlib.util
import sys
from pathlib import Path

import launch_standin
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WHY_REAL = "ROS 2's launch is missing: the launch file met a stand-in of it only"


class System:
    """`launch`, the launch file under it, and what the actions come to."""

    def __init__(self, real, packages):
        self._real, self._packages = real, packages

    def load(self):
        """The launch file as a module."""
        file = ROOT / "launch" / "cope.launch.py"
        spec = importlib.util.spec_from_file_location("cope_launch", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self._description = module.generate_launch_description()
        return self._description

    def start(self, base=None, **given):
        """The node actions and the texts for the console."""
        context = sys.modules["launch"].LaunchContext()
        context.launch_configurations.update(given)
        if base is not None:
            context.launch_configurations["ros_namespace"] = base
        made = []
        for entity in self.load().entities:
            made += entity.visit(context) or []
        kind = sys.modules["launch_ros.actions"].Node
        nodes = [self._facts(action, context) for action in made if isinstance(action, kind)]
        return nodes, [self._text(a.msg, context) for a in made if hasattr(a, "msg")]

    def install(self, package):
        """From now on the package is found."""
        self._packages.add(package)

    def _text(self, message, context):
        parts = [message] if isinstance(message, str) else message
        return "".join(p if isinstance(p, str) else p.perform(context) for p in parts)

    def _facts(self, node, context):
        if not self._real:
            return node
        node._perform_substitutions(context)  # launch offers no other way short of a process
        return RealNode(node, context)


class RealNode:
    """What a real Node would be started with."""

    def __init__(self, node, context):
        self.node_name = node.node_name
        self.package, self.executable = node.node_package, node.node_executable
        self.respawn = node._ExecuteLocal__respawn
        perform = sys.modules["launch.utilities"].perform_substitutions
        words = [
            perform(context, part)
            for part in node.cmd[1:]  # the first names the installed executable
            if not any(type(item).__name__ == "LocalSubstitution" for item in part)
        ]
        self.arguments = words
        self.remappings = dict(node.expanded_remapping_rules or ())
        files = [words[i + 1] for i, word in enumerate(words) if word == "--params-file"]
        self.files = [file for file in files if "launch_params_" not in file]
        self.parameters = {}
        for file in set(files) - set(self.files):
            content = yaml.safe_load(Path(file).read_text())
            self.parameters |= content[node.node_name]["ros__parameters"]


def real_launch_is_here():
    # The folder launch/ of this repository answers to the name too, so ask for launch_ros.
    try:
        return importlib.util.find_spec("launch_ros.actions") is not None
    except ModuleNotFoundError:
        return False


def make_system(monkeypatch, real):
    """A system in which only the package cope_ros is installed."""
    if not real:
        launch_standin.install(monkeypatch)
    elif not real_launch_is_here():
        pytest.skip(WHY_REAL)
    else:
        importlib.import_module("launch_ros.actions")
        importlib.import_module("launch.utilities")
    index = importlib.import_module("ament_index_python.packages")
    packages = {"cope_ros"}

    def prefix(name):
        if name not in packages:
            raise index.PackageNotFoundError(name)
        return str(ROOT)

    monkeypatch.setattr(index, "get_package_share_directory", prefix)
    monkeypatch.setattr(index, "get_package_prefix", prefix)
    return System(real, packages)
