"""Messages <-> arrays: images in, detections and transforms out.

Quaternions (x, y, z, w) exist in this module alone; everything inside is rotation matrices.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from cv_bridge import CvBridge
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseWithCovariance,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox3D,
    Detection3D,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

from cope_ros.core.catalogue import Catalogue
from cope_ros.intake import Cause, FrameError


def rgb_from_image(bridge: CvBridge, message: Image | CompressedImage) -> np.ndarray:
    """Decodes a compressed image, or a raw one that has passed ``intake.check_image``.

    Returns:
        (H, W, 3) uint8 RGB, contiguous; 16-bit images are scaled to full range.

    Raises:
        FrameError: (cause IMAGE) the data cannot be decoded.
    """
    try:
        if isinstance(message, CompressedImage):
            image = _decompress(bridge, message)
        else:
            image = bridge.imgmsg_to_cv2(message, desired_encoding="rgb8")
    except (TypeError, cv2.error) as error:  # CvBridgeError is a TypeError
        raise FrameError(Cause.IMAGE, f"image: cannot be decoded: {error}") from error
    return np.ascontiguousarray(image)


def _decompress(bridge: CvBridge, message: CompressedImage) -> np.ndarray:
    # cv_bridge takes any decoded image for BGR and trips over grey ones, hence passthrough.
    image = bridge.compressed_imgmsg_to_cv2(message, desired_encoding="passthrough")
    if image is None:
        text = f"image: expected jpeg or png data, got {len(message.data)} undecodable bytes"
        raise FrameError(Cause.IMAGE, text)
    code = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(image, code)


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


def detections_message(
    header: Header, estimate: Any, catalogue: Catalogue, ids: Sequence[str]
) -> Detection3DArray:
    """The estimate as one Detection3D per instance.

    Args:
        header: stamp and frame_id of the image.
        estimate: rows of ``class_index, score, R, t, covariance`` (see ``core.runtime``).
        catalogue: names, box centres and box sizes by class index.
        ids: the TF child frame of each row.
    """
    classes = estimate.class_index
    centers_obj = np.array([o.box_center for o in catalogue])[classes]
    centers = np.einsum("nij,nj->ni", estimate.R, centers_obj) + estimate.t
    sizes = [Vector3(x=s[0], y=s[1], z=s[2]) for s in (o.box_size.tolist() for o in catalogue)]
    names = catalogue.class_ids
    rows = zip(
        classes.tolist(),
        estimate.score.tolist(),
        quaternions_from_matrices(estimate.R).tolist(),
        estimate.t.tolist(),
        estimate.covariance.reshape(-1, 36).astype(np.float64),
        centers.tolist(),
        ids,
        strict=True,
    )
    message = Detection3DArray(header=header)
    for index, score, q, t, covariance, center, child in rows:
        orientation = Quaternion(x=q[0], y=q[1], z=q[2], w=q[3])
        position = Point(x=t[0], y=t[1], z=t[2])
        pose = PoseWithCovariance(pose=Pose(position=position, orientation=orientation))
        pose.covariance = covariance
        hypothesis = ObjectHypothesis(class_id=names[index], score=score)
        middle = Point(x=center[0], y=center[1], z=center[2])
        box = BoundingBox3D(
            center=Pose(position=middle, orientation=orientation), size=sizes[index]
        )
        results = [ObjectHypothesisWithPose(hypothesis=hypothesis, pose=pose)]
        message.detections.append(Detection3D(header=header, results=results, bbox=box, id=child))
    return message


def transforms_of(detections: Detection3DArray) -> list[TransformStamped]:
    """One transform per detection: parent the image's frame, child the detection's id."""
    transforms = []
    for detection in detections.detections:
        pose = detection.results[0].pose.pose
        at = pose.position
        transforms.append(
            TransformStamped(
                header=detections.header,
                child_frame_id=detection.id,
                transform=Transform(
                    translation=Vector3(x=at.x, y=at.y, z=at.z), rotation=pose.orientation
                ),
            )
        )
    return transforms
