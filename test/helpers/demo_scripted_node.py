"""A node for the demonstration's tests: answers each image with its ground truth.

It knows an image by its pixels, so that an image that arrives altered ends it, and answers an
image of a plain folder with an empty message.
"""

import argparse
import sys
import zlib
from pathlib import Path

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

from cope_ros.core.catalogue import Catalogue
from cope_training.evaluation.metrics import find_scenes, read_ground_truth
from demo.images import CameraImage, read_folder
from demo.record import DETECTIONS_TOPIC, IMAGE_TOPIC, INFO_TOPIC, PROBE_FRAME


class ScriptedNode(Node):
    """Publishes the true poses of every known image for which the intrinsics came too."""

    def __init__(self, folder: Path, camera: Path | None, catalogue: Catalogue) -> None:
        super().__init__("cope")
        images = read_folder(folder, camera)
        self._images = {zlib.crc32(item.read().tobytes()): item for item in images}
        self._catalogue = catalogue
        self._truth = read_ground_truth(find_scenes(folder)) if images[0].key else None
        self._K: dict[tuple[int, int], np.ndarray] = {}
        self._output = self.create_publisher(Detection3DArray, DETECTIONS_TOPIC, 1)
        self.create_subscription(CameraInfo, INFO_TOPIC, self._on_info, 10)
        self.create_subscription(Image, IMAGE_TOPIC, self._on_image, 10)

    def _on_info(self, info: CameraInfo) -> None:
        self._K[info.header.stamp.sec, info.header.stamp.nanosec] = np.reshape(info.k, (3, 3))

    def _on_image(self, image: Image) -> None:
        answer = Detection3DArray(header=image.header)
        if image.header.frame_id == PROBE_FRAME:
            self._output.publish(answer)
            return
        item = self._images[zlib.crc32(bytes(image.data))]
        K = self._K[image.header.stamp.sec, image.header.stamp.nanosec]
        assert np.array_equal(K, item.K)
        answer.detections = self._true_detections(item)
        self._output.publish(answer)

    def _true_detections(self, item: CameraImage) -> list[Detection3D]:
        if self._truth is None:
            return []
        images = zip(self._truth.scene_id, self._truth.im_id, strict=True)
        rows = [row for row, key in enumerate(images) if key == item.key]
        return [self._detection(row) for row in rows]

    def _detection(self, row: int) -> Detection3D:
        obj_id = int(self._truth.obj_id[row])
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id = self._catalogue[self._catalogue.index_of(obj_id)].class_id
        result.hypothesis.score = 0.9
        position, rotation = result.pose.pose.position, result.pose.pose.orientation
        position.x, position.y, position.z = self._truth.t[row]
        rotation.x, rotation.y, rotation.z, rotation.w = quaternion(self._truth.R[row])
        return Detection3D(results=[result], id=f"{result.hypothesis.class_id}_0")


def quaternion(R: np.ndarray) -> np.ndarray:
    """Unit quaternion (x, y, z, w) of R: eigenvector of Bar-Itzhack's matrix."""
    xx, yx, zx, xy, yy, zy, xz, yz, zz = R.T.reshape(9)
    N = np.array(
        [
            [xx - yy - zz, 0, 0, 0],
            [yx + xy, yy - xx - zz, 0, 0],
            [zx + xz, zy + yz, zz - xx - yy, 0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    return np.linalg.eigh(N)[1][:, -1]


def main() -> int:
    """Runs until it is interrupted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--camera", type=Path)
    parser.add_argument("--models-info", type=Path, required=True)
    args = parser.parse_args()
    catalogue = Catalogue.from_models_info(args.models_info)
    rclpy.init(args=[])
    try:
        node = ScriptedNode(args.images, args.camera, catalogue)
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
