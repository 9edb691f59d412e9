"""One camera's frames without ROS: pixels rectified, instances estimated and numbered.

What the node does between the arrival of a pair and the filling of messages, and what
``cope_bag`` does with each recorded image.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.preprocessing import DepthImage
from cope_ros.core.errors import CopeError
from cope_ros.input.compressed_depth import plain_depth
from cope_ros.input.depth_image import check_credible, depth_camera, meters
from cope_ros.input.depth_pairing import DepthPair
from cope_ros.input.distortion import Undistorter
from cope_ros.input.drops import Cause, FrameError
from cope_ros.input.intrinsics import Camera
from cope_ros.tracking import FrameTime, Moment, Tracker, TrackSettings


@dataclass(frozen=True)
class Instances:
    """What is published of one frame; N rows."""

    estimate: Any  # rows of class_index, score, R, t, covariance, ... (see ``core.runtime``)
    slots: np.ndarray  # (N,) int64, unique within a class
    ids: list[str]  # names of the TF frames
    moment: Moment  # when that was, and what was strange about it
    impossible: int = 0  # more that the estimator found, but nowhere a camera can see them


class FrameEstimator:
    """Rectifies, estimates and numbers the frames of one camera. Used by one thread."""

    def __init__(self, estimator: Any, tracker: Tracker) -> None:
        """``tracker`` must be prepared for the estimator's catalogue."""
        self._estimator = estimator
        self._tracker = tracker
        self._undistort = Undistorter()
        self._undistort_depth = Undistorter(cv2.INTER_NEAREST)
        self._limits = _Limits(estimator.catalogue)

    def rectify(self, pixels: np.ndarray, camera: Camera) -> np.ndarray:
        """(H, W, 3) RGB as received -> pixels that follow ``camera.K`` alone.

        Raises:
            FrameError: (cause SIZE) the pixels are not of the camera's size.
        """
        height, width = pixels.shape[:2]
        if (width, height) != camera.size:
            text = "image: expected {}x{} px as its header says, got {}x{} decoded"
            raise FrameError(Cause.SIZE, text.format(*camera.size, width, height))
        return self._undistort(pixels, camera)

    def depth(self, pair: DepthPair, color: Camera, rectified: bool) -> DepthImage:
        """A depth image in metres, rectified as its colour image is.

        Args:
            color: the colour camera, which the depth image is registered to.
            rectified: whether it is rectified already.

        Raises:
            DepthError: it cannot be decoded, its camera cannot be told, or its distances cannot
                be true.
        """
        plain = plain_depth(pair.image)
        camera = depth_camera(plain, pair.info, color, rectified)
        measured = meters(plain)
        check_credible(measured, plain.encoding)
        return DepthImage(self._undistort_depth(measured, camera), camera.K)

    def estimate(self, image: np.ndarray, K: np.ndarray, depth: DepthImage | None = None) -> Any:
        """All instances in a rectified image.

        Args:
            depth: of the same place and time, None for none.

        Raises:
            FrameError: (cause ESTIMATE) the estimator refused or failed.
        """
        try:
            if depth is None:
                return self._estimator.estimate(image, K)
            return self._estimator.estimate(image, K, depth)
        except (CopeError, RuntimeError) as error:  # torch reports its failures as RuntimeError
            raise FrameError(Cause.ESTIMATE, f"estimator: {error}") from error

    def number(
        self, taken: FrameTime, estimate: Any, limit: int, settings: TrackSettings, prefix: str
    ) -> Instances:
        """The rows to publish, at most ``limit``, with slots that stay with their objects.

        Args:
            taken: stamp and arrival of the image.
            prefix: of the names of the TF frames.
        """
        possible = self._limits.possible(estimate)
        rows = np.flatnonzero(possible)[:limit]
        moment = self._tracker.clock.moment(taken)
        if moment.anew:
            self._tracker.restart()
        tracked = self._tracker.track(moment.time, select(estimate, rows), settings)
        shown = tracked.slots >= 0
        kept, slots = select(tracked.estimate, shown), tracked.slots[shown]
        class_ids = self._estimator.catalogue.class_ids
        names = [class_ids[index] for index in kept.class_index.tolist()]
        ids = [f"{prefix}{name}_{slot}" for name, slot in zip(names, slots.tolist(), strict=True)]
        return Instances(kept, slots, ids, moment, len(possible) - int(possible.sum()))


def select(estimate: Any, rows: np.ndarray) -> Any:
    """The rows of an estimate that a mask or an index array names."""
    return replace(
        estimate, **{item.name: getattr(estimate, item.name)[rows] for item in fields(estimate)}
    )


class _Limits:
    """Which poses may be published: finite, and no nearer than the object's own radius."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._radius = np.array([item.diameter / 2 for item in catalogue])
        self._center = np.array([item.box_center for item in catalogue]).reshape(-1, 3)
        # Meshes whose origin lies apart from them may have it anywhere, even behind the camera.
        self._origin_inside = np.linalg.norm(self._center, axis=1) <= self._radius

    def possible(self, estimate: Any) -> np.ndarray:
        """(N,) bool; false where a camera inside the object or a non-finite number is claimed."""
        numbers = (estimate.score, estimate.R, estimate.t, estimate.covariance)
        finite = np.ones(len(estimate.score), dtype=bool)
        for part in numbers:
            finite &= np.isfinite(part).all(axis=tuple(range(1, part.ndim)))
        classes, origin_z = estimate.class_index, estimate.t[:, 2].astype(float)
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is out already
            towards = np.sum(estimate.R[:, 2].astype(float) * self._center[classes], axis=1)
            nearest = np.where(
                self._origin_inside[classes],
                np.minimum(origin_z, origin_z + towards),
                origin_z + towards,
            )
        return finite & (nearest >= self._radius[classes])
