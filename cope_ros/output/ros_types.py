"""The message classes that the writers fill, as ROS has them."""

from geometry_msgs.msg import Pose, TransformStamped, Vector3
from std_msgs.msg import ColorRGBA
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

__all__ = [
    "ColorRGBA",
    "Detection3D",
    "Detection3DArray",
    "Marker",
    "MarkerArray",
    "ObjectHypothesisWithPose",
    "Pose",
    "TransformStamped",
    "Vector3",
]
