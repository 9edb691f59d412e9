"""Why nothing comes through a subscription: a wrong name, a wrong type or incompatible QoS."""

import difflib
from collections.abc import Sequence

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from cope_ros.diagnostics.snapshot import Topic

HINTS = 3  # other topics named
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"
DEPTH = "depth"  # argument of the launch file, and a word in the topics' names
TWINS = {IMAGE: COMPRESSED, COMPRESSED: IMAGE}
TRANSPORTS = {IMAGE: "raw", COMPRESSED: "compressed"}
ARGUMENTS = {IMAGE: "image", COMPRESSED: "image", INFO: "camera_info"}  # of the launch file


def inspect(node: Node, subscription: Subscription, heard: bool, argument: str = "") -> Topic:
    """Looks at the publishers of a subscription's topic; what is ``heard`` has no fault.

    Args:
        argument: the launch file's for this topic, where its type does not tell.
    """
    name, kind = subscription.topic_name, type_name(subscription.msg_type)
    if heard:
        return Topic(name, node.count_publishers(name), None)
    publishers = node.get_publishers_info_by_topic(name)
    if publishers:
        fault = fault_of(name, kind, subscription.qos_profile, publishers)
        return Topic(name, len(publishers), fault, _nodes(publishers))
    return Topic(name, 0, absence_of(node, name, kind, argument=argument))


def absence_of(node: Node, name: str, kind: str, reader: str = "", argument: str = "") -> str:
    """The sentence for a topic that nobody publishes, as ``node`` sees the system.

    Args:
        reader: full name of the node that misses it, ``node`` itself by default; what it
            publishes itself (its debug image) is no help.
        argument: the launch file's for this topic, where its type does not tell.
    """
    reader = reader or node.get_fully_qualified_name()
    others = _published(node, kind, name, reader)
    if argument == DEPTH:
        others = [topic for topic in others if DEPTH in topic] or others
    has_twins = not others and kind in TWINS and argument != DEPTH
    twins = _published(node, TWINS[kind], name, reader) if has_twins else []
    return absence(name, kind, others, twins, argument)


def keeps(publishers: Sequence[TopicEndpointInfo]) -> bool:
    """Whether one keeps messages for those that come later (transient local)."""
    kept = DurabilityPolicy.TRANSIENT_LOCAL
    return any(publisher.qos_profile.durability == kept for publisher in publishers)


def _nodes(publishers: Sequence[TopicEndpointInfo]) -> tuple[str, ...]:
    """Names of the publishing nodes, each once."""
    return tuple(dict.fromkeys(map(_full_name, publishers)))


def _full_name(endpoint: TopicEndpointInfo) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


def _published(node: Node, kind: str, besides: str, reader: str) -> list[str]:
    """Topics of a type that other nodes than ``reader`` publish."""
    return [
        topic
        for topic, kinds in node.get_topic_names_and_types()
        if kind in kinds and topic != besides and _published_by_others(node, topic, reader)
    ]


def _published_by_others(node: Node, topic: str, reader: str) -> bool:
    publishers = node.get_publishers_info_by_topic(topic)
    return any(_full_name(publisher) != reader for publisher in publishers)


def type_name(message: type) -> str:
    """sensor_msgs.msg.Image -> "sensor_msgs/msg/Image"."""
    package, folder = message.__module__.split(".")[:2]
    return f"{package}/{folder}/{message.__name__}"


def absence(
    name: str, kind: str, others: Sequence[str], twins: Sequence[str] = (), argument: str = ""
) -> str:
    """The sentence for a topic that nobody publishes.

    Args:
        others: topics that carry the same type.
        twins: without any of these, topics that carry images in the other transport.
        argument: the launch file's, where the type does not tell.
    """
    near = difflib.get_close_matches(name, others or twins, n=HINTS, cutoff=0.0)
    told = TWINS[kind] if near and not others else kind
    if not near:
        return f"no publisher on {name}; nobody publishes any {kind}"
    text = f"no publisher on {name}; {told} is published on {', '.join(near)}"
    if told not in ARGUMENTS:
        return text
    advice = f"{argument or ARGUMENTS[told]}:={near[0].removesuffix('/compressed')}"
    if told != kind:
        advice += f" image_transport:={TRANSPORTS[told]}"
    return f"{text} (launch argument {advice})"


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
