"""One paired frame in, one set of messages out: the worker's job."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from cv_bridge import CvBridge
from rclpy.clock import Clock
from sensor_msgs.msg import CompressedImage

from cope_ros import startup
from cope_ros.control import Control
from cope_ros.core.errors import CopeError
from cope_ros.diagnostics.counters import FrameCounters
from cope_ros.diagnostics.measurements import Monitor
from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.image_header import encoded_size
from cope_ros.input.intrinsics import Undistorter, camera_from_info
from cope_ros.input.mailbox import Pair, check_size
from cope_ros.output.messages import MessageWriter, rgb_from_image
from cope_ros.output.publishers import Outputs
from cope_ros.output.visualization import Scene
from cope_ros.parameters import Parameters
from cope_ros.tracking import Tracker

SECOND = 1_000_000_000  # ns


@dataclass(frozen=True)
class Tools:
    """What processing needs from the node."""

    clock: Clock
    outputs: Outputs
    counters: FrameCounters
    control: Control
    monitor: Monitor
    tracker: Tracker
    parameters: Callable[[], Parameters]  # the current ones


class Processor:
    """Calls the estimator on a frame and publishes what it says. Used by one thread."""

    def __init__(self, estimator: Any, tools: Tools) -> None:
        self._estimator = estimator
        self._tools = tools
        self._applied: Parameters | None = None  # so that the first frame applies them
        self._writer = MessageWriter(estimator.catalogue)
        self._bridge = CvBridge()
        self._undistort = Undistorter()

    def __call__(self, pair: Pair) -> None:
        """Processes a frame; whatever is wrong with it is counted and ends with it."""
        self._tools.counters.count_paired()
        self._tools.monitor.begin()
        try:
            with self._tools.control.turn():
                self._process(pair)
        except FrameError as error:
            self._tools.counters.count_dropped(error)
        else:
            self._tools.counters.count_processed()
        finally:
            self._tools.monitor.end()
        self._tools.tracker.settle()

    def _process(self, pair: Pair) -> None:
        parameters = self._tools.parameters()
        header = pair.image.header
        self._check_age(header, parameters)
        image, K = self._rectified(pair, parameters)
        monitor = self._tools.monitor
        monitor.mark("prepare")
        estimate = self._estimate(image, K, parameters)
        monitor.mark("estimate")
        estimate = publishable(estimate, parameters.max_instances)
        if self._tools.control.take_reset():
            self._tools.tracker.reset()
        stamp = header.stamp.sec + header.stamp.nanosec / SECOND
        tracked = self._tools.tracker.track(stamp, estimate, parameters.tracking)
        shown = tracked.slots >= 0
        estimate, slots = select(tracked.estimate, shown), tracked.slots[shown]
        class_ids = self._estimator.catalogue.class_ids
        names = [class_ids[index] for index in estimate.class_index.tolist()]
        ids = [
            f"{parameters.tf_prefix}{name}_{slot}"
            for name, slot in zip(names, slots.tolist(), strict=True)
        ]
        self._tools.control.check_enabled()
        detections = self._writer.detections(header, estimate, ids)
        transforms = self._writer.transforms(detections) if parameters.tf_enable else []
        monitor.mark("convert")
        self._tools.outputs.publish(transforms, detections)
        monitor.published(pair.arrived, len(ids))
        self._tools.outputs.views.show(Scene(header, image, K, estimate, slots))

    def _check_age(self, header: Any, parameters: Parameters) -> None:
        stamp = header.stamp.sec * SECOND + header.stamp.nanosec  # any int32, even negative
        age = (self._tools.clock.now().nanoseconds - stamp) / SECOND
        self._tools.monitor.age = age
        if 0 < parameters.max_age < age:
            text = f"image: expected an age of at most {parameters.max_age} s, got {age:.3f} s"
            raise FrameError(Cause.AGE, text)

    def _rectified(self, pair: Pair, parameters: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """The frame's pixels (H, W, 3) RGB, undistorted, and their K (3, 3)."""
        camera = camera_from_info(pair.info, parameters.image_is_rectified)
        K = camera.K
        self._tools.monitor.intrinsics = (K[0, 0], K[1, 1], K[0, 2], K[1, 2])
        if isinstance(pair.image, CompressedImage):  # before memory is reserved for its pixels
            check_size(encoded_size(pair.image.data), pair.info)
        image = rgb_from_image(self._bridge, pair.image)
        check_size((image.shape[1], image.shape[0]), pair.info)
        return self._undistort(image, camera), K

    def _estimate(self, image: np.ndarray, K: np.ndarray, parameters: Parameters) -> Any:
        try:
            if parameters is not self._applied:
                startup.configure(self._estimator, parameters)
                self._applied = parameters
            start = time.monotonic()
            estimate = self._estimator.estimate(image, K)
            self._tools.monitor.estimated(time.monotonic() - start)
            return estimate
        except (CopeError, RuntimeError) as error:  # torch reports its failures as RuntimeError
            raise FrameError(Cause.ESTIMATE, f"estimator: {error}") from error


def select(estimate: Any, rows: np.ndarray) -> Any:
    """The rows of an estimate that a mask or an index array names."""
    return replace(
        estimate, **{item.name: getattr(estimate, item.name)[rows] for item in fields(estimate)}
    )


def publishable(estimate: Any, limit: int) -> Any:
    """At most ``limit`` rows, without any that would put a non-finite number on a topic."""
    numbers = np.concatenate(
        [
            estimate.score[:, None],
            estimate.R.reshape(-1, 9),
            estimate.t,
            estimate.covariance.reshape(-1, 36),
        ],
        axis=1,
    )
    return select(estimate, np.flatnonzero(np.isfinite(numbers).all(axis=1))[:limit])
