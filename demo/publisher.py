"""The camera: publishes the images of a folder with exactly stamped camera_info at 10 Hz."""

import argparse
import array
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from cope_ros.core.errors import CopeError
from demo.images import CameraImage, read_folder
from demo.record import IMAGE_TOPIC, INFO_TOPIC, PROBE_FRAME, RATE, Shot

FRAME_ID = "camera_optical_frame"
PROBE_PERIOD = 0.5  # s
SETTLE = 0.5  # s for the last probe to leave the node
QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)


class Camera(Node):
    """Publishes images and intrinsics as a camera driver with rectified output does."""

    def __init__(self) -> None:
        super().__init__("demo_camera")
        self._images = self.create_publisher(Image, IMAGE_TOPIC, QOS)
        self._infos = self.create_publisher(CameraInfo, INFO_TOPIC, QOS)

    def probe(self, first: CameraImage, ready: Path, seconds: float) -> bool:
        """Sends gray images until the listener has heard an answer; false if it never does."""
        pixels = np.full_like(first.read(), 128)
        image, info = image_message(pixels), info_message(first.K, pixels.shape)
        image.header.frame_id = info.header.frame_id = PROBE_FRAME
        deadline = time.monotonic() + seconds
        while not ready.exists():
            if time.monotonic() > deadline:
                return False
            if self._images.get_subscription_count() and self._infos.get_subscription_count():
                self._publish(image, info)
            time.sleep(PROBE_PERIOD)
        time.sleep(SETTLE)
        return True

    def play(self, images: Sequence[CameraImage], rate: float) -> list[Shot]:
        """Publishes each image once, decoding the next one while it waits for its time."""
        shots = []
        due = time.monotonic()
        for index, item in enumerate(images):
            pixels = item.read()
            image, info = image_message(pixels), info_message(item.K, pixels.shape)
            time.sleep(max(0.0, due - time.monotonic()))
            shots.append(Shot(index, self._publish(image, info)))
            due = max(due, time.monotonic() - 1 / rate) + 1 / rate
        return shots

    def _publish(self, image: Image, info: CameraInfo) -> int:
        stamp = self.get_clock().now()
        image.header.stamp = info.header.stamp = stamp.to_msg()
        self._infos.publish(info)
        self._images.publish(image)
        return int(stamp.nanoseconds)


def image_message(pixels: np.ndarray) -> Image:
    """Wraps (H, W, 3) uint8 RGB; the stamp is left to the caller."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="rgb8")
    message.header.frame_id = FRAME_ID
    message.step = pixels.shape[1] * 3
    # rclpy checks every element of bytes and lists, but takes an array as it is.
    message.data = array.array("B", pixels.tobytes())
    return message


def info_message(K: np.ndarray, shape: tuple[int, ...]) -> CameraInfo:
    """Intrinsics of a rectified image: K (3, 3) px, no distortion, P = [K | 0]."""
    message = CameraInfo(height=shape[0], width=shape[1], distortion_model="plumb_bob")
    message.header.frame_id = FRAME_ID
    message.d = [0.0] * 5
    message.k = K.reshape(-1)
    message.r = np.eye(3).reshape(-1)
    message.p = np.column_stack([K, np.zeros(3)]).reshape(-1)
    return message


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 when every image was published, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--camera", type=Path)
    parser.add_argument("--limit", type=int, required=True, help="images at most")
    parser.add_argument("--log", type=Path, required=True, help="stamps are written here")
    parser.add_argument("--ready", type=Path, required=True, help="made by the listener")
    parser.add_argument("--wait", type=float, required=True, help="s to wait for the node")
    args = parser.parse_args(argv)
    rclpy.init(args=[])
    camera = Camera()
    try:
        images = read_folder(args.images, args.camera)[: args.limit]
        if not camera.probe(images[0], args.ready, args.wait):
            raise CopeError(f"the node gave no answer within {args.wait:.0f} s")
        Shot.write_log(args.log, camera.play(images, RATE))
    except CopeError as error:
        print(f"camera: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    finally:
        camera.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
