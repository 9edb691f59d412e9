"""Lifecycle transitions that say why they failed."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def told(transition: Transition) -> Transition:
    """Logs what nobody foresaw in a transition: rclpy takes it for a failure without a word."""

    @wraps(transition)
    def telling(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            what = transition.__name__.removeprefix("on_")
            node.get_logger().fatal(f"{what} failed: {type(error).__name__}: {error}")
            raise

    return telling
