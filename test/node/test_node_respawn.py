"""Processes of the node that are killed, respawned, and that share a name."""

import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import rclpy
from lifecycle_msgs.srv import GetState
from node_fakes import gray, make_image, make_info, milliseconds_of
from node_gauge import SIZE, save_gauge
from node_harness import Client
from rclpy.context import Context
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection3DArray

ROOT = Path(__file__).resolve().parents[2]
END = 60.0  # s
PERIOD = 0.2  # s between two images


@pytest.fixture
def spawn(tmp_path):
    """Starts `cope_node` processes, all of one name; ends those that are left."""
    save_gauge(tmp_path / "model.pt")
    processes = []

    def start():
        command = [sys.executable, "-m", "cope_ros.node", "--ros-args", "-p", "device:=cpu"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        processes.append(
            subprocess.Popen([*command, "-p", f"model:={tmp_path}"], cwd=ROOT, env=environment)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(END)


class Stream:
    """A camera that keeps publishing, and what comes back."""

    def __init__(self, context):
        self.client = Client("stream", context)
        node = self.client.node
        self._images = node.create_publisher(Image, "image_rect", 1)
        self._infos = node.create_publisher(CameraInfo, "camera_info", 1)
        self._stamps = itertools.count(1000, 200)  # ms
        self.answers = Counter()  # detection messages by stamp
        node.create_subscription(Detection3DArray, "/cope/detections", self._on_detections, 50)

    def _on_detections(self, message):
        assert len(message.detections) == 2
        self.answers[milliseconds_of(message.header.stamp)] += 1

    def until(self, answers, what):
        """Publishes until three new images in a row got so many answers each."""
        sent = []

        def settled():
            last = sent[-5:-2]  # the newest may still be on their way
            if len(last) == 3 and all(self.answers[stamp] == answers for stamp in last):
                return True
            stamp = next(self._stamps)
            self._infos.publish(make_info(SIZE, stamp))
            self._images.publish(make_image(gray(SIZE[1], SIZE[0]), stamp))
            sent.append(stamp)
            return False

        self.client.wait(settled, what, PERIOD)

    def state(self):
        request = GetState.Request()
        return self.client.calls.ask(GetState, "/cope/get_state", request).current_state.label


@pytest.fixture
def stream():
    context = Context()
    rclpy.init(context=context)
    made = Stream(context)
    yield made
    made.client.close()
    context.try_shutdown()


def test_twins_of_one_name_both_answer_and_survive_each_others_death(spawn, stream):
    first, second = spawn(), spawn()
    stream.until(2, "answers of both")
    assert stream.state() == "active"
    first.kill()
    assert first.wait(END) == -9
    stream.until(1, "answers of the one that is left")
    assert second.poll() is None
    spawn()  # as a launch file with use_respawn does
    stream.until(2, "answers of the respawned one too")
    second.kill()
    second.wait(END)
    stream.until(1, "answers of the respawned one alone")
    assert stream.state() == "active"
