"""Poses and covariances from the camera's frame into another one, by tf2's buffer."""

import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header
from tf2_ros import Buffer, TransformException, TransformListener

from cope_ros.input.depth_pairing import nanoseconds
from cope_ros.input.drops import Cause, FrameError
from cope_ros.output.markers import IMAGE_UP
from cope_ros.output.messages import pose_from_transform

POLL = 0.002  # s between two looks into the buffer
JUMP = 1.0  # s; images' stamps that go back further belong to a bag that began anew
HISTORY = 10.0  # s of transforms that are kept, tf2's default


class Placed(NamedTuple):
    """Instances in the frame in which they are published."""

    header: Header  # the image's stamp, the poses' frame
    estimate: Any  # rows of class_index, score, R, t, covariance
    up: np.ndarray  # (3,) unit vector, upwards in the image


def in_place(header: Header, estimate: Any) -> Placed:
    """Instances as they are, in the camera's frame."""
    return Placed(header, estimate, IMAGE_UP)


def transformed(estimate: Any, R: np.ndarray, t: np.ndarray) -> Any:
    """An estimate in another frame, p' = R p + t.

    The covariance (N, 6, 6) of position and rotation about fixed axes turns with the axes, both
    halves alike; what is uncertain about R and t themselves is not in it.
    """
    axes = np.kron(np.eye(2), R)
    return replace(
        estimate,
        R=R @ estimate.R,
        t=estimate.t @ R.T + t,
        covariance=axes @ estimate.covariance @ axes.T,
    )


class RestartingBuffer(Buffer):
    """A buffer whose time may begin anew.

    tf2's refuses what is older than the newest by more than its history. Of a bag that is played
    again, one late transform of the first time would have it refuse all those of the second.
    """

    def __init__(self) -> None:
        super().__init__(Duration(seconds=HISTORY))
        self._newest: dict[str, int] = {}  # stamps (ns) by child frame

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Takes a transform; forgets the moving ones first where it would be refused as too old."""
        child, stamp = transform.child_frame_id, nanoseconds(transform)
        if stamp < self._newest.get(child, stamp) - HISTORY * 1e9:
            self.clear()
            self._newest.clear()
        self._newest[child] = max(stamp, self._newest.get(child, stamp))
        super().set_transform(transform, authority)


class TargetFrame:
    """Listens to TF and moves estimates into one frame. Used by the worker alone."""

    def __init__(self, node: Node, name: str) -> None:
        """Subscribes to TF on ``node``, whose executor fills the buffer."""
        self._name = name
        self._buffer = RestartingBuffer()
        self._listener = TransformListener(self._buffer, node)
        self._newest = Time()  # stamp of the last image

    def destroy(self) -> None:
        """Ends the subscriptions."""
        self._listener.unregister()

    def place(self, header: Header, estimate: Any, timeout: float) -> Placed:
        """The estimate in the target frame at the image's stamp.

        Args:
            header: of the image.
            estimate: in the frame of ``header``.
            timeout: s, longest wait for a transform that has not come yet.

        Raises:
            FrameError: (cause TRANSFORM) it did not come.
        """
        R, t = self._lookup(header, timeout)
        placed = Header(stamp=header.stamp, frame_id=self._name)
        return Placed(placed, transformed(estimate, R, t), R @ IMAGE_UP)

    def _lookup(self, header: Header, timeout: float) -> tuple[np.ndarray, np.ndarray]:
        source = header.frame_id
        if source == self._name:
            return np.eye(3), np.zeros(3)
        if not source or header.stamp.sec < 0:
            reason = "the image has no frame_id" if not source else "its stamp is negative"
            raise FrameError(Cause.TRANSFORM, f"target_frame '{self._name}': {reason}")
        stamp = Time.from_msg(header.stamp)
        if (self._newest.nanoseconds - stamp.nanoseconds) / 1e9 > JUMP:
            self._buffer.clear()  # what it knows of these times may be another run's
        self._newest = stamp
        end = time.monotonic() + timeout
        while not self._buffer.can_transform(self._name, source, stamp):
            if time.monotonic() >= end:
                break
            time.sleep(POLL)
        try:
            found = self._buffer.lookup_transform(self._name, source, stamp)
        except TransformException as error:
            raise FrameError(
                Cause.TRANSFORM,
                f"target_frame '{self._name}': no transform from '{source}' at the image's stamp "
                f"within {timeout:g} s: {error}",
            ) from error
        return pose_from_transform(found.transform)
