"""The launch file, under a strict stand-in for `launch` and, where it can be had, the real one."""

from pathlib import Path

import pytest
import yaml
from launch_system import make_system

from cope_ros.core.errors import CopeError

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = {
    *("namespace", "params_file", "use_sim_time", "autostart", "use_respawn", "log_level"),
    *("image", "camera_info", "image_transport", "model", "device", "rviz"),
    *("depth", "depth_camera_info", "depth_mode"),
}


@pytest.fixture(params=["stand-in", "real"])
def system(request, monkeypatch):
    return make_system(monkeypatch, real=request.param == "real")


def test_the_arguments_are_those_of_the_design(system):
    assert {a.name for a in system.load().get_launch_arguments()} == ARGUMENTS


def test_without_arguments_the_node_starts_with_its_defaults(system):
    (cope,), texts = system.start()
    assert (cope.package, cope.executable, cope.node_name) == ("cope_ros", "cope_node", "/cope")
    assert cope.files == [str(ROOT / "config" / "cope.yaml")]
    assert cope.parameters == {"use_sim_time": False}
    assert cope.remappings == {"image_rect": "image_rect"}
    assert cope.respawn is False
    assert not texts


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1", " true "])
@pytest.mark.parametrize("name", ["use_sim_time", "autostart"])
def test_true_in_every_spelling(system, name, text):
    (cope,), _ = system.start(**{name: text})
    assert cope.parameters[name] is True


@pytest.mark.parametrize("text", ["false", "False", "0"])
def test_false_in_every_spelling(system, text):
    (cope,), _ = system.start(autostart=text, use_respawn=text, rviz=text, use_sim_time=text)
    assert cope.parameters == {"use_sim_time": False, "autostart": False}
    assert cope.respawn is False


def test_every_argument_may_be_empty(system):
    (cope,), _ = system.start(**dict.fromkeys(ARGUMENTS, ""))
    assert cope.parameters == {"use_sim_time": False}
    assert cope.files == [str(ROOT / "config" / "cope.yaml")]


def test_what_is_given_arrives(system):
    (cope,), _ = system.start(
        namespace="left",
        image="/cam/image_raw",
        camera_info="/cam/info",
        image_transport="Compressed",
        depth="/cam/aligned_depth",
        depth_camera_info="/cam/depth_info",
        depth_mode="Off",
        model="123",
        device="cuda:1",
        use_respawn="1",
        log_level="DEBUG",
    )
    assert cope.node_name == "/left/cope"
    depth = {"depth": "/cam/aligned_depth", "depth_camera_info": "/cam/depth_info"}
    colour = {"image_rect": "/cam/image_raw", "camera_info": "/cam/info"}
    assert cope.remappings == {**colour, **depth}
    wanted = {"image_transport": "compressed", "model": "123", "device": "cuda:1"}
    assert cope.parameters == {**wanted, "depth.mode": "off", "use_sim_time": False}
    assert cope.respawn is True
    assert "debug" in cope.arguments


@pytest.mark.parametrize(
    ("name", "meant"), [("imgae", "image"), ("device_", "device"), ("camera-info", "camera_info")]
)
def test_a_slip_of_the_fingers_is_said_and_the_node_starts(system, name, meant):
    (_,), texts = system.start(**{name: "x", "robot": "left", "use_rviz": "true"})
    assert texts == [f"launch argument '{name}' is unknown; did you mean '{meant}'?"]


def test_the_shell_leaves_a_tilde_to_the_launch_file(system):
    (cope,), _ = system.start(model="~/models/mine")
    assert cope.parameters["model"] == str(Path.home() / "models/mine")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("rviz", "maybe", "true or false"),
        ("use_sim_time", "2", "true or false"),
        ("autostart", "tru", "true or false"),
        ("use_respawn", "none", "true or false"),
        ("log_level", "loud", "debug, info, warn, error or fatal"),
        ("image_transport", "compressedDepth", "raw or compressed"),
        ("depth_mode", "on", "off, auto or required"),
        ("depth", "/cam//depth", "topic"),
        ("device", "gpu", "auto, cpu, cuda or cuda:N"),
        ("namespace", "my robot", "namespace"),
        ("image", "/cam//image", "topic"),
        ("camera_info", "cam info", "topic"),
    ],
)
def test_what_fits_no_type_is_one_line_that_names_the_argument(system, name, text, expected):
    with pytest.raises(CopeError) as caught:
        system.start(**{name: text})
    line = str(caught.value)
    assert f"'{name}'" in line
    assert expected in line
    assert text in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        ("kope:\n  ros__parameters: {half: true}\n", "/kope"),
        ("/right/cope:\n  ros__parameters: {half: true}\n", "/right/cope"),
        ("half: true\n", "ros__parameters"),
        ("/**: [", "parameter file"),
        ("nonsense", "node names"),
    ],
)
def test_a_parameter_file_that_says_nothing_to_the_node_is_refused(
    system, tmp_path, content, reason
):
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CopeError, match=str(file)) as caught:
        system.start(params_file=str(file), namespace="left")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["/**", "/*/cope", "left/cope", "/left/cope", "/left/**"])
def test_a_parameter_file_for_the_node_is_taken(system, tmp_path, key):
    file = tmp_path / "mine.yaml"
    file.write_text(f"{key}:\n  ros__parameters: {{half: true}}\nother:\n  ros__parameters: {{}}\n")
    (cope,), _ = system.start(params_file=str(file), namespace="left/")
    assert cope.files == [str(file)]


def test_the_namespace_of_a_group_counts(system, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/robot/left/cope:\n  ros__parameters: {half: true}\n")
    system.start(base="/robot", params_file=str(file), namespace="left")
    with pytest.raises(CopeError, match="/left/cope"):
        system.start(base="/robot", params_file=str(file), namespace="/left")


def test_without_rviz_the_node_goes_on_and_one_line_says_so(system):
    (cope,), (text,) = system.start(rviz="true")
    assert cope.executable == "cope_node"
    assert "rviz2 is not installed" in text


def test_rviz_is_started_beside_the_node(system):
    system.install("rviz2")
    (cope, rviz), texts = system.start(rviz="True", namespace="left", use_sim_time="true")
    assert (cope.executable, rviz.executable) == ("cope_node", "cope_rviz")
    assert rviz.node_name == "/left/rviz"
    assert rviz.parameters == {"use_sim_time": True}
    assert not texts


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
