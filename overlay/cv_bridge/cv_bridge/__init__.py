"""CvBridge with the interface of ROS 2's cv_bridge, for environments without ROS."""

from .bridge import CvBridge, CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
