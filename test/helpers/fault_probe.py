"""Whether a node is unharmed: it answers, publishes again, and published finite numbers alone."""

import itertools
import math
import time

from lifecycle_msgs.srv import GetState
from node_fakes import gray, make_image, make_info, milliseconds_of
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

ANSWER = 2.0  # s a service call may take, whatever goes on
RECOVERY = 15.0  # s after a fault until detections come again
RESEND = 0.2  # s; best effort may lose a message


class Probe:
    """Watches over the node of a rig, which must be connected."""

    def __init__(self, rig) -> None:
        self._rig = rig
        self._stamps = itertools.count(500_000_000)  # ms; far from those of the tests
        self._client = rig.service(GetState, "get_state")

    def answers(self) -> str:
        """The node's state, in time."""
        start = time.monotonic()
        future = self._client.call_async(GetState.Request())
        self._rig.wait(future.done, "get_state")
        assert time.monotonic() - start < ANSWER
        return future.result().current_state.label

    def publishes(self, stamp: int | None = None, **changes) -> Detection3DArray:
        """The detections of an image that is sent until they come."""
        stamp = next(self._stamps) if stamp is None else stamp
        deadline = time.monotonic() + RECOVERY
        before = len(self._rig.detections)
        while True:
            assert time.monotonic() < deadline, f"no detections for {RECOVERY} s"
            heard = len(self._rig.detections)  # one that is late must not end the waiting for good
            self._rig.send(make_image(gray(), stamp, **changes), make_info(stamp=stamp))
            self._listen(heard)
            found = [m for m in self._rig.detections[before:] if stamp_of(m) == stamp]
            if found:
                return found[0]

    def unharmed(self) -> None:
        """Asserts all of it."""
        assert self._rig.node.fault is None
        assert self.answers() == "active"
        assert self.publishes().detections
        assert all(map(math.isfinite, numbers(self._rig.detections, self._rig.transforms)))

    def _listen(self, heard: int) -> None:
        """Until there are more detections than ``heard``, or it is time to send again."""
        end = time.monotonic() + RESEND
        self._rig.wait(
            lambda: time.monotonic() > end or len(self._rig.detections) > heard, "detections"
        )


def stamp_of(message: Detection3DArray) -> int:
    """ms"""
    return milliseconds_of(message.header.stamp)


def numbers(detections: list[Detection3DArray], transforms: list[TFMessage]) -> list[float]:
    """Every floating-point number in the messages."""
    found: list[float] = []
    for detection in (item for message in detections for item in message.detections):
        result, box = detection.results[0], detection.bbox
        found += [result.hypothesis.score, *result.pose.covariance]
        for pose in (result.pose.pose, box.center):
            found += [pose.position.x, pose.position.y, pose.position.z]
            found += [getattr(pose.orientation, axis) for axis in "xyzw"]
        found += [box.size.x, box.size.y, box.size.z]
    for item in (item for message in transforms for item in message.transforms):
        move = item.transform
        found += [move.translation.x, move.translation.y, move.translation.z]
        found += [getattr(move.rotation, axis) for axis in "xyzw"]
    return found
