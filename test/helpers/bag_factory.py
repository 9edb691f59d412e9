"""Bags after public drivers' naming, made of the bundled sequence; for tests of cope_bag."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

from cope_ros.bag import command

ROOT = Path(__file__).resolve().parents[2]
SCENE = ROOT / "models" / "demo" / "sequence" / "000001"
REALSENSE = "/camera/camera/color"  # realsense-ros 4: /<camera_namespace>/<camera_name>/color
IMAGE = f"{REALSENSE}/image_raw"
USB_CAM = "/usb_cam"
START = 1_700_000_000_000_000_000  # ns
PERIOD = 100_000_000  # ns


def intrinsics(index: int) -> np.ndarray:
    cameras = json.loads((SCENE / "scene_camera.json").read_text())
    return np.array(cameras[str(index)]["cam_K"]).reshape(3, 3)


class BagFactory:
    """Writes one bag; ROS 1 where the path ends in .bag."""

    def __init__(self, path: Path, storage: str = "mcap", compression: str = "") -> None:
        self.ros1 = path.suffix == ".bag"
        self.store = get_typestore(Stores.ROS1_NOETIC if self.ros1 else Stores.ROS2_JAZZY)
        if self.ros1:
            self.writer: Any = Writer1(path)
            if compression:
                self.writer.set_compression(Writer1.CompressionFormat[compression.upper()])
        else:
            plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
            self.writer = Writer2(path, version=9, storage_plugin=plugin)
            if compression:
                mode = CompressionMode[compression.upper()]
                self.writer.set_compression(mode, CompressionFormat.ZSTD)
        self.writer.open()
        self.connections: dict[str, Any] = {}

    def make(self, name: str, **values: Any) -> Any:
        return self.store.types[name](**values)

    def header(self, time: int, frame: str) -> Any:
        stamp = self.make("builtin_interfaces/msg/Time", sec=time // 10**9, nanosec=time % 10**9)
        extra = {"seq": 0} if self.ros1 else {}
        return self.make("std_msgs/msg/Header", stamp=stamp, frame_id=frame, **extra)

    def send(self, topic: str, msgtype: str, time: int, message: Any) -> None:
        if topic not in self.connections:
            self.connections[topic] = self.writer.add_connection(
                topic, msgtype, typestore=self.store
            )
        serialize = self.store.serialize_ros1 if self.ros1 else self.store.serialize_cdr
        self.writer.write(self.connections[topic], time, bytes(serialize(message, msgtype)))

    def image(self, topic: str, time: int, pixels: np.ndarray, frame: str = "optical") -> None:
        """Sends (H, W, 3) RGB."""
        message = self.make(
            "sensor_msgs/msg/Image",
            header=self.header(time, frame), height=pixels.shape[0], width=pixels.shape[1],
            encoding="rgb8", is_bigendian=0, step=3 * pixels.shape[1], data=pixels.reshape(-1),
        )  # fmt: skip
        self.send(topic, "sensor_msgs/msg/Image", time, message)

    def depth(self, topic: str, time: int, values: np.ndarray, frame: str = "optical") -> None:
        """Sends (H, W) uint16 mm or float32 m."""
        message = self.make(
            "sensor_msgs/msg/Image",
            header=self.header(time, frame), height=values.shape[0], width=values.shape[1],
            encoding="16UC1" if values.dtype == np.uint16 else "32FC1", is_bigendian=0,
            step=values[0].nbytes, data=values.reshape(-1).view(np.uint8),
        )  # fmt: skip
        self.send(topic, "sensor_msgs/msg/Image", time, message)

    def compressed_depth(self, topic: str, time: int, values: np.ndarray, frame: str) -> None:
        png = cv2.imencode(".png", values)[1].reshape(-1)
        message = self.make(
            "sensor_msgs/msg/CompressedImage",
            header=self.header(time, frame), format="16UC1; compressedDepth png",
            data=np.concatenate((np.zeros(12, np.uint8), png)),
        )  # fmt: skip
        self.send(topic, "sensor_msgs/msg/CompressedImage", time, message)

    def compressed(self, topic: str, time: int, pixels: np.ndarray, frame: str) -> None:
        data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].reshape(-1)
        message = self.make(
            "sensor_msgs/msg/CompressedImage",
            header=self.header(time, frame), format="rgb8; jpeg compressed bgr8", data=data,
        )  # fmt: skip
        self.send(topic, "sensor_msgs/msg/CompressedImage", time, message)

    def info(
        self, topic: str, time: int, K: np.ndarray, size: Sequence[int], frame: str = "optical",
        D: Sequence[float] = (0.0,) * 5,
    ) -> None:  # fmt: skip
        roi = self.make(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False,
        )  # fmt: skip
        letters = "DKRP" if self.ros1 else "dkrp"
        P = np.column_stack([K, np.zeros(3)])
        arrays = (np.array(D, float), K.reshape(-1), np.eye(3).reshape(-1), P.reshape(-1))
        message = self.make(
            "sensor_msgs/msg/CameraInfo",
            header=self.header(time, frame), width=size[0], height=size[1],
            distortion_model="plumb_bob", binning_x=0, binning_y=0, roi=roi,
            **dict(zip(letters, arrays, strict=True)),
        )  # fmt: skip
        self.send(topic, "sensor_msgs/msg/CameraInfo", time, message)

    def static_tf(self, time: int) -> None:
        types = SimpleNamespace(
            **{n: self.store.types[f"geometry_msgs/msg/{n}"] for n in ("Vector3", "Quaternion")}
        )
        transform = self.make(
            "geometry_msgs/msg/TransformStamped",
            header=self.header(time, "base_link"), child_frame_id="optical",
            transform=self.make(
                "geometry_msgs/msg/Transform",
                translation=types.Vector3(x=0.0, y=0.0, z=1.0),
                rotation=types.Quaternion(x=0.0, y=0.0, z=0.0, w=1.0),
            ),
        )  # fmt: skip
        name = "tf2_msgs/msg/TFMessage"
        if name not in self.store.types:
            from rosbags.typesys import get_types_from_msg

            text = "geometry_msgs/TransformStamped[] transforms"
            self.store.register(get_types_from_msg(text, name))
        for topic in ("/tf_static", "/tf"):
            self.send(topic, name, time, self.make(name, transforms=[transform]))

    def close(self) -> None:
        self.writer.close()


def frame(index: int) -> np.ndarray:
    """(480, 640, 3) RGB of the bundled sequence."""
    bgr = cv2.imread(str(SCENE / "rgb" / f"{index:06d}.jpg"))
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def realsense(path: Path, count: int = 4, **options: Any) -> Path:
    """A bag after realsense-ros 4: colour and depth side by side, TF, camera_info after images."""
    bag = BagFactory(path, **options)
    bag.static_tf(START)
    for index in range(count):
        time, pixels = START + index * PERIOD, frame(index)
        size = pixels.shape[1::-1]
        optical = "camera_color_optical_frame"
        bag.image(f"{REALSENSE}/image_raw", time, pixels, optical)
        bag.info(f"{REALSENSE}/camera_info", time, intrinsics(index), size, optical)
        depth = "/camera/camera/depth"
        bag.image(f"{depth}/image_rect_raw", time, pixels[::2, ::2].copy(), "camera_depth_optical")
        bag.info(f"{depth}/camera_info", time, intrinsics(index) / 2, size, "camera_depth_optical")
    bag.close()
    return path


def usb_cam(path: Path, count: int = 4, D: Sequence[float] = (0.0,) * 5, **options: Any) -> Path:
    """A bag after usb_cam: image_raw, image_raw/compressed and camera_info in one namespace."""
    bag = BagFactory(path, **options)
    for index in range(count):
        time, pixels = START + index * PERIOD, frame(index)
        size = pixels.shape[1::-1]
        bag.info(f"{USB_CAM}/camera_info", time, intrinsics(index), size, "default_cam", D)
        bag.compressed(f"{USB_CAM}/image_raw/compressed", time, pixels, "default_cam")
    bag.close()
    return path


def run(*arguments: object) -> int:
    return command.main([str(argument) for argument in arguments])


def contents(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Messages by topic."""
    found: dict[str, list[tuple[int, Any]]] = {}
    default = get_typestore(Stores.ROS2_JAZZY)
    with AnyReader([path], default_typestore=default) as reader:
        for connection, time, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            found.setdefault(connection.topic, []).append((time, message))
    return found
