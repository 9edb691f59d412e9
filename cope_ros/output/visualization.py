"""What is only for looking at: markers and the debug image, built while someone subscribes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cv_bridge import CvBridge
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from cope_ros.bundled import package_share
from cope_ros.core.catalogue import Catalogue
from cope_ros.output import ros_types
from cope_ros.output.debug_image import draw_instances
from cope_ros.output.markers import MarkerWriter
from cope_ros.output.target_frame import Placed

MARKERS, DEBUG_IMAGE = "markers", "debug_image"


@dataclass(frozen=True)
class Scene:
    """One processed frame, as the viewers need it; N instances."""

    header: Header  # of the image
    image: np.ndarray  # (H, W, 3) uint8 RGB, rectified
    K: np.ndarray  # (3, 3) px, of that image
    estimate: Any  # rows of class_index, score, R, t; in the camera's frame
    slots: np.ndarray  # (N,) int64
    placed: Placed  # the same instances as they were published


class Views:
    """Publishers of markers and debug image; exists from configure to cleanup.

    Attributes:
        built: how often each of the two was built, by the topic's last name.
    """

    def __init__(self, node: LifecycleNode, catalogue: Catalogue, model: Path) -> None:
        self._node = node
        self._catalogue = catalogue
        self._bridge = CvBridge()
        self._writer = MarkerWriter(catalogue, model, ros_types, package_share())
        self.built: Counter[str] = Counter()
        self._markers = node.create_publisher(MarkerArray, f"~/{MARKERS}", QoSProfile(depth=1))
        self._debug_image = node.create_publisher(Image, f"~/{DEBUG_IMAGE}", QoSProfile(depth=1))
        self._cleared = True

    def show(self, scene: Scene) -> None:
        """Publishes the frame to those who look at it; called after its detections left."""
        wants_markers = self._markers.get_subscription_count() > 0
        wants_image = self._debug_image.get_subscription_count() > 0
        if not (wants_markers or wants_image):
            return
        labels = self._labels_of(scene)
        if wants_markers:
            self._show_markers(scene, labels)
        if wants_image:
            self._show_image(scene, labels)

    def clear(self) -> None:
        """Takes the markers off the viewers, where any are shown."""
        if not self._cleared and self._node.context.ok():
            self._cleared = True
            self._markers.publish(MarkerArray(markers=[Marker(action=Marker.DELETEALL)]))

    def subscribers(self) -> dict[str, int]:
        """How many look at each topic, by its last name."""
        return {
            MARKERS: self._markers.get_subscription_count(),
            DEBUG_IMAGE: self._debug_image.get_subscription_count(),
        }

    def destroy(self) -> None:
        """Takes the publishers off the graph."""
        for publisher in (self._markers, self._debug_image):
            self._node.destroy_publisher(publisher)

    def _labels_of(self, scene: Scene) -> list[str]:
        names = self._catalogue.class_ids
        rows = zip(
            scene.estimate.class_index.tolist(),
            scene.slots.tolist(),
            scene.estimate.score.tolist(),
            strict=True,
        )
        return [f"{names[index]} {slot} {score:.2f}" for index, slot, score in rows]

    def _show_markers(self, scene: Scene, labels: Sequence[str]) -> None:
        slots = scene.slots.tolist()
        placed = scene.placed
        array = self._writer.write(placed.header, placed.estimate, slots, labels, placed.up)
        self.built[MARKERS] += 1
        self._cleared = False
        self._markers.publish(array)

    def _show_image(self, scene: Scene, labels: Sequence[str]) -> None:
        drawn = draw_instances(scene.image, scene.K, scene.estimate, self._catalogue, labels)
        self.built[DEBUG_IMAGE] += 1
        self._debug_image.publish(self._bridge.cv2_to_imgmsg(drawn, "rgb8", scene.header))
