"""Names of the input topics, and the lifecycle service's answer to what it cannot do."""

from typing import Any, NamedTuple

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from cope_ros.qos import override_names

IMAGE, INFO, COMPRESSED = "image_rect", "camera_info", "compressed"
# Topics of image_transport whose messages are sensor_msgs/CompressedImage.
COMPRESSED_DEPTH = "/compressedDepth"
COMPRESSED_ENDINGS = (f"/{COMPRESSED}", COMPRESSED_DEPTH)
DEPTH, DEPTH_INFO = "depth", "depth_camera_info"


class InputTopics(NamedTuple):
    """What the node subscribes to; resolved names."""

    image: str
    info: str
    compressed: bool  # the image's type: CompressedImage, else Image


def input_topics(node: Node, compressed: bool) -> InputTopics:
    """The topics of images and camera_info.

    ``camera_info`` is expected beside the image, where drivers put it, unless it is remapped.
    A compressed image lies under the raw one's name, unless it is remapped itself; the other way
    round, an image that is remapped to such a name is a compressed one.

    Args:
        compressed: as the parameter ``image_transport`` says.
    """
    image, below = node.resolve_topic_name(IMAGE), f"{IMAGE}/{COMPRESSED}"
    if compressed and _remapped(node, below):
        image = node.resolve_topic_name(below)
    elif compressed and not image.endswith(COMPRESSED_ENDINGS):
        image = f"{image}/{COMPRESSED}"
    base = image
    for ending in COMPRESSED_ENDINGS:
        base = base.removesuffix(ending)
    beside = f"{base.rpartition('/')[0]}/{INFO}"
    info = node.resolve_topic_name(INFO) if _remapped(node, INFO) else beside
    return InputTopics(image, info, compressed or base != image)


def qos_override_names(node: Node) -> set[str]:
    """Names of all parameters that override the QoS of the node's topics, in either transport."""
    inputs = {topic for compressed in (False, True) for topic in input_topics(node, compressed)[:2]}
    inputs |= {node.resolve_topic_name(topic) for topic in (DEPTH, DEPTH_INFO)}
    names = {name for topic in inputs for name in override_names(topic, "subscription")}
    return names | set(override_names(node.resolve_topic_name("~/detections"), "publisher"))


def _remapped(node: Node, topic: str) -> bool:
    return node.resolve_topic_name(topic) != node.resolve_topic_name(topic, only_expand=True)


def answer_impossible_transitions(node: LifecycleNode) -> None:
    """Makes ``~/change_state`` answer "no" to a transition that the present state lacks.

    rclpy raises an error there, which would end the node and leave the caller without answer.
    """
    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = _refusing(service.callback)


def _refusing(change_state: Any) -> Any:
    def answer(request: ChangeState.Request, response: ChangeState.Response) -> Any:
        try:
            return change_state(request, response)
        except RuntimeError:  # rclpy's RCLError; rcl has logged the transition and the state
            response.success = False
            return response

    return answer
