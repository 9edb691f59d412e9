"""Why nothing comes through a subscription: a wrong name, a wrong type or incompatible QoS."""

import difflib
from collections.abc import Sequence

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from cope_ros.diagnostics.snapshot import Topic

HINTS = 3  # other topics named


def inspect(node: Node, subscription: Subscription, heard: bool) -> Topic:
    """Looks at the publishers of a subscription's topic; what is ``heard`` has no fault."""
    name, kind = subscription.topic_name, type_name(subscription.msg_type)
    if heard:
        return Topic(name, node.count_publishers(name), None)
    publishers = node.get_publishers_info_by_topic(name)
    if publishers:
        fault = fault_of(name, kind, subscription.qos_profile, publishers)
        return Topic(name, len(publishers), fault)
    others = [
        topic
        for topic, kinds in node.get_topic_names_and_types()
        if kind in kinds and topic != name and _published_by_others(node, topic)
    ]
    return Topic(name, 0, absence(name, kind, others))


def _published_by_others(node: Node, topic: str) -> bool:
    own = (node.get_namespace(), node.get_name())
    publishers = node.get_publishers_info_by_topic(topic)
    return any((p.node_namespace, p.node_name) != own for p in publishers)


def type_name(message: type) -> str:
    """sensor_msgs.msg.Image -> "sensor_msgs/msg/Image"."""
    package, folder = message.__module__.split(".")[:2]
    return f"{package}/{folder}/{message.__name__}"


def absence(name: str, kind: str, others: Sequence[str]) -> str:
    """The sentence for a topic that nobody publishes; ``others`` carry the same type."""
    near = difflib.get_close_matches(name, others, n=HINTS, cutoff=0.0)
    hint = f"{kind} is published on {', '.join(near)}" if near else f"nobody publishes any {kind}"
    return f"no publisher on {name}; {hint}"


def fault_of(
    name: str, kind: str, own: QoSProfile, publishers: Sequence[TopicEndpointInfo]
) -> str | None:
    """Why none of the publishers of a topic can be heard, None where one can."""
    reasons = [reason_against(kind, own, publisher) for publisher in publishers]
    if None in reasons:
        return None
    return f"the publisher of {name} {reasons[0]}"


def reason_against(kind: str, own: QoSProfile, publisher: TopicEndpointInfo) -> str | None:
    """Why one publisher cannot be heard, None where it can."""
    if publisher.topic_type != kind:
        return f"sends {publisher.topic_type}, expected {kind}"
    compatibility, reason = qos_check_compatible(publisher.qos_profile, own)
    if compatibility == QoSCompatibility.ERROR:
        text = reason.removeprefix("ERROR: ").split(";")[0].strip()
        return f"has incompatible QoS: {text} (see qos_overrides)"
    return None
