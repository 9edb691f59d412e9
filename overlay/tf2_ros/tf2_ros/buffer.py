"""tf2's buffer with the interface of ROS 2's tf2_ros: who lay where, over the last seconds."""

from __future__ import annotations

import threading
import time as clock
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time

from tf2_ros.exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_ros.history import LATEST, History, Sample, conjugate, multiply, rotate

CACHE = 10.0  # s, tf2's default
POLL = 0.005  # s between two looks while waiting
UNIT = 1e-3  # how far a quaternion's norm may be from 1
Pose = tuple[np.ndarray, np.ndarray]  # translation (3,), unit quaternion (4,)


class Buffer:
    """Keeps transforms and chains them. Thread-safe: one thread fills while another waits."""

    def __init__(self, cache_time: Duration | None = None, node: Any = None) -> None:
        """``node`` is upstream's, for a service that this one has not."""
        self._span = Duration(seconds=CACHE).nanoseconds if cache_time is None else (
            cache_time.nanoseconds
        )  # fmt: skip
        self._lock = threading.RLock()
        self._frames: dict[str, History] = {}

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Takes a transform that holds at its stamp.

        Raises:
            InvalidArgumentException: it has no frames, joins one to itself or is no rigid motion.
        """
        self._set(transform, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Takes a transform that holds at every time; raises as ``set_transform``."""
        self._set(transform, static=True)

    def clear(self) -> None:
        """Forgets all but the static transforms."""
        with self._lock:
            self._frames = {name: h for name, h in self._frames.items() if h.static}

    def can_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration | None = None
    ) -> bool:
        """Whether ``lookup_transform`` would give it, now or within ``timeout``."""
        deadline = clock.monotonic() + (0.0 if timeout is None else timeout.nanoseconds / 1e9)
        while True:
            try:
                self._chain(target_frame, source_frame, time.nanoseconds)
                return True
            except TransformException:
                if clock.monotonic() >= deadline:
                    return False
            clock.sleep(POLL)

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration | None = None
    ) -> TransformStamped:
        """What maps coordinates of ``source_frame`` to ``target_frame`` at ``time``.

        Args:
            time: of zero: the newest that all parts of the way have in common.
            timeout: waits so long for it.

        Raises:
            LookupException, ConnectivityException, ExtrapolationException: it cannot be given.
        """
        if timeout is not None:
            self.can_transform(target_frame, source_frame, time, timeout)
        (translation, rotation), when = self._chain(target_frame, source_frame, time.nanoseconds)
        found = TransformStamped(child_frame_id=source_frame)
        found.header.frame_id = target_frame
        found.header.stamp = Time(nanoseconds=when).to_msg()
        to, turn = found.transform.translation, found.transform.rotation
        to.x, to.y, to.z = translation.tolist()
        turn.x, turn.y, turn.z, turn.w = rotation.tolist()
        return found

    def _set(self, message: TransformStamped, static: bool) -> None:
        parent, child = message.header.frame_id.lstrip("/"), message.child_frame_id.lstrip("/")
        move, turn = message.transform.translation, message.transform.rotation
        translation = np.array([move.x, move.y, move.z])
        rotation = np.array([turn.x, turn.y, turn.z, turn.w])
        norm = float(np.linalg.norm(rotation))
        if not parent or not child or parent == child:
            raise InvalidArgumentException(f"expected two frames, got '{parent}' and '{child}'")
        if not np.isfinite(translation).all() or not abs(norm - 1) < UNIT:
            raise InvalidArgumentException(f"'{child}': expected finite numbers, a unit quaternion")
        stamp = Time.from_msg(message.header.stamp).nanoseconds
        with self._lock:
            history = self._frames.get(child)
            if history is None or history.static != static:
                history = self._frames[child] = History(self._span, static)
            history.insert(Sample(stamp, parent, translation, rotation / norm))

    def _chain(self, target: str, source: str, time: int) -> tuple[Pose, int]:
        """The pose of ``source`` in ``target`` and its time."""
        with self._lock:
            for name in (target, source):
                self._check(name)
            if time == LATEST:
                time = self._latest_common(target, source)
            up, above = self._ways(source, time)
            down, below = self._ways(target, time)
            meeting = next((name for name in up if name in down), None)
            if meeting is not None:  # what is not known above it does not matter
                return _relative(down[meeting], up[meeting]), time
            apart = ConnectivityException(
                f"Could not find a connection between '{target}' and '{source}' because they are "
                "not part of the same tree"
            )
            raise above or below or apart

    def _ways(self, frame: str, time: int) -> tuple[dict[str, Pose], TransformException | None]:
        """The pose of ``frame`` in itself and its ancestors, nearest first, and what ended them."""
        pose: Pose = (np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))
        found, here = {frame: pose}, frame
        while here in self._frames:
            try:
                step = self._frames[here].at(time, here)
            except ExtrapolationException as error:
                return found, error
            if step.parent in found:
                circle = f"the frames go round in a circle at '{step.parent}'"
                return found, ConnectivityException(circle)
            pose = (
                rotate(step.rotation, pose[0]) + step.translation,
                multiply(step.rotation, pose[1]),
            )
            here = step.parent
            found[here] = pose
        return found, None

    def _latest_common(self, target: str, source: str) -> int:
        """The newest time that all moving parts of the way have; zero if nothing moves."""
        up, down = self._path(source), self._path(target)
        common = next((name for name in up if name in down), None)
        way = [*up[: up.index(common)], *down[: down.index(common)]] if common else [*up, *down]
        moving = [self._frames[n] for n in way if n in self._frames and not self._frames[n].static]
        return min((history.newest.time for history in moving), default=LATEST)

    def _path(self, frame: str) -> list[str]:
        found = [frame]
        while frame in self._frames:
            frame = self._frames[frame].newest.parent
            if frame in found:
                break
            found.append(frame)
        return found

    def _check(self, name: str) -> None:
        if not name or name.startswith("/"):
            raise InvalidArgumentException(f"'{name}' is not a frame's name")
        if name not in self._frames and all(
            history.newest.parent != name for history in self._frames.values()
        ):
            raise LookupException(f"'{name}' passed to lookupTransform does not exist.")


def _relative(a: Pose, b: Pose) -> Pose:
    """Pose ``b`` as seen from pose ``a``; both in the same frame."""
    back = conjugate(a[1])
    return rotate(back, b[0] - a[0]), multiply(back, b[1])
