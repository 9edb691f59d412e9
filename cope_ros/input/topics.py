"""Names of the input topics, and the lifecycle service's answer to what it cannot do."""

from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from cope_ros.qos import override_names

IMAGE, INFO, COMPRESSED = "image_rect", "camera_info", "compressed"


def input_topics(node: Node, compressed: bool) -> tuple[str, str]:
    """Names to subscribe to for images and camera_info.

    ``camera_info`` is expected beside the image, where drivers put it, unless it is remapped.
    A compressed image lies under the raw one's name, unless it is remapped itself.
    """
    image = node.resolve_topic_name(IMAGE)
    topic = image
    if compressed:
        below = f"{IMAGE}/{COMPRESSED}"
        topic = (
            node.resolve_topic_name(below) if _remapped(node, below) else f"{image}/{COMPRESSED}"
        )
        image = topic.removesuffix(f"/{COMPRESSED}")
    if _remapped(node, INFO):
        return topic, node.resolve_topic_name(INFO)
    return topic, f"{image.rpartition('/')[0]}/{INFO}"


def qos_override_names(node: Node) -> set[str]:
    """Names of all parameters that override the QoS of the node's topics, in either transport."""
    inputs = {topic for compressed in (False, True) for topic in input_topics(node, compressed)}
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
