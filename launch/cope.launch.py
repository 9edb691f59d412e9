"""Starts the node `cope`, and RViz if asked to.

ros2 launch cope_ros cope.launch.py image:=/camera/color/image_rect model:=/path/to/model
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

RESPAWN_DELAY = 2.0  # s, as in nav2_bringup
CONFIG = Path(get_package_share_directory("cope_ros")) / "config"

# name: (default, description). An empty default leaves the matter to the parameter file.
ARGUMENTS = {
    "namespace": ("", "Namespace of the node, one per camera"),
    "params_file": (str(CONFIG / "cope.yaml"), "Parameters of the node"),
    "use_sim_time": ("false", "Take the time from /clock: true or false"),
    "autostart": ("", "true: configure and activate at once; empty: as in params_file"),
    "use_respawn": ("false", "Start the node again when it ends"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "image": ("image_rect", "Topic of the images"),
    "camera_info": ("", "Topic of camera_info; empty: beside the images"),
    "image_transport": ("", "raw or compressed; empty: as in params_file"),
    "model": ("", "Model directory or bundled model; empty: as in params_file"),
    "device": ("", "auto, cpu, cuda or cuda:N; empty: as in params_file"),
    "rviz": ("false", "Show images, detections and frames in RViz"),
}
OVERRIDES = {
    "use_sim_time": bool,
    "autostart": bool,
    "image_transport": str,
    "model": str,
    "device": str,
}


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch`."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    line_buffered = SetEnvironmentVariable("RCUTILS_LOGGING_BUFFERED_STREAM", "1")
    return LaunchDescription([*declared, line_buffered, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    # With their types, or a model named 123 would arrive as a number.
    overrides = {
        name: ParameterValue(given[name], value_type=kind)
        for name, kind in OVERRIDES.items()
        if given[name]
    }
    remappings = [("image_rect", given["image"])]
    if given["camera_info"]:
        remappings.append(("camera_info", given["camera_info"]))
    cope = Node(
        package="cope_ros",
        executable="cope_node",
        name="cope",
        namespace=given["namespace"],
        parameters=[given["params_file"], overrides],
        remappings=remappings,
        arguments=["--ros-args", "--log-level", given["log_level"]],
        respawn=given["use_respawn"].lower() in ("true", "1"),
        respawn_delay=RESPAWN_DELAY,
        output="screen",
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        namespace=given["namespace"],
        arguments=["-d", str(CONFIG / "cope.rviz")],
        parameters=[{"use_sim_time": overrides["use_sim_time"]}],
        remappings=[("image_rect", given["image"])],
        condition=IfCondition(given["rviz"]),
        output="screen",
    )
    return [cope, rviz]
