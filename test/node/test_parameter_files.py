"""Parameter files: which of them reach the node, by our reading and by rclpy's."""

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from cope_ros.core.errors import CopeError
from cope_ros.parameter_files import named_in, read_sections, sections_for
from cope_ros.process import run

KEYS = [
    *("/**", "**", "/*", "cope", "/cope", "kope", "/left/cope", "left/cope", "/left/**"),
    *("/left/*", "/**/cope", "/*/cope", "/right/**", "/cope/left"),
]


def overrides(file, namespace):
    """What rclpy hands to a node of that namespace."""
    context = Context()
    rclpy.init(args=["--ros-args", "--params-file", str(file)], context=context)
    node = Node("cope", namespace=namespace, context=context)
    values = {name: item.value for name, item in node._parameter_overrides.items()}
    node.destroy_node()
    context.try_shutdown()
    return values


@pytest.mark.parametrize("key", KEYS)
def test_sections_reach_the_nodes_that_rclpy_gives_them_to(tmp_path, key):
    file = tmp_path / "a.yaml"
    file.write_text(f"'{key}':\n  ros__parameters: {{track: {{confirm: 3}}}}\n")
    (section,) = read_sections(file)
    assert section.parameters == {"track.confirm": 3}
    for namespace in ("/", "/left"):
        node = f"{namespace.rstrip('/')}/cope"
        assert section.reaches(node) == bool(overrides(file, namespace)), (section.node, node)


def test_namespaces_may_be_nested(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("left:\n  cope:\n    ros__parameters: {half: true}\n")
    assert [section.node for section in sections_for(file, "/left/cope")] == ["/left/cope"]
    assert overrides(file, "/left") == {"half": True}


@pytest.mark.parametrize("text", ["", "{}", "/**:\n  ros__parameters: {}\n"])
def test_an_empty_file_is_no_fault(tmp_path, text):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    sections_for(file, "/cope")


def test_the_files_of_a_command_line():
    arguments = ["--ros-args", "--params-file", "a.yaml", "-r", "__ns:=/x", "--params-file", "b"]
    assert [str(path) for path in named_in(arguments)] == ["a.yaml", "b"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("other", "/kope:\n  ros__parameters: {half: true}\n"), ("missing", None)],
)
def test_the_node_refuses_a_file_that_does_not_reach_it(tmp_path, capfd, name, text):
    file = tmp_path / f"{name}.yaml"
    if text is not None:
        file.write_text(text)
    assert run(["--ros-args", "--params-file", str(file), "-p", "autostart:=false"]) == 1
    assert str(file) in capfd.readouterr().err


def test_the_reason_names_both_nodes(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("kope:\n  ros__parameters: {half: true}\n")
    with pytest.raises(CopeError, match=r"node /cope .*got /kope"):
        sections_for(file, "/cope")
