"""The launch file and the RViz configuration."""

import importlib.util
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = {
    *("namespace", "params_file", "use_sim_time", "autostart", "use_respawn", "log_level"),
    *("image", "camera_info", "image_transport", "model", "device", "rviz"),
}


@pytest.fixture
def description(monkeypatch):
    # The folder launch/ of this repository answers to the name too, so ask for launch_ros.
    pytest.importorskip("launch_ros", reason="needs ROS 2's launch, which no wheel carries")
    index = importlib.import_module("ament_index_python.packages")
    monkeypatch.setattr(index, "get_package_share_directory", lambda name: str(ROOT))
    file = ROOT / "launch" / "cope.launch.py"
    spec = importlib.util.spec_from_file_location("cope_launch", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def test_the_arguments_are_those_of_the_design(description):
    assert {a.name for a in description.get_launch_arguments()} == ARGUMENTS


@pytest.mark.parametrize("given", [{}, {"model": "demo", "camera_info": "/c", "autostart": "true"}])
def test_the_launch_file_makes_a_node(description, given):
    launch = pytest.importorskip("launch")
    context = launch.LaunchContext()
    context.launch_configurations.update(given)
    actions = [entity.visit(context) for entity in description.entities]
    kind = pytest.importorskip("launch_ros.actions").Node
    nodes = [node for made in actions for node in made or [] if isinstance(node, kind)]
    assert len(nodes) == 2  # cope_node, and rviz2 under its condition


def test_two_cameras_get_a_node_each(description):
    launch = pytest.importorskip("launch")
    names = []
    for side in ("left", "right"):
        context = launch.LaunchContext()
        context.launch_configurations.update({"namespace": side, "image": f"/{side}/image_rect"})
        made = [entity.visit(context) for entity in description.entities]
        cope = next(node for nodes in made for node in nodes or [])
        cope._perform_substitutions(context)  # launch offers no other way short of a process
        names.append(cope.node_name)
    assert names == ["/left/cope", "/right/cope"]


def test_rviz_shows_images_frames_markers_and_detections():
    config = yaml.safe_load((ROOT / "config" / "cope.rviz").read_text())
    displays = {d["Name"]: d for d in config["Visualization Manager"]["Displays"]}
    assert displays["Image"]["Topic"]["Value"] == "image_rect"
    assert displays["Detections"]["Topic"]["Value"] == "cope/detections"
    assert displays["Debug image"]["Topic"]["Value"] == "cope/debug_image"
    assert displays["Markers"]["Class"] == "rviz_default_plugins/MarkerArray"
    assert displays["Markers"]["Topic"]["Value"] == "cope/markers"
    assert all(display["Enabled"] for display in displays.values())
    assert displays["TF"]["Class"] == "rviz_default_plugins/TF"
