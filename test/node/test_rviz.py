"""`cope_rviz`: becomes rviz2 with the camera's frame; a script stands in for rviz2."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import rclpy
from node_harness import Client
from rclpy.context import Context
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo

ROOT = Path(__file__).resolve().parents[2]
END = 60.0  # s
ARGUMENTS = ["-d", "cope.rviz", "--ros-args", "-r", "image_rect:=/cam/image_raw"]


@pytest.fixture
def prefix(tmp_path):
    """An installation with an rviz2 that notes its arguments."""
    marker = tmp_path / "share/ament_index/resource_index/packages/rviz2"
    program = tmp_path / "lib/rviz2/rviz2"
    for file in (marker, program):
        file.parent.mkdir(parents=True)
    marker.touch()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n')
    program.chmod(0o755)
    return tmp_path


def start(prefix):
    paths = f"{prefix}:{os.environ['AMENT_PREFIX_PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "cope_ros.rviz", *ARGUMENTS],
        cwd=ROOT,
        env={**os.environ, "AMENT_PREFIX_PATH": paths},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def client():
    context = Context()
    rclpy.init(context=context)
    made = Client("camera", context)
    yield made
    made.close()
    context.try_shutdown()


@pytest.mark.parametrize("latched", [False, True])
def test_rviz_gets_the_frame_of_the_first_camera_info(prefix, client, latched):
    qos = QoSProfile(depth=1)
    if latched:
        qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
    publisher = client.node.create_publisher(CameraInfo, "/cam/camera_info", qos)
    info = CameraInfo()
    info.header.frame_id = "/left_optical"
    publisher.publish(info)
    process = start(prefix)

    def ended():
        if not latched:
            publisher.publish(info)
        return process.poll() is not None

    client.wait(ended, "rviz2", period=0.1, patience=END)
    assert process.returncode == 0
    written = (prefix / "arguments").read_text().split("\n")[:-1]
    assert written == ["-f", "left_optical", *ARGUMENTS]


def test_until_a_camera_info_comes_it_says_what_it_waits_for_and_can_be_stopped(prefix):
    process = start(prefix)
    assert "RViz opens with the first camera_info on /cam/camera_info" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(END) == 0
    assert not (prefix / "arguments").exists()
