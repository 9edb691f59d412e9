"""The declaration table, the YAML file and the model's name."""

import re
from pathlib import Path

import pytest
import yaml
from lifecycle_msgs.msg import Transition
from node_fakes import FakeEstimator
from node_harness import parameter_names, running
from rclpy.parameter import Parameter

from cope_ros import startup
from cope_ros.bundled import package_share
from cope_ros.parameters import ParameterError, Parameters, specs

CONFIG = Path(__file__).resolve().parents[2] / "config" / "cope.yaml"
OF_THE_MODEL = "score_threshold"  # a comment in the file


def flatten(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_the_yaml_file_holds_exactly_the_declared_parameters_with_their_defaults():
    in_file = dict(flatten(yaml.safe_load(CONFIG.read_text())["/**"]["ros__parameters"]))
    with running(FakeEstimator(), arguments=("--params-file", str(CONFIG))) as rig:
        assert {*in_file, OF_THE_MODEL} == parameter_names(rig.node)
        names = [spec.name for spec in specs()]
        values = [rig.node.get_parameter(name).value for name in names]
        read = rig.node.parameters
    assert names != []
    assert {
        n: v for n, v in zip(names, values, strict=True) if n not in ("model", OF_THE_MODEL)
    } == {n: v for n, v in in_file.items() if n != "model"}
    assert read == Parameters(model=read.model)


def test_the_threshold_is_the_models_until_somebody_sets_it():
    estimator = FakeEstimator(metadata={"preset": "fake", "score_threshold": 0.15})
    with running(estimator) as rig:
        assert rig.node.get_parameter(OF_THE_MODEL).value == rig.node.parameters.score_threshold
        assert rig.node.parameters.score_threshold == 0.15
        estimator.metadata["score_threshold"] = 0.25  # of another file
        assert rig.change(Transition.TRANSITION_DEACTIVATE)
        assert rig.change(Transition.TRANSITION_CLEANUP)
        assert rig.change(Transition.TRANSITION_CONFIGURE)
        assert rig.node.parameters.score_threshold == 0.25
        assert rig.node.set_parameters([Parameter(OF_THE_MODEL, value=0.4)])[0].successful
        assert rig.change(Transition.TRANSITION_CLEANUP)
        assert rig.change(Transition.TRANSITION_CONFIGURE)
        assert rig.node.parameters.score_threshold == 0.4
    with running(estimator, arguments=("-p", "score_threshold:=0.5")) as rig:
        assert rig.node.parameters.score_threshold == 0.5


def test_every_key_of_the_yaml_file_is_commented():
    keys = [
        line for line in CONFIG.read_text().splitlines() if re.match(r" {4,6}(# )?\w+: \S", line)
    ]
    assert len(keys) == len(specs())
    assert all("#" in line for line in keys)


def test_an_empty_list_of_classes_means_all(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("/**:\n  ros__parameters:\n    classes: []\n")
    estimator = FakeEstimator()
    with running(estimator, arguments=("--params-file", str(file))) as rig:
        assert rig.node.parameters.class_ids == ()
    assert estimator.settings[0]["class_ids"] == ()


def test_a_model_is_a_path_or_a_bundled_name(tmp_path):
    assert startup.model_path(str(tmp_path)) == tmp_path
    models = (package_share() or CONFIG.parent.parent) / "models"  # installed under colcon test
    assert startup.model_path("demo") == models / "demo"  # not the folder demo/ of the checkout
    with pytest.raises(ParameterError, match=r"'model'.*no_such_model.*models"):
        startup.model_path("no_such_model")
    with pytest.raises(ParameterError, match="got ''"):
        startup.model_path("")


def test_classes_unknown_to_the_model_stop_the_start(tmp_path):
    parameters = Parameters(model=str(tmp_path), classes=("cup", "teapot"))
    with pytest.raises(ParameterError, match=r"'classes'.*carton, cup; got teapot"):
        startup.load_estimator(parameters, FakeEstimator().load)


def test_half_precision_is_refused_on_a_cpu_that_would_emulate_it(tmp_path, monkeypatch):
    monkeypatch.setattr(startup, "half_dtype", lambda device: None)
    parameters = Parameters(model=str(tmp_path), device="cpu", half=True)
    with pytest.raises(ParameterError, match="'half'"):
        startup.load_estimator(parameters, FakeEstimator().load)
