"""Two cameras: two processes of the node in namespaces, each with its own poses and frames."""

import itertools
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import rclpy
from node_fakes import gray, make_image, make_info
from node_gauge import SIZE, save_gauge
from node_harness import Client
from rclpy.context import Context
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

ROOT = Path(__file__).resolve().parents[2]
END = 60.0  # s
# The gauge reports the focal length in thousandths as x.
FOCAL = {"left": 300.0, "right": 600.0}


@contextmanager
def node_process(side, model):
    """`cope_node` as a launch file starts it for one camera."""
    parameters = {"model": model, "device": "cpu", "tf.prefix": f"{side}_"}
    arguments = [item for key, value in parameters.items() for item in ("-p", f"{key}:={value}")]
    command = [sys.executable, "-m", "cope_ros.node", "--ros-args", "-r", f"__ns:=/{side}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, *arguments], cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(END) == 0


class Camera:
    """Publishes one side's images and collects its detections."""

    def __init__(self, client, side):
        self.side, self.client, self.detections = side, client, []
        self.frame = f"{side}_optical_frame"
        self.image = client.node.create_publisher(Image, f"/{side}/image_rect", 1)
        self.info = client.node.create_publisher(CameraInfo, f"/{side}/camera_info", 1)
        topic = f"/{side}/cope/detections"
        client.node.create_subscription(Detection3DArray, topic, self.detections.append, 10)

    def ready(self):
        publishers = (self.image, self.info)
        listening = all(item.get_subscription_count() > 0 for item in publishers)
        return listening and self.client.node.count_publishers(f"/{self.side}/cope/detections")

    def send(self, stamp):
        image, info = make_image(gray(SIZE[1], SIZE[0]), stamp), make_info(SIZE, stamp)
        info.k[0] = info.k[4] = info.p[0] = info.p[5] = FOCAL[self.side]
        for message in (info, image):
            message.header.frame_id = self.frame
        self.info.publish(info)
        self.image.publish(image)


@pytest.fixture
def client():
    context = Context()
    rclpy.init(context=context)
    made = Client("cameras", context)
    yield made
    made.close()
    context.try_shutdown()


def test_every_camera_gets_its_own_poses_and_frames(client, tmp_path):
    save_gauge(tmp_path / "model.pt")
    transforms = []
    client.node.create_subscription(TFMessage, "/tf", transforms.append, 50)
    cameras = [Camera(client, side) for side in FOCAL]
    with node_process("left", tmp_path), node_process("right", tmp_path):
        client.wait(lambda: all(camera.ready() for camera in cameras), "both nodes")
        stamps = itertools.count(1000, 200)  # ms

        def enough():
            stamp = next(stamps)
            for camera in cameras:
                camera.send(stamp)
            seen = {t.child_frame_id for message in transforms for t in message.transforms}
            return len(seen) >= 4 and all(len(camera.detections) >= 3 for camera in cameras)

        client.wait(enough, "poses of both cameras", period=0.2)
    for camera in cameras:
        for message in camera.detections:
            assert message.header.frame_id == camera.frame
            xs = [item.results[0].pose.pose.position.x for item in message.detections]
            assert xs == pytest.approx([FOCAL[camera.side] / 1000] * 2)
            ids = {item.id for item in message.detections}
            assert ids == {f"{camera.side}_carton_0", f"{camera.side}_cup_0"}
    frames = {(t.header.frame_id, t.child_frame_id) for m in transforms for t in m.transforms}
    assert frames == {
        (f"{side}_optical_frame", f"{side}_{name}_0")
        for side in FOCAL
        for name in ("carton", "cup")
    }
