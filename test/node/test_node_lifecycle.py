"""Lifecycle, parameters and start-up of the running node."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from node_fakes import FakeEstimator, gray, make_image, make_info
from node_harness import running
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter

from cope_ros.process import run

ROOT = Path(__file__).resolve().parents[2]
START_UP = 180.0  # s; importing torch on a busy machine


def put(rig, name, value):
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    return rig.call(SetParameters, "set_parameters", request).results[0]


class CountingEstimator(FakeEstimator):
    """Counts how often it was loaded."""

    loads = 0

    def load(self, path, device="auto", half=False):
        self.loads += 1
        return self


def test_lifecycle_loads_serves_pauses_and_frees():
    estimator = CountingEstimator()
    with running(estimator, activate=False) as rig:
        assert (rig.state(), estimator.loads) == ("unconfigured", 0)
        assert rig.change(Transition.TRANSITION_CONFIGURE)
        assert (rig.state(), estimator.loads) == ("inactive", 1)
        assert rig.client.count_subscribers("/image_rect") == 0
        assert rig.change(Transition.TRANSITION_ACTIVATE)
        rig.connect()
        rig.send(make_image(gray(), 1), make_info(stamp=1))
        rig.wait_for(1)
        assert rig.change(Transition.TRANSITION_DEACTIVATE)
        rig.wait(lambda: rig.image_publisher.get_subscription_count() == 0, "unsubscription")
        assert rig.change(Transition.TRANSITION_ACTIVATE)
        rig.wait(lambda: rig.image_publisher.get_subscription_count() > 0, "subscription")
        rig.wait(lambda: rig.info_publisher.get_subscription_count() > 0, "subscription")
        rig.send(make_image(gray(), 2), make_info(stamp=2))
        rig.wait_for(2)
        assert estimator.loads == 1
        assert rig.change(Transition.TRANSITION_DEACTIVATE)
        assert rig.change(Transition.TRANSITION_CLEANUP)
        rig.wait(lambda: rig.client.count_publishers("/cope/detections") == 0, "no publisher")
        assert rig.change(Transition.TRANSITION_CONFIGURE)
        assert (rig.state(), estimator.loads) == ("inactive", 2)
        assert rig.change(Transition.TRANSITION_INACTIVE_SHUTDOWN)
        assert rig.state() == "finalized"


def test_an_impossible_transition_is_answered_and_changes_nothing():
    with running(FakeEstimator()) as rig:
        assert not rig.change(Transition.TRANSITION_CLEANUP)
        assert not rig.change(42)
        assert rig.state() == "active"
        assert rig.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)


def test_a_failing_configure_leaves_the_node_unconfigured():
    with running(FakeEstimator(), {"model": "/does/not/exist"}, activate=False) as rig:
        assert not rig.change(Transition.TRANSITION_CONFIGURE)
        assert rig.state() == "unconfigured"


def test_an_unforeseen_error_ends_the_node_instead_of_leaving_it_deaf():
    with running(FakeEstimator(failures=[KeyError("a bug")])) as rig:
        rig.connect()
        rig.send(make_image(gray()), make_info())
        rig.join()
        assert isinstance(rig.node.fault, KeyError)


def test_being_told_to_stop_while_a_frame_is_in_hand_is_no_fault():
    estimator = FakeEstimator(gate=threading.Event())
    with running(estimator) as rig:
        rig.connect()
        rig.send(make_image(gray()), make_info())
        rig.wait(lambda: len(estimator.seen) == 1, "the estimate's start")
        rig.context.try_shutdown()  # as a signal does: nothing can be published any more
        estimator.gate.set()
        rig.node.stop()
        assert rig.node.counters.processed == 0
        assert rig.node.fault is None


def test_live_parameters_reach_the_next_frame():
    estimator = FakeEstimator()
    with running(estimator) as rig:
        rig.connect()
        assert put(rig, "score_threshold", 0.25).successful
        assert put(rig, "classes", ["cup"]).successful
        assert put(rig, "max_instances", 1).successful
        rig.send(make_image(gray()), make_info())
        assert len(rig.wait_for(1).detections) == 1
    assert estimator.settings[-1]["score_threshold"] == 0.25
    assert estimator.settings[-1]["class_ids"] == ("cup",)


def test_parameters_set_while_inactive_reach_the_first_frame():
    estimator = FakeEstimator()
    with running(estimator, activate=False) as rig:
        assert rig.change(Transition.TRANSITION_CONFIGURE)
        assert put(rig, "score_threshold", 0.125).successful
        assert rig.change(Transition.TRANSITION_ACTIVATE)
        rig.connect()
        rig.send(make_image(gray()), make_info())
        rig.wait_for(1)
    assert estimator.settings[-1]["score_threshold"] == 0.125


def test_parameters_describe_themselves_over_the_wire():
    with running(FakeEstimator()) as rig:
        names = ["score_threshold", "max_instances", "model", "autostart"]
        request = DescribeParameters.Request(names=names)
        score, count, model, start = rig.call(
            DescribeParameters, "describe_parameters", request
        ).descriptors
    assert (score.floating_point_range[0].from_value, score.floating_point_range[0].to_value) == (
        0,
        1,
    )
    assert count.integer_range[0].from_value == 1
    assert (score.read_only, model.read_only, start.read_only) == (False, False, True)
    assert all(d.description for d in (score, count, model, start))


def node_process(*arguments):
    command = [sys.executable, "-m", "cope_ros.node", "--ros-args", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


START_UP_ERRORS = {
    "model:=/does/not/exist": ("'model'", "/does/not/exist"),
    "model:={broken}": ("'model'", "model.pt", "expected"),
    "device:=cuda:99": ("'device'", "CUDA"),
    "device:=tpu": ("'device': expected auto, cpu", "got 'tpu'"),
    "score_threshold:=7.0": ("'score_threshold': expected a number from 0 to 1; got 7.0",),
    "score_threshold:=high": ("'score_threshold': expected a number from 0 to 1; got 'high'",),
    "max_rate:=[]": ("'max_rate': expected a number from 0 to 10000; got nothing",),
    "n_hypotheses:=.nan": ("'n_hypotheses': expected a whole number from 1 to 64; got nan",),
    "classes:=true": ("'classes': expected a list of texts; got True",),
    "use_sim_time:=maybe": ("'use_sim_time'", "'maybe'", "BOOL"),  # rclpy's own words
    "score_treshold:=0.5": ("'score_treshold'", "did you mean 'score_threshold'"),
    "sync.policy:=sloppy": ("'sync.policy': expected one of exact, latest; got 'sloppy'",),
    "qos_overrides./image_rect.subscription.reliability:=reliabel": ("reliable, best_effort",),
    "qos_overrides./camera_info.subscription.depth:=-1": ("whole number from 1", "got -1"),
    "qos_overrides./cope/detections.publisher.durability:=1": ("transient_local", "got 1"),
}


@pytest.mark.parametrize("case", START_UP_ERRORS)
def test_start_up_errors_name_the_parameter(case, tmp_path, capfd):
    broken = tmp_path / "model.pt"
    broken.write_bytes(b"not a model")
    arguments = ["-p", f"model:={broken}", "-p", case.format(broken=broken)]
    assert run(["--ros-args", *arguments]) == 1
    errors = capfd.readouterr().err
    assert len(errors.splitlines()) == 1
    assert all(text in errors for text in START_UP_ERRORS[case]), errors


def test_a_broken_parameter_file_is_one_sentence(tmp_path, capfd):
    file = tmp_path / "cope.yaml"
    file.write_text("cope:\n  ros__parameters:\n    classes:\n    model: demo\n")
    assert run(["--ros-args", "--params-file", str(file)]) == 1
    assert str(file) in capfd.readouterr().err


def test_the_process_exits_non_zero_where_it_cannot_start():
    process = node_process("-p", "model:=/does/not/exist")
    _, errors = process.communicate(timeout=START_UP)
    assert process.returncode == 1
    assert "parameter 'model'" in errors
    assert "Traceback" not in errors


def test_interrupt_and_termination_end_the_process_cleanly():
    for number in (signal.SIGINT, signal.SIGTERM):
        process = node_process("-p", "autostart:=false")
        assert any("waiting for a lifecycle transition" in line for line in process.stderr)
        process.send_signal(number)
        _, errors = process.communicate(timeout=START_UP)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors


def test_an_error_nobody_foresaw_is_told(capfd):
    class Strange(FakeEstimator):
        def load(self, *_arguments, **_options):
            raise LookupError("a thing that cannot be")

    with running(Strange(), activate=False) as rig:
        assert not rig.change(Transition.TRANSITION_CONFIGURE)
    assert "configure failed: LookupError: a thing that cannot be" in capfd.readouterr().err
