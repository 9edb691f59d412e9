"""The node's own services: enable, trigger and reset_tracks."""

from collections.abc import Callable

from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from cope_ros.control import ON_DEMAND, Control

ACTIVE = "active"


class Services:
    """Answers in every lifecycle state; only sets flags, so that a busy worker delays nobody."""

    def __init__(
        self,
        node: Node,
        control: Control,
        state: Callable[[], str],
        mode: Callable[[], str],
    ) -> None:
        """Creates the services.

        Args:
            state: the lifecycle state: unconfigured, inactive, active.
            mode: the parameter `mode`.
        """
        self._control = control
        self._state = state
        self._mode = mode
        node.create_service(SetBool, "~/enable", self._enable)
        node.create_service(Trigger, "~/trigger", self._trigger)
        node.create_service(Trigger, "~/reset_tracks", self._reset_tracks)

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._control.set_enabled(request.data)
        text = "enabled" if request.data else "disabled: images are dropped and counted"
        state = self._state()
        if state != ACTIVE:
            text += f"; takes effect once the node is active, it is {state}"
        response.success, response.message = True, text
        return response

    def _trigger(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        reason = self._reason_against_trigger()
        if reason is not None:
            response.success, response.message = False, reason
        elif self._control.trigger():
            response.success, response.message = True, "the next image will be processed"
        else:
            response.success = True
            response.message = "a trigger waits already: the next image will be processed, once"
        return response

    def _reason_against_trigger(self) -> str | None:
        if self._mode() != ON_DEMAND:
            return f"refused: mode is {self._mode()}, every image is processed; set on_demand"
        if not self._control.enabled:
            return "refused: the node is disabled; call ~/enable with true first"
        if self._state() != ACTIVE:
            return f"refused: the node is {self._state()}; activate it first"
        return None

    def _reset_tracks(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        self._control.request_reset()
        state = self._state()
        response.success = True
        response.message = (
            "every track is forgotten before the next frame"
            if state == ACTIVE
            else f"nothing is tracked: the node is {state}"
        )
        return response
