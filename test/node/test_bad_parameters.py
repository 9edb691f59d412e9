"""Every declared parameter against values it cannot have, over the wire; and the way back."""

import math

import pytest
import yaml
from lifecycle_msgs.msg import Transition
from node_fakes import FakeEstimator
from node_harness import running
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage

from cope_ros.parameter_access import table

NAN, INF = math.nan, math.inf
NO_TEXTS = [1.5, True, NAN, ["a"], [1.5]]
BAD = {
    bool: [2, -1, 0.5, NAN, "maybe", "", "true", [True]],
    int: [NAN, INF, -INF, 1.5, 0, 10**12, "high", "", "4", True, [4], []],
    float: [NAN, INF, -INF, -1e-6, -1, 1e5, "high", "", "0.5", True, [0.5], []],
    list: [True, 1.5, [1.5], [True, False]],
}


def bad_values(spec, default):
    if type(default) is not str:
        return BAD[type(default)]
    return NO_TEXTS if spec.check is None else [*NO_TEXTS, "no such\nthing", " ", "/"]


def put(rig, *pairs):
    messages = [Parameter(name, value=value).to_parameter_msg() for name, value in pairs]
    return rig.call(
        SetParameters, "set_parameters", SetParameters.Request(parameters=messages)
    ).results


def test_each_refusal_is_one_line_that_names_parameter_value_and_what_it_takes():
    pairs = [
        (name, value)
        for name, (spec, default) in table().items()
        for value in bad_values(spec, default)
    ]
    with running(FakeEstimator(), activate=False) as rig:
        before = rig.node.parameters
        results = put(rig, *pairs)
        assert rig.node.parameters == before
        assert rig.state() == "unconfigured"
    assert {name for name, _ in pairs} == set(table())
    for (name, value), result in zip(pairs, results, strict=True):
        assert not result.successful, (name, value)
        assert result.reason.startswith(f"parameter '{name}': expected "), result.reason
        assert "; got " in result.reason
        assert "\n" not in result.reason
        assert len(result.reason) < 300  # of all encodings


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("classes", ["teapot"], "expected some of carton, cup; got teapot"),
        ("score_treshold", 0.3, "unknown; did you mean 'score_threshold'?"),
        ("zzz", 0.3, "unknown (known: autostart, classes,"),
        ("qos_overrides./image_rect.subscription.reliability", "reliable", "read-only"),
        ("qos_overrides./image_rect.subscription.deadline", 1, "at start-up alone"),
        ("autostart", False, "unconfigured"),
        ("tf.prefix", "x", "unconfigured"),
    ],
)
def test_what_the_running_node_refuses(name, value, reason):
    with running(FakeEstimator()) as rig:
        (result,) = put(rig, (name, value))
        assert not result.successful
        assert name in result.reason
        assert reason in result.reason
        assert rig.state() == "active"


def test_a_corrected_value_and_a_transition_bring_the_node_back(tmp_path):
    wrong = {"model": "/does/not/exist", "classes": ["teapot"], "device": "cuda:99"}
    with running(FakeEstimator(), wrong, activate=False) as rig:
        for name, value in (("model", str(tmp_path)), ("device", "cpu"), ("classes", ["cup"])):
            assert not rig.change(Transition.TRANSITION_CONFIGURE)
            assert rig.state() == "unconfigured"
            assert put(rig, (name, value))[0].successful
        assert rig.change(Transition.TRANSITION_CONFIGURE)
        assert rig.change(Transition.TRANSITION_ACTIVATE)
        assert rig.state() == "active"


def test_fixed_values_set_while_unconfigured_act_at_the_next_activation():
    with running(FakeEstimator()) as rig:
        assert rig.change(Transition.TRANSITION_DEACTIVATE)
        assert not put(rig, ("image_transport", "compressed"))[0].successful
        assert rig.change(Transition.TRANSITION_CLEANUP)
        assert put(rig, ("image_transport", "compressed"))[0].successful
        assert rig.change(Transition.TRANSITION_CONFIGURE)
        assert rig.change(Transition.TRANSITION_ACTIVATE)
        rig.connect("image_rect/compressed", kind=CompressedImage)


def test_what_ros2_param_dump_writes_starts_the_same_node(tmp_path):
    file = tmp_path / "cope.yaml"
    with running(FakeEstimator(), {"max_rate": 5.0, "classes": ["cup"]}) as rig:
        read = rig.node.parameters
        values = {name: item.value for name, item in rig.node._parameters.items()}
    assert sum(name.startswith("qos_overrides.") for name in values) == 12
    nested = {}
    for name, value in values.items():
        *above, last = name.split(".")
        section = nested
        for part in above:
            section = section.setdefault(part, {})
        section[last] = value
    file.write_text(yaml.safe_dump({"/cope": {"ros__parameters": nested}}))
    with running(FakeEstimator(), arguments=("--params-file", str(file))) as rig:
        assert rig.node.parameters == read
