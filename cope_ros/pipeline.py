"""One paired frame in, one set of messages out: the worker's job."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from cv_bridge import CvBridge
from rclpy.clock import Clock
from std_msgs.msg import Header

from cope_ros import startup
from cope_ros.control import Control
from cope_ros.core.deployment.preprocessing import DepthImage
from cope_ros.core.errors import CopeError
from cope_ros.depth_parameters import REQUIRED
from cope_ros.diagnostics.counters import FrameCounters
from cope_ros.diagnostics.depth_counters import DepthCounters
from cope_ros.diagnostics.measurements import Monitor
from cope_ros.diagnostics.notices import Notices
from cope_ros.frame import FrameEstimator
from cope_ros.input.decoding import rgb_from_image, size_of
from cope_ros.input.depth_image import DepthError
from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.intrinsics import Camera, camera_from_info, unrectified_note
from cope_ros.input.mailbox import Pair
from cope_ros.output import ros_types
from cope_ros.output.messages import MessageWriter
from cope_ros.output.publishers import Outputs
from cope_ros.output.visualization import Scene
from cope_ros.parameters import Parameters
from cope_ros.tracking import FrameTime, Moment, Tracker

SECOND = 1_000_000_000  # ns
NEWS = 30.0  # s between two lines about new starts


@dataclass(frozen=True)
class Tools:
    """What processing needs from the node."""

    clock: Clock
    outputs: Outputs
    counters: FrameCounters
    control: Control
    monitor: Monitor
    notices: Notices
    image_topic: str
    tracker: Tracker
    parameters: Callable[[], Parameters]  # the current ones
    depth: DepthCounters


class Processor:
    """Calls the estimator on a frame and publishes what it says. Used by one thread."""

    def __init__(self, estimator: Any, tools: Tools) -> None:
        self._estimator = estimator
        self._tools = tools
        self._applied: Parameters | None = None  # so that the first frame applies them
        self._frames = FrameEstimator(estimator, tools.tracker)
        self._writer = MessageWriter(estimator.catalogue, ros_types)
        self._bridge = CvBridge()

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
        header = self._header(pair.image.header)
        self._check_age(header, parameters)
        image, camera = self._rectified(pair, parameters)
        depth = self._depth(pair, camera, parameters)
        monitor = self._tools.monitor
        monitor.mark("prepare")
        estimate = self._estimate(image, camera.K, depth, parameters)
        monitor.mark("estimate")
        if self._tools.control.take_reset():
            self._tools.tracker.reset()
        taken = FrameTime(header.stamp.sec + header.stamp.nanosec / SECOND, pair.arrived)
        found = self._frames.number(
            taken, estimate, parameters.max_instances, parameters.tracking, parameters.tf_prefix
        )
        self._tell_impossible(found.impossible)
        self._tell_time(found.moment)
        self._tell_frame(pair.image.header.frame_id, parameters)
        if depth is not None:
            self._tools.depth.count_instances(found.estimate.depth_share)
        self._tools.control.check_enabled()
        outputs = self._tools.outputs
        if parameters.tf_enable:  # in the camera's frame: they do not wait for the other
            outputs.send_transforms(self._writer.transforms(header, found.estimate, found.ids))
        placed = outputs.place(header, found.estimate, parameters.target_frame_timeout)
        detections = self._writer.detections(placed.header, placed.estimate, found.ids)
        monitor.mark("convert")
        outputs.publish(detections)
        monitor.published(pair.arrived, len(found.ids))
        outputs.views.show(Scene(header, image, camera.K, found.estimate, found.slots, placed))

    def _tell_impossible(self, count: int) -> None:
        text = (
            "instances left out: nearer to the camera than their own radius, or not finite; "
            "compare camera_info with the camera"
        )
        self._tools.notices.hold("inference", {"impossible": text} if count else {})

    def _tell_time(self, moment: Moment) -> None:
        text = (
            "stamps of the images do not advance from frame to frame: ids follow the images' "
            "arrival; TF and whoever pairs by stamp need a driver that sets header.stamp"
        )
        self._tools.notices.hold("age", {"stamps": text} if moment.by_arrival else {})
        if moment.anew:
            text = f"{moment.anew}: tracks and their numbers start anew"
            self._tools.notices.warn("anew", text, every=NEWS)

    def _header(self, header: Any) -> Any:
        """The image's header as tf2 takes it: names of frames begin with no slash any more."""
        name = header.frame_id.lstrip("/")
        return header if name == header.frame_id else Header(stamp=header.stamp, frame_id=name)

    def _tell_frame(self, given: str, parameters: Parameters) -> None:
        none = (
            "images have no frame_id, so that no TF frames are sent and nobody can place the "
            "detections: set it in the camera's driver"
        )
        slash = "frame_id '{}' of the images begins with a slash, which tf2 refuses: left out"
        facts = {}
        if parameters.tf_enable and not given.strip("/"):
            facts["frame_id"] = none
        elif given.startswith("/"):
            facts["slash"] = slash.format(given[:80])
        self._tools.notices.hold("output", facts)

    def _check_age(self, header: Any, parameters: Parameters) -> None:
        stamp = header.stamp.sec * SECOND + header.stamp.nanosec  # any int32, even negative
        age = (self._tools.clock.now().nanoseconds - stamp) / SECOND
        self._tools.monitor.age = age
        if 0 < parameters.max_age < age:
            text = f"image: expected an age of at most {parameters.max_age} s, got {age:.3f} s"
            raise FrameError(Cause.AGE, text)

    def _rectified(self, pair: Pair, parameters: Parameters) -> tuple[np.ndarray, Camera]:
        """The frame's pixels (H, W, 3) RGB, undistorted, and the camera they came from."""
        size = size_of(pair.image)  # before memory is reserved for its pixels
        camera = camera_from_info(pair.info, parameters.image_is_rectified, size)
        self._note(camera, pair.info, parameters)
        K = camera.K
        self._tools.monitor.intrinsics = (K[0, 0], K[1, 1], K[0, 2], K[1, 2])
        pixels = rgb_from_image(self._bridge, pair.image, parameters.image_encoding)
        return self._frames.rectify(pixels, camera), camera

    def _depth(self, pair: Pair, camera: Camera, parameters: Parameters) -> DepthImage | None:
        """The frame's depth, None where there is none that could be used."""
        if pair.depth is None:
            return None
        try:
            if isinstance(pair.depth, DepthError):
                raise pair.depth
            found = self._frames.depth(pair.depth, camera, parameters.image_is_rectified)
        except DepthError as error:
            self._tools.depth.count_fault(error)
            if parameters.depth_mode == REQUIRED:
                raise FrameError(Cause.DEPTH, str(error)) from error
            return None
        self._tools.depth.count_matched()
        return found

    def _note(self, camera: Camera, info: Any, parameters: Parameters) -> None:
        notes = {note.key: note.text for note in camera.notes}
        if parameters.image_is_rectified:
            note = unrectified_note(info, self._tools.image_topic)
            notes |= {} if note is None else {note.key: note.text}
        self._tools.notices.hold("intrinsics", notes)

    def _estimate(
        self, image: np.ndarray, K: np.ndarray, depth: DepthImage | None, parameters: Parameters
    ) -> Any:
        if parameters is not self._applied:
            self._configure(parameters)
        start = time.monotonic()
        estimate = self._frames.estimate(image, K, depth)
        self._tools.monitor.estimated(time.monotonic() - start)
        return estimate

    def _configure(self, parameters: Parameters) -> None:
        try:
            startup.configure(self._estimator, parameters)
        except (CopeError, RuntimeError) as error:  # torch reports its failures as RuntimeError
            raise FrameError(Cause.ESTIMATE, f"estimator: {error}") from error
        self._applied = parameters
