"""The camera of the soak: true frames at 30 Hz, and compressed ones at 2 Hz, until the end."""

import array
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demo.images import read_folder
from demo.publisher import image_message, info_message
from tools.soak import names

FRAMES = 30  # different images; repeated forwards and backwards
REPORT_PERIOD = 1.0  # s
Frame = tuple[Image, CompressedImage, CameraInfo]


def read_frames() -> list[Frame]:
    """The demo's first images as messages without stamps."""
    frames = []
    for item in read_folder(names.IMAGES)[:FRAMES]:
        pixels = item.read()
        image, info = image_message(pixels), info_message(item.K, pixels.shape)
        _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        compressed = CompressedImage(format="jpeg", data=array.array("B", data.tobytes()))
        for message in (image, compressed, info):
            message.header.frame_id = names.GOOD_FRAME
        frames.append((image, compressed, info))
    return frames + frames[-2:0:-1]


class Camera(Node):
    """Publishes frames with exactly stamped camera_info for both nodes."""

    def __init__(self) -> None:
        super().__init__("soak_camera")
        self._frames = read_frames()
        self._sent = 0
        kinds = {names.RAW: Image, names.COMPRESSED: CompressedImage}
        self._outputs = {
            namespace: (
                self.create_publisher(kind, names.image_topic(namespace), QoSProfile(depth=2)),
                self.create_publisher(CameraInfo, names.info_topic(namespace), QoSProfile(depth=5)),
            )
            for namespace, kind in kinds.items()
        }

    def play(self, counts: Path, stopped: list[int]) -> None:
        """Publishes until ``stopped`` holds something; notes frames and rate in ``counts``."""
        started = due = reported = time.monotonic()
        every = round(names.RATE / names.COMPRESSED_RATE)
        while not stopped:
            image, compressed, info = self._frames[self._sent % len(self._frames)]
            self._publish(names.RAW, image, info)
            if self._sent % every == 0:
                self._publish(names.COMPRESSED, compressed, info)
            self._sent += 1
            now = time.monotonic()
            if now - reported > REPORT_PERIOD:
                reported = now
                names.write_counts(
                    counts, {"frames": self._sent, "rate_hz": self._sent / (now - started)}
                )
            # Behind by less than a second it catches up; drivers do not send a minute's frames.
            due = max(due + 1 / names.RATE, now - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))

    def _publish(self, namespace: str, image: Any, info: CameraInfo) -> None:
        images, infos = self._outputs[namespace]
        image.header.stamp = info.header.stamp = self.get_clock().now().to_msg()
        infos.publish(info)
        images.publish(image)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until SIGINT or SIGTERM; the one argument is the file for the counts."""
    (counts,) = sys.argv[1:] if argv is None else argv
    stopped: list[int] = []
    rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: stopped.append(number))
    camera = Camera()
    camera.play(Path(counts), stopped)
    camera.destroy_node()
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
