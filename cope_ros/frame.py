"""One camera's frames without ROS: pixels rectified, instances estimated and numbered.

What the node does between the arrival of a pair and the filling of messages, and what
``cope_bag`` does with each recorded image.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.intrinsics import Camera, Undistorter
from cope_ros.input.mailbox import check_size
from cope_ros.tracking import Tracker, TrackSettings


@dataclass(frozen=True)
class Instances:
    """What is published of one frame; N rows."""

    estimate: Any  # rows of class_index, score, R, t, covariance, ... (see ``core.runtime``)
    slots: np.ndarray  # (N,) int64, unique within a class
    ids: list[str]  # names of the TF frames


class FrameEstimator:
    """Rectifies, estimates and numbers the frames of one camera. Used by one thread."""

    def __init__(self, estimator: Any, tracker: Tracker) -> None:
        """``tracker`` must be prepared for the estimator's catalogue."""
        self._estimator = estimator
        self._tracker = tracker
        self._undistort = Undistorter()

    def rectify(self, pixels: np.ndarray, info: Any, camera: Camera) -> np.ndarray:
        """(H, W, 3) RGB as received -> pixels that follow ``camera.K`` alone.

        Args:
            info: the sensor_msgs/CameraInfo that ``camera`` was read from.

        Raises:
            FrameError: (cause SIZE) the pixels are not of the size that ``info`` describes.
        """
        check_size((pixels.shape[1], pixels.shape[0]), info)
        return self._undistort(pixels, camera)

    def estimate(self, image: np.ndarray, K: np.ndarray) -> Any:
        """All instances in a rectified image.

        Raises:
            FrameError: (cause ESTIMATE) the estimator refused or failed.
        """
        try:
            return self._estimator.estimate(image, K)
        except (CopeError, RuntimeError) as error:  # torch reports its failures as RuntimeError
            raise FrameError(Cause.ESTIMATE, f"estimator: {error}") from error

    def number(
        self, stamp: float, estimate: Any, limit: int, settings: TrackSettings, prefix: str
    ) -> Instances:
        """The rows to publish, at most ``limit``, with slots that stay with their objects.

        Args:
            stamp: s, of the image.
            prefix: of the names of the TF frames.
        """
        tracked = self._tracker.track(stamp, publishable(estimate, limit), settings)
        shown = tracked.slots >= 0
        kept, slots = select(tracked.estimate, shown), tracked.slots[shown]
        class_ids = self._estimator.catalogue.class_ids
        names = [class_ids[index] for index in kept.class_index.tolist()]
        rows = zip(names, slots.tolist(), strict=True)
        return Instances(kept, slots, [f"{prefix}{name}_{slot}" for name, slot in rows])


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
