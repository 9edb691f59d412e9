"""The parameter ``score_threshold`` where nobody has set it: the model file's own."""

from collections.abc import Mapping
from typing import Any

from rclpy.node import Node
from rclpy.parameter import Parameter

NAME = "score_threshold"


class ModelThreshold:
    """Sets the parameter to what a loaded model's file says, until a user sets it.

    Args:
        node: has declared its parameters.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._given = NAME in node._parameter_overrides  # rclpy has no public list of them
        node.add_post_set_parameters_callback(self._note)

    def adopt(self, metadata: Mapping[str, Any]) -> None:
        """Takes the threshold of a model that has just been loaded."""
        if self._given or NAME not in metadata:
            return
        self._node.set_parameters([Parameter(NAME, value=float(metadata[NAME]))])
        self._given = False

    def _note(self, changed: list[Parameter]) -> None:
        self._given |= any(parameter.name == NAME for parameter in changed)
