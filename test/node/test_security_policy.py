"""The SROS 2 policy file against the graph of a real node."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from node_fakes import FakeEstimator
from node_harness import running

POLICY = Path(__file__).resolve().parents[2] / "config" / "sros2_policy.xml"
# What makes a node subscribe to all it can.
VARIANTS = (
    {},
    {"use_sim_time": True},
    {"image_transport": "compressed"},
    {"target_frame": "base_link"},
    {"depth.mode": "required"},
)
WITH_DEPTH = {"preset": "fake", "surface_points": 512}
RULES = {
    ("topics", "publish"): "get_publisher_names_and_types_by_node",
    ("topics", "subscribe"): "get_subscriber_names_and_types_by_node",
    ("services", "reply"): "get_service_names_and_types_by_node",
    ("services", "request"): "get_client_names_and_types_by_node",
}


def absolute(name, profile):
    """A name of the policy as the graph shows it; sros2 expands it the same way."""
    namespace, node = profile.get("ns").rstrip("/"), profile.get("node")
    if name.startswith("~"):
        return f"{namespace}/{node}/{name[1:]}"
    return name if name.startswith("/") else f"{namespace}/{name}"


def allowed():
    """The names of the only profile, by rule; refuses everything the test does not know."""
    root = ElementTree.parse(POLICY).getroot()
    assert (root.tag, root.attrib) == ("policy", {"version": "0.2.0"})
    (profile,) = root.findall("enclaves/enclave/profiles/profile")
    rules = {rule: set() for rule in RULES}
    for group in profile:
        ((verb, qualifier),) = group.attrib.items()
        assert qualifier == "ALLOW"
        rules[group.tag, verb] |= {absolute(item.text, profile) for item in group}
    return rules


def seen(rig):
    """The names of the node in the client's graph, by rule."""
    name = rig.node.get_name()
    return {
        rule: {topic for topic, _ in getattr(rig.client, method)(name, "/")}
        for rule, method in RULES.items()
    }


def complete(rig):
    """Whether the client knows of everything that the node has."""
    graph, node = seen(rig), rig.node
    published = {item.topic_name for item in node.publishers}
    heard = {item.topic_name for item in node.subscriptions}
    served = {item.srv_name for item in node.services}
    return (
        published <= graph["topics", "publish"]
        and heard <= graph["topics", "subscribe"]
        and len(served) <= len(graph["services", "reply"])
    )


def used():
    """The names of a node in every variant, by rule."""
    found = {rule: set() for rule in RULES}
    for number, parameters in enumerate(VARIANTS):
        # A node of its own name: DDS may remember the last one for a while.
        arguments = ("-r", f"__node:=cope{number}")
        with running(FakeEstimator(metadata=WITH_DEPTH), parameters, arguments) as rig:
            rig.wait(lambda rig=rig: complete(rig), "the graph")
            for rule, names in seen(rig).items():
                found[rule] |= {name.replace(f"/cope{number}/", "/cope/") for name in names}
    return found


def test_the_policy_allows_what_the_node_uses_and_nothing_else():
    names = used()
    assert allowed() == names
    assert not any("/_action/" in name for group in names.values() for name in group)
