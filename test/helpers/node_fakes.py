"""Messages and a stand-in for the estimator, for the node tests."""

import array
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.runtime import Estimate

FRAME = "camera_optical_frame"
PATIENCE = 60.0  # s; the machine may be busy with other work
CATALOGUE = Catalogue.from_dict(
    {
        "1": {
            "name": "carton",
            "diameter": 200.0,
            **{"min_x": -50.0, "min_y": -30.0, "min_z": 0.0},
            **{"size_x": 100.0, "size_y": 60.0, "size_z": 160.0},
        },
        "2": {
            "name": "cup",
            "diameter": 120.0,
            **{"min_x": -40.0, "min_y": -40.0, "min_z": -50.0},
            **{"size_x": 80.0, "size_y": 80.0, "size_z": 100.0},
        },
    }
)
QUARTER_TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # about z


def make_estimate(n: int = 3) -> Estimate:
    """n instances of alternating classes, from right to left, 1 m away."""
    index = np.arange(n)
    return Estimate(
        class_index=index % 2,
        score=(0.9 - 0.1 * index).astype(np.float32),
        R=np.tile(QUARTER_TURN, (n, 1, 1)).astype(np.float32),
        t=np.stack([0.3 - 0.1 * index, 0 * index, 1.0 + 0 * index], 1).astype(np.float32),
        covariance=np.tile(np.diag(np.arange(1.0, 7)) * 1e-6, (n, 1, 1)).astype(np.float32),
        boxes=np.zeros((n, 4), np.float32),
        keypoints=np.zeros((n, 8, 2), np.float32),
        support=np.full(n, 5),
    )


@dataclass
class FakeEstimator:
    """Answers every image with ``answer`` and remembers what it was asked."""

    answer: Estimate = field(default_factory=make_estimate)
    catalogue: Catalogue = CATALOGUE
    metadata: dict = field(default_factory=lambda: {"preset": "fake"})
    device: str = "cpu"
    delay: float = 0.0
    failures: list[Exception] = field(default_factory=list)  # raised first, one per image
    seen: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    depths: list[Any] = field(default_factory=list)  # along with ``seen``
    settings: list[dict] = field(default_factory=list)
    gate: threading.Event | None = None

    def load(self, path: Path, device: str = "auto", half: bool = False) -> "FakeEstimator":
        """In place of ``Estimator.load``."""
        return self

    def configure(self, **settings: Any) -> None:
        self.settings.append(settings)

    def estimate(self, image: np.ndarray, K: np.ndarray, depth: Any = None) -> Estimate:
        self.seen.append((image.copy(), K.copy()))
        self.depths.append(depth)
        time.sleep(self.delay)
        if self.gate is not None:
            self.gate.wait(PATIENCE)
        if self.failures:
            raise self.failures.pop(0)
        return self.answer


def make_image(pixels: np.ndarray, stamp: int = 1, encoding: str = "rgb8", **changes: Any) -> Image:
    """A sensor_msgs/Image; ``stamp`` in milliseconds; ``changes`` spoil single fields."""
    message = Image(encoding=encoding, height=pixels.shape[0], width=pixels.shape[1])
    message.header.frame_id = FRAME
    message.header.stamp = time_of(stamp)
    message.step = pixels[0].nbytes
    message.data = array.array("B", np.ascontiguousarray(pixels).tobytes())
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def make_info(
    size: tuple[int, int] = (64, 48),
    stamp: int = 1,
    focal: float = 60.0,
    frame_id: str = FRAME,
    **changes: Any,
) -> CameraInfo:
    """The matching sensor_msgs/CameraInfo, principal point in the middle."""
    width, height = size
    cx, cy = (width - 1) / 2, (height - 1) / 2
    message = CameraInfo(width=width, height=height, distortion_model="plumb_bob")
    message.header.frame_id = frame_id
    message.header.stamp = time_of(stamp)
    message.d = [0.0] * 5
    message.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def time_of(milliseconds: int) -> Time:
    return Time(sec=milliseconds // 1000, nanosec=milliseconds % 1000 * 1_000_000)


def milliseconds_of(stamp: Time) -> int:
    return stamp.sec * 1000 + stamp.nanosec // 1_000_000


def gray(height: int = 48, width: int = 64, value: int = 128) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def fake_message(**fields: Any) -> SimpleNamespace:
    """A stamped message-like object for tests without ROS."""
    header = SimpleNamespace(
        stamp=SimpleNamespace(sec=fields.pop("sec", 0), nanosec=fields.pop("nanosec", 0)),
        frame_id=fields.pop("frame_id", FRAME),
    )
    return SimpleNamespace(header=header, **fields)
