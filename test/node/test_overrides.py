"""Parameters as people write them, in files, on the command line and while the node runs."""

import pytest
from node_fakes import FakeEstimator
from node_harness import running
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import DurabilityPolicy

from cope_ros.overrides import as_declared
from cope_ros.process import run


@pytest.mark.parametrize(
    ("default", "written", "read"),
    [
        (0.5, 1, 1.0),
        (0.5, 0.25, 0.25),
        (10, 4.0, 4),
        (10, 4.5, 4.5),  # left to be refused, as the following ones
        (10, float("inf"), float("inf")),
        (0.5, None, None),
        ([""], True, True),
        (0.5, "high", "high"),
        (0.5, True, True),
        (False, "maybe", "maybe"),
        (False, 2, 2),
        (False, 1, True),
        (True, 0, False),
        ("demo", 123, "123"),
        ("demo", True, True),
        ("off", False, "off"),  # the bare word in YAML
        ([""], "cup", ["cup"]),
        ([""], 3, ["3"]),
        ([""], [1, 2], ["1", "2"]),
        ([""], [], [""]),
        ([""], ["cup", "box"], ["cup", "box"]),
    ],
)
def test_values_are_taken_in_a_type_near_the_declared_one(default, written, read):
    got = as_declared(default, written)
    assert (got, type(got)) == (read, type(read))


def test_a_file_as_people_write_it(tmp_path):
    file = tmp_path / "p.yaml"
    lines = ["max_rate: 10", "score_threshold: 0", "classes: cup", "n_hypotheses: 5.0", "half: 0"]
    file.write_text("\n".join(["/**:", "  ros__parameters:", *(f"    {line}" for line in lines)]))
    with running(FakeEstimator(), arguments=("--params-file", str(file))) as rig:
        read = rig.node.parameters
    assert (read.max_rate, read.score_threshold) == (10.0, 0.0)
    assert (read.class_ids, read.n_hypotheses, read.half) == (("cup",), 5, False)


def put(rig, name, **value):
    parameter = ParameterMessage(name=name, value=ParameterValue(**value))
    request = SetParameters.Request(parameters=[parameter])
    return rig.call(SetParameters, "set_parameters", request).results[0]


def test_live_values_as_the_command_line_sends_them():
    with running(FakeEstimator()) as rig:
        ten = {"type": ParameterType.PARAMETER_INTEGER, "integer_value": 10}
        cup = {"type": ParameterType.PARAMETER_STRING, "string_value": "cup"}
        assert put(rig, "max_rate", **ten).successful
        assert put(rig, "classes", **cup).successful
        assert rig.node.parameters.class_ids == ("cup",)
        assert rig.node.parameters.max_rate == 10.0
        # `ros2 param set /cope classes []` has no better type to send.
        assert put(rig, "classes", type=ParameterType.PARAMETER_BOOL_ARRAY).successful
        assert rig.node.parameters.class_ids == ()
        refused = put(rig, "max_rate", type=ParameterType.PARAMETER_STRING, string_value="fast")
        assert not refused.successful
        assert "expected a number from 0 to 10000; got 'fast'" in refused.reason
        assert rig.node.parameters.max_rate == 10.0


def start(tmp_path, capfd, section, *lines):
    """The exit code and the log of a node that such a file is given to."""
    file = tmp_path / "p.yaml"
    file.write_text("\n".join([f"{section}:", "  ros__parameters:", *(f"    {x}" for x in lines)]))
    code = run(["--ros-args", "--params-file", str(file), "-p", "model:=/does/not/exist"])
    return code, capfd.readouterr().err


def test_names_of_others_in_a_shared_file_are_warned_about_with_the_nearest_name(tmp_path, capfd):
    lines = ["robot_radius: 0.2", "scor_threshold: 0.3", "score_threshold: 0.4"]
    _, log = start(tmp_path, capfd, "/**", *lines)
    assert "parameter 'model'" in log  # it came that far
    assert "parameter 'robot_radius' of a shared parameter file is not one of this node" in log
    assert "'scor_threshold'" in log
    assert "did you mean 'score_threshold'" in log


def test_a_misspelt_name_in_the_nodes_own_section_is_an_error(tmp_path, capfd):
    code, log = start(tmp_path, capfd, "cope", "scor_threshold: 0.3")
    assert code == 1
    assert "parameter 'scor_threshold': unknown; did you mean 'score_threshold'?" in log


OVERRIDE = "qos_overrides.{}"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("/image_rec.subscription.reliability", "/image_rect.subscription.reliability"),
        ("/image_rect.subscription.reliabilty", "/image_rect.subscription.reliability"),
        ("/image_rect.publisher.reliability", "/image_rect.subscription.reliability"),
        ("image_rect.subscription.depth", "/image_rect.subscription.depth"),
        ("/camera_info.subscription.durabilty", "/camera_info.subscription.durability"),
        ("/cope/detection.publisher.depth", "/cope/detections.publisher.depth"),
    ],
)
def test_misspelt_overrides_of_qos_are_refused_with_the_nearest_name(capfd, name, near):
    assert run(["--ros-args", "-p", f"{OVERRIDE.format(name)}:=1"]) == 1
    assert f"did you mean '{OVERRIDE.format(near)}'" in capfd.readouterr().err


def test_shared_files_may_override_the_qos_of_others_but_not_misspell_ours(tmp_path, capfd):
    nested = ["qos_overrides:", "  /image_rect:", "    subscription:", "      reliabilty: reliable"]
    code, log = start(tmp_path, capfd, "/**", *nested)
    assert code == 1
    assert "reliabilty" in log
    other = ["qos_overrides:", "  /lidar/points:", "    publisher:", "      depth: 3"]
    _, log = start(tmp_path, capfd, "/**", *other)
    assert "qos_overrides./lidar/points.publisher.depth' of a shared parameter file" in log


def test_durability_of_an_input_can_be_overridden():
    name = "qos_overrides./camera_info.subscription.durability"
    with running(FakeEstimator(), {name: "transient_local"}) as rig:
        (info,) = [
            item
            for item in rig.client.get_subscriptions_info_by_topic("/camera_info")
            if item.node_name == "cope"
        ]
        assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
