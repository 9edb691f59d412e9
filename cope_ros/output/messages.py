"""Arrays -> messages: detections and transforms.

Quaternions (x, y, z, w) exist in this module alone; everything inside is rotation matrices.
Knows no ROS: the message classes come from outside, rclpy's or those of a bag's library.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from cope_ros.core.catalogue import Catalogue


def quaternions_from_matrices(R: np.ndarray) -> np.ndarray:
    """(N, 3, 3) rotations -> (N, 4) unit quaternions (x, y, z, w) with w >= 0.

    The symmetric matrix 4 q q^T is linear in R; its row of the largest diagonal entry is q up
    to scale, without the cancellation that the trace formula suffers near half turns.
    """
    if len(R) == 0:
        return np.zeros((0, 4))
    xx, xy, xz, yx, yy, yz, zx, zy, zz = np.moveaxis(R.reshape(-1, 9).astype(float), 1, 0)
    outer = np.array(
        [
            [1 + xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, 1 - xx + yy - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, 1 - xx - yy + zz, yx - xy],
            [zy - yz, xz - zx, yx - xy, 1 + xx + yy + zz],
        ]
    )
    best = np.argmax(outer[range(4), range(4)], axis=0)
    q = outer[best, :, np.arange(len(R))]
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    return np.where(q[:, 3:] < 0, -q, q)


def pose_from_transform(transform: Any) -> tuple[np.ndarray, np.ndarray]:
    """A geometry_msgs/Transform as R (3, 3) and t (3,) m."""
    q, t = transform.rotation, transform.translation
    return Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), np.array([t.x, t.y, t.z])


class MessageWriter:
    """Fills detections and transforms; keeps its message objects and fills them again.

    Making the forty-odd nested objects of a detection anew takes ten times as long as setting
    their numbers. What a method returns is therefore valid until its next call.
    """

    def __init__(self, catalogue: Catalogue, types: Any) -> None:
        """``types`` has the message classes as attributes (``cope_ros.output.ros_types``)."""
        self._types = types
        self._names = catalogue.class_ids
        self._centers_obj = np.array([item.box_center for item in catalogue])
        self._sizes = [
            types.Vector3(x=x, y=y, z=z)
            for x, y, z in (item.box_size.tolist() for item in catalogue)
        ]
        self._detections: list[Any] = []
        self._transforms: list[Any] = []

    def detections(self, header: Any, estimate: Any, ids: Sequence[str]) -> Any:
        """The estimate as a Detection3DArray of one Detection3D per instance.

        Args:
            header: stamp and frame_id of the image.
            estimate: rows of ``class_index, score, R, t, covariance`` (see ``core.runtime``).
            ids: the TF child frame of each row.
        """
        classes = estimate.class_index
        centers = np.einsum("nij,nj->ni", estimate.R, self._centers_obj[classes]) + estimate.t
        rows = zip(
            ids,
            classes.tolist(),
            estimate.score.tolist(),
            quaternions_from_matrices(estimate.R).tolist(),
            estimate.t.tolist(),
            estimate.covariance.reshape(-1, 36).astype(np.float64),
            centers.tolist(),
            strict=True,
        )
        while len(self._detections) < len(ids):
            result = self._types.ObjectHypothesisWithPose()
            self._detections.append(self._types.Detection3D(results=[result]))
        detections = self._detections[: len(ids)]
        message = self._types.Detection3DArray(header=header, detections=detections)
        for detection, row in zip(message.detections, rows, strict=True):
            detection.header = header
            self._fill(detection, *row)
        return message

    def _fill(
        self,
        detection: Any,
        child: str,
        index: int,
        score: float,
        q: list[float],
        t: list[float],
        covariance: np.ndarray,
        center: list[float],
    ) -> None:
        detection.id = child
        result, box = detection.results[0], detection.bbox
        result.hypothesis.class_id = self._names[index]
        result.hypothesis.score = score
        result.pose.covariance = covariance
        _set_vector(result.pose.pose.position, t)
        orientation = result.pose.pose.orientation
        orientation.x, orientation.y, orientation.z, orientation.w = q
        _set_vector(box.center.position, center)
        box.center.orientation = orientation
        box.size = self._sizes[index]

    def transforms(self, header: Any, estimate: Any, ids: Sequence[str]) -> list[Any]:
        """One TransformStamped per instance: parent the image's frame, child its id."""
        while len(self._transforms) < len(ids):
            self._transforms.append(self._types.TransformStamped())
        transforms = self._transforms[: len(ids)]
        turns = quaternions_from_matrices(estimate.R).tolist()
        rows = zip(transforms, ids, estimate.t.tolist(), turns, strict=True)
        for transform, child, t, q in rows:
            transform.header = header
            transform.child_frame_id = child
            _set_vector(transform.transform.translation, t)
            turn = transform.transform.rotation
            turn.x, turn.y, turn.z, turn.w = q
        return transforms


def _set_vector(message: Any, xyz: list[float]) -> None:
    message.x, message.y, message.z = xyz
