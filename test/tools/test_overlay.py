"""The overlay's messages carry upstream's names, types and hashes on the wire."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS messages need rclpy")

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = json.loads((ROOT / "test/data/type_hashes.json").read_text())["hashes"]


@pytest.fixture(scope="module")
def node() -> Iterator[object]:
    from plain_node import plain_node

    with plain_node("overlay_hashes") as node:
        yield node


def message_class(name: str) -> type:
    package, _, message = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), message)


def test_overlay_defines_exactly_the_listed_messages() -> None:
    defined = {
        f"{path.parent.parent.name}/msg/{path.stem}" for path in ROOT.glob("overlay/*/msg/*.msg")
    }
    assert defined == set(UPSTREAM)


@pytest.mark.parametrize("name", sorted(UPSTREAM))
def test_type_hash_on_the_wire_is_upstreams(node, name: str) -> None:
    topic = "/hash/" + name.replace("/", "_")
    publisher = node.create_publisher(message_class(name), topic, 1)
    (endpoint,) = node.get_publishers_info_by_topic(topic)
    assert endpoint.topic_type == name
    assert str(endpoint.topic_type_hash) == UPSTREAM[name]
    node.destroy_publisher(publisher)


def test_tf2_error_codes_are_upstreams() -> None:
    error = message_class("tf2_msgs/msg/TF2Error")
    names = ["NO", "LOOKUP", "CONNECTIVITY", "EXTRAPOLATION", "INVALID_ARGUMENT", "TIMEOUT"]
    codes = [getattr(error, f"{name}_ERROR") for name in [*names, "TRANSFORM"]]
    assert codes == list(range(7))
