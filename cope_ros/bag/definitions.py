"""Definitions of the vision_msgs that are written, as upstream has them, and of older releases.

The bag library brings every other message that is written.
"""

# vision_msgs 4.1 (ROS 2 Humble to Rolling).
VISION_MSGS_ROS2 = {
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score",
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "vision_msgs/msg/BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
    "vision_msgs/msg/Detection3D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox3D bbox\nstring id"
    ),
    "vision_msgs/msg/Detection3DArray": (
        "std_msgs/Header header\nvision_msgs/Detection3D[] detections"
    ),
}
# vision_msgs 0.0.1 (ROS 1 Melodic and Noetic): numbers for classes, no id.
VISION_MSGS_ROS1 = {
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "int64 id\nfloat64 score\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "vision_msgs/msg/BoundingBox3D": VISION_MSGS_ROS2["vision_msgs/msg/BoundingBox3D"],
    "vision_msgs/msg/Detection3D": (
        "Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox3D bbox\nsensor_msgs/PointCloud2 source_cloud"
    ),
    "vision_msgs/msg/Detection3DArray": "Header header\nvision_msgs/Detection3D[] detections",
}
TF_MESSAGE = {"tf2_msgs/msg/TFMessage": "geometry_msgs/TransformStamped[] transforms"}
