"""The lifecycle node: subscribes, calls the estimator, publishes; no mathematics.

Executor thread: callbacks, short but for loading a model; worker thread: estimates, publishes.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cope_ros.main import main

if __name__ == "__main__":  # before the imports below, which take seconds
    sys.exit(main())

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from cope_ros import overrides, startup
from cope_ros import parameter_access as access
from cope_ros.control import Control
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.diagnostics.console import ready
from cope_ros.diagnostics.counters import FrameCounters
from cope_ros.diagnostics.depth_counters import DepthCounters
from cope_ros.diagnostics.measurements import Monitor
from cope_ros.diagnostics.notices import Notices
from cope_ros.diagnostics.snapshot import Model
from cope_ros.diagnostics.status import Diagnostics, Sources
from cope_ros.input import topics
from cope_ros.input.mailbox import Mailbox
from cope_ros.input.subscriptions import Inputs
from cope_ros.model_threshold import ModelThreshold
from cope_ros.output.publishers import Outputs
from cope_ros.parameters import ParameterError
from cope_ros.pipeline import Processor, Tools
from cope_ros.services import Services
from cope_ros.tracking import Tracker
from cope_ros.transitions import told
from cope_ros.worker import Worker

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class CopeNode(LifecycleNode):
    """Camera image and intrinsics in, 6D poses of all known objects out."""

    def __init__(
        self,
        load: startup.LoadEstimator = Estimator.load,
        files: Sequence[Path] = (),
        **options: Any,
    ) -> None:
        """Declares the parameters; nothing is loaded before ``configure``.

        Args:
            load: makes the estimator, with the signature of ``Estimator.load``.
            files: the parameter files of the command line, which rclpy has read.
            options: of ``rclpy.node.Node``.

        Raises:
            CopeError, rclpy.exceptions.ParameterException: a parameter or a file is refused.
        """
        super().__init__("cope", **options)
        shared = overrides.shared_names(files, self.get_fully_qualified_name())
        self._load = load
        self._tracker = Tracker()
        self.lifecycle = "unconfigured"  # later inactive, active or finalized
        self._estimator: Any = None
        self.outputs: Outputs | None = None
        self._worker: Worker | None = None
        self._inputs: Inputs | None = None
        self.fault: BaseException | None = None  # what ended the worker, if anything did
        self.counters = FrameCounters(self.get_logger().warning)
        self.depth_counters = DepthCounters(self.get_logger().warning)
        self.notices = Notices(self.get_logger().warning, self.get_logger().info)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        access.declare(self, topics.qos_override_names(self), shared)
        self.parameters = access.read(self)
        self.add_post_set_parameters_callback(self._on_parameters_set)
        self._threshold = ModelThreshold(self)
        self._control = Control(lambda: self.parameters.mode)
        Services(self, self._control, lambda: self.lifecycle, lambda: self.parameters.mode)
        self.monitor = Monitor()
        Diagnostics(self, self._sources())
        topics.answer_impossible_transitions(self)

    def start(self) -> bool:
        """Configures and activates; false where either failed, with the reason logged."""
        return self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS

    @told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the model and creates the outputs."""
        try:
            warn = self.get_logger().warning
            self._estimator = startup.load_estimator(self.parameters, self._load, warn)
            where = startup.model_path(self.parameters.model).absolute()
            target = self.parameters.target_frame
            self.outputs = Outputs(self, self._estimator.catalogue, where, target)
        except (ParameterError, RuntimeError) as error:  # RuntimeError: a refused QoS override
            self.get_logger().fatal(str(error))
            self._release()
            return FAILURE
        self._threshold.adopt(self._estimator.metadata)
        self._tracker.prepare(self._estimator.catalogue)
        self.outputs.publish_vision_info(self._estimator.metadata, str(where))
        self.lifecycle = "inactive"
        return super().on_configure(state)

    @told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts the worker and subscribes."""
        matcher = startup.depth_matcher(self._estimator, lambda: self.parameters, self.notices)
        mailbox = Mailbox(
            self.counters.count_dropped,
            lambda: self.parameters.sync_policy,
            depth=matcher,
            any_frame=lambda: self.parameters.sync_any_frame_id,
        )
        try:
            depth = self.depth_counters if matcher is not None else None
            self._inputs = Inputs(
                self, lambda: self.parameters, mailbox, self._control, self.counters, depth
            )
        except RuntimeError as error:  # a refused QoS override
            self.get_logger().fatal(str(error))
            self.halt()
            return FAILURE
        assert self.outputs is not None
        self.get_logger().info(self._ready(self._inputs.names))
        tools = Tools(
            clock=self.get_clock(),
            outputs=self.outputs,
            counters=self.counters,
            depth=self.depth_counters,
            control=self._control,
            monitor=self.monitor,
            notices=self.notices,
            image_topic=self._inputs.image_topic,
            tracker=self._tracker,
            parameters=lambda: self.parameters,
        )
        process = Processor(self._estimator, tools)
        self._worker = Worker(mailbox, process, self._period, self._on_fault)
        self.lifecycle = "active"
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribes and stops the worker; the model stays loaded."""
        self.halt()
        self.lifecycle = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Drops the model and the outputs."""
        self._release()
        self.lifecycle = "unconfigured"
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state: as deactivate and cleanup."""
        self.stop()
        self.lifecycle = "finalized"
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition failed half-way: back to unconfigured."""
        self.stop()
        self.lifecycle = "unconfigured"
        return super().on_error(state)

    def stop(self) -> None:
        """Stops the worker and frees everything; safe in every state."""
        self.halt()
        self._release()

    def halt(self) -> None:
        """Unsubscribes and stops the worker; safe in every state."""
        if self._inputs is not None:
            self._inputs.destroy()
            self._inputs = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        if self.outputs is not None:
            self.outputs.views.clear()
        self._control.forget_trigger()
        self.monitor.clear()
        self.notices.clear()
        self._tracker.reset()

    def _release(self) -> None:
        if self.outputs is not None:
            self.outputs.destroy()
            self.outputs = None
        self._estimator = None
        startup.free_memory()

    def _model(self) -> Model | None:
        return self._estimator and startup.describe(self._estimator, self.parameters)

    def _ready(self, inputs: str) -> str:
        model = startup.describe(self._estimator, self.parameters)
        classes = self.parameters.class_ids or self._estimator.catalogue.class_ids
        return ready(model, classes, inputs, self.resolve_topic_name("~/detections"))

    def _sources(self) -> Sources:
        """What the diagnostics are made from."""
        return Sources(
            counters=self.counters,
            depth=self.depth_counters,
            control=self._control,
            monitor=self.monitor,
            notices=self.notices,
            parameters=lambda: self.parameters,
            lifecycle=lambda: self.lifecycle,
            subscriptions=lambda: self._inputs.subscriptions if self._inputs else (),
            subscribers=lambda: self.outputs.subscribers() if self.outputs else {},
            model=self._model,
        )

    def _period(self) -> float:
        return 1.0 / self.parameters.max_rate if self.parameters.max_rate > 0 else 0.0

    def _on_fault(self, error: BaseException) -> None:
        """The worker ended by an error nobody foresaw: end the process, loudly."""
        if isinstance(error, RuntimeError) and not self.context.ok():
            return  # told to stop while it published a frame
        self.fault = error
        self.get_logger().fatal(f"the worker thread failed: {error!r}")
        rclpy.try_shutdown(context=self.context)

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """What the services call: refusals are told in words that name the parameter."""
        reason = access.unknown(self, parameter_list)
        reason = reason or startup.refusal(self, access.converted(parameter_list), self._estimator)
        return (
            access.answer(reason) if reason else super().set_parameters_atomically(parameter_list)
        )

    def _on_set_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        return access.answer(startup.refusal(self, changed, self._estimator))

    def _on_parameters_set(self, _changed: list[Parameter]) -> None:
        self.parameters = access.read(self)
