"""Starts the node `cope`, and RViz if asked to.

ros2 launch cope_ros cope.launch.py image:=/camera/color/image_rect model:=/path/to/model
"""

from pathlib import Path
from typing import Any

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from cope_ros import launch_arguments as take
from cope_ros.launch_arguments import Argument
from cope_ros.parameter_files import sections_for

RESPAWN_DELAY = 2.0  # s, as in nav2_bringup
CONFIG = Path(get_package_share_directory("cope_ros")) / "config"
TOPIC = take.like(take.TOPIC, "a topic such as /camera/image_rect")

# An argument left empty has its default; an empty default leaves the matter to params_file.
ARGUMENTS = {
    "namespace": Argument("", "Namespace of the node, one per camera", take.namespace),
    "params_file": Argument(str(CONFIG / "cope.yaml"), "Parameters of the node", take.path),
    "use_sim_time": Argument("false", "Take the time from /clock: true or false", take.boolean),
    "autostart": Argument(
        "", "true: configure and activate at once; empty: as in params_file", take.boolean
    ),
    "use_respawn": Argument("false", "Start the node again when it ends", take.boolean),
    "log_level": Argument("info", "debug, info, warn, error or fatal", take.choice(*take.LEVELS)),
    "image": Argument("image_rect", "Topic of the images", TOPIC),
    "camera_info": Argument("", "Topic of camera_info; empty: beside the images", TOPIC),
    "image_transport": Argument(
        "", "raw or compressed; empty: as in params_file", take.choice(*take.TRANSPORTS)
    ),
    "depth": Argument("", "Topic of depth images, with depth_mode; empty: depth", TOPIC),
    "depth_camera_info": Argument("", "Topic of their camera_info, if they have one", TOPIC),
    "depth_mode": Argument(
        "", "off, auto or required; empty: as in params_file", take.choice(*take.DEPTH_MODES)
    ),
    "model": Argument("", "Model directory or bundled model; empty: as in params_file", take.path),
    "device": Argument(
        "",
        "auto, cpu, cuda or cuda:N; empty: as in params_file",
        take.like(take.DEVICE, "auto, cpu, cuda or cuda:N"),
    ),
    "rviz": Argument("false", "Show images, detections and frames in RViz", take.boolean),
}
# With their types, or a model named 123 would arrive as a number.
OVERRIDES = {
    "use_sim_time": bool,
    "autostart": bool,
    "image_transport": str,
    "depth_mode": str,
    "model": str,
    "device": str,
}


def generate_launch_description() -> LaunchDescription:
    """Called by `ros2 launch`."""
    declared = [
        DeclareLaunchArgument(
            name, default_value=argument.default, description=argument.description
        )
        for name, argument in ARGUMENTS.items()
    ]
    line_buffered = SetEnvironmentVariable("RCUTILS_LOGGING_BUFFERED_STREAM", "1")
    return LaunchDescription([*declared, line_buffered, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Action]:
    """Checks everything before the first process starts, so that none is left without launch."""
    texts = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    given = take.read_arguments(ARGUMENTS, texts)
    base = context.launch_configurations.get("ros_namespace")
    sections_for(Path(given["params_file"]), take.full_name(base, given["namespace"], "cope"))
    slips = take.misspelt(ARGUMENTS, context.launch_configurations)
    notes = [LogInfo(msg=line) for line in slips]
    return [*notes, _cope(given), *(_rviz(given) if given["rviz"] else [])]


def _cope(given: dict[str, Any]) -> Node:
    overrides = {
        name.replace("depth_", "depth."): ParameterValue(given[name], value_type=kind)
        for name, kind in OVERRIDES.items()
        if given[name] is not None
    }
    return Node(
        package="cope_ros",
        executable="cope_node",
        name="cope",
        namespace=given["namespace"] or "",
        parameters=[given["params_file"], overrides],
        remappings=_remappings(given),
        arguments=["--ros-args", "--log-level", given["log_level"]],
        respawn=given["use_respawn"],
        respawn_delay=RESPAWN_DELAY,
        output="screen",
    )


def _rviz(given: dict[str, Any]) -> list[Action]:
    """RViz, whose fixed frame is that of the first camera_info."""
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        text = "rviz:=true, but the package rviz2 is not installed (ros-$ROS_DISTRO-rviz2)"
        return [LogInfo(msg=f"{text}; the node runs without RViz")]
    rviz = Node(
        package="cope_ros",
        executable="cope_rviz",
        name="rviz",
        namespace=given["namespace"] or "",
        arguments=["-d", str(CONFIG / "cope.rviz")],
        parameters=[{"use_sim_time": given["use_sim_time"]}],
        remappings=_remappings(given),
        output="screen",
    )
    return [rviz]


def _remappings(given: dict[str, Any]) -> list[tuple[str, str]]:
    topics = {"image_rect": given["image"]}
    topics |= {name: given[name] for name in ("camera_info", "depth", "depth_camera_info")}
    return [(name, topic) for name, topic in topics.items() if topic]
