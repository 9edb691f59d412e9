"""The node's services over real DDS: enable, trigger, reset_tracks."""

import threading
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_fakes import FakeEstimator, gray, make_image, make_info, milliseconds_of
from node_harness import running
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from cope_ros.input.drops import Cause
from cope_ros.tracking import Tracker


def enable(rig, value):
    return rig.call(SetBool, "enable", SetBool.Request(data=value))


def trigger(rig):
    return rig.call(Trigger, "trigger", Trigger.Request())


def reset_tracks(rig):
    return rig.call(Trigger, "reset_tracks", Trigger.Request())


def send(rig, stamp, **changes):
    rig.send(make_image(gray(), stamp), make_info(stamp=stamp, **changes))


def test_a_disabled_node_counts_its_images_and_neither_estimates_nor_publishes():
    estimator = FakeEstimator()
    with running(estimator) as rig:
        rig.connect()
        answer = enable(rig, False)
        assert (answer.success, "disabled" in answer.message) == (True, True)
        for stamp in (1, 2, 3):
            send(rig, stamp)
            rig.wait_for_drop(Cause.DISABLED, stamp)
        assert estimator.seen == []
        assert enable(rig, True).success
        send(rig, 4)
        assert milliseconds_of(rig.wait_for(1).header.stamp) == 4
        assert len(rig.detections) == 1
    assert len(estimator.seen) == 1


def test_what_is_disabled_while_it_is_estimated_is_not_published():
    estimator = FakeEstimator(gate=threading.Event())
    with running(estimator) as rig:
        rig.connect()
        send(rig, 1)
        rig.wait(lambda: len(estimator.seen) == 1, "the estimate's start")
        assert enable(rig, False).success  # answers although the worker is busy
        estimator.gate.set()
        rig.wait_for_drop(Cause.DISABLED)
        assert rig.node.counters.processed == 0
    assert rig.detections == []
    assert rig.transforms == []


def test_on_demand_each_trigger_is_worth_the_next_image():
    estimator = FakeEstimator()
    with running(estimator, {"mode": "on_demand"}) as rig:
        rig.connect()
        send(rig, 1)
        rig.wait_for_drop(Cause.NOT_TRIGGERED)
        first, second = trigger(rig), trigger(rig)
        assert (first.success, first.message) == (True, "the next image will be processed")
        assert second.success
        assert "waits already" in second.message
        send(rig, 2)
        assert milliseconds_of(rig.wait_for(1).header.stamp) == 2
        send(rig, 3)
        rig.wait_for_drop(Cause.NOT_TRIGGERED, 2)
    assert len(estimator.seen) == 1


def test_a_trigger_survives_frames_that_fail():
    with running(FakeEstimator(), {"mode": "on_demand"}) as rig:
        rig.connect()
        assert trigger(rig).success
        send(rig, 1, k=[0.0] * 9, p=[0.0] * 12)
        rig.wait_for_drop(Cause.INTRINSICS)
        send(rig, 2)
        assert milliseconds_of(rig.wait_for(1).header.stamp) == 2


def test_the_mode_changes_while_the_node_runs():
    with running(FakeEstimator()) as rig:
        rig.connect()
        assert "mode is continuous" in trigger(rig).message
        assert not trigger(rig).success
        assert rig.node.set_parameters([Parameter("mode", value="on_demand")])[0].successful
        assert trigger(rig).success
        assert rig.node.set_parameters([Parameter("mode", value="continuous")])[0].successful
        for stamp in (1, 2):
            send(rig, stamp)
            rig.wait_for(stamp)
        # The trigger of before is spent, not kept for a later on_demand.
        assert rig.node.set_parameters([Parameter("mode", value="on_demand")])[0].successful
        send(rig, 3)
        rig.wait_for_drop(Cause.NOT_TRIGGERED)


def test_a_service_that_its_own_participant_does_not_see_is_asked_from_another(monkeypatch):
    """The tests' own second way, which is taken too seldom to be known to work."""
    with running(FakeEstimator(), {"mode": "on_demand"}) as rig:
        monkeypatch.setattr(rig.calls, "_patience", 20.0)
        name = f"{rig.node.get_fully_qualified_name()}/reset_tracks"
        rig.calls.clients[name] = rig.client.create_client(Trigger, "nobody_offers_this")
        assert reset_tracks(rig).success
        assert rig.calls.clients[name].srv_name == name


def deafen(rig, kind, service, arrives):
    """The client of ``service`` gets no answers, and its requests get lost or arrive."""
    client = rig.service(kind, service)

    def call_async(request):
        if arrives:
            client.call_async(request)
        return Future()

    deaf = SimpleNamespace(call_async=call_async, service_is_ready=lambda: True)
    rig.calls.clients[client.srv_name] = deaf


@pytest.mark.parametrize("arrives", [False, True])
def test_an_answer_that_is_lost_is_asked_for_again(monkeypatch, arrives):
    """The tests' own, too: whether the request had been lost or the answer."""
    with running(FakeEstimator()) as rig:
        monkeypatch.setattr(rig.calls, "_patience", 10.0)
        deafen(rig, Trigger, "reset_tracks", arrives)
        assert reset_tracks(rig).success


@pytest.mark.parametrize("arrives", [False, True])
def test_a_transition_whose_answer_is_lost_is_made_once(monkeypatch, arrives):
    """The tests' own, too."""
    estimator = FakeEstimator()
    loads = Mock(side_effect=estimator.load)
    monkeypatch.setattr(estimator, "load", loads)
    with running(estimator, activate=False) as rig:
        monkeypatch.setattr(rig.calls, "_patience", 10.0)
        deafen(rig, ChangeState, "change_state", arrives)
        assert rig.change(Transition.TRANSITION_CONFIGURE)
        assert rig.state() == "inactive"
    assert loads.call_count == 1


def test_the_services_answer_in_every_state_with_the_reason():
    with running(FakeEstimator(), {"mode": "on_demand"}, activate=False) as rig:
        for state, transition in (
            ("unconfigured", Transition.TRANSITION_CONFIGURE),
            ("inactive", Transition.TRANSITION_ACTIVATE),
            ("active", Transition.TRANSITION_DEACTIVATE),
            ("inactive", Transition.TRANSITION_CLEANUP),
            ("unconfigured", Transition.TRANSITION_UNCONFIGURED_SHUTDOWN),
            ("finalized", None),
        ):
            refused = trigger(rig)
            assert refused.success == (state == "active")
            assert (state in refused.message) == (state != "active")
            assert (state in enable(rig, True).message) == (state != "active")
            assert reset_tracks(rig).success
            assert (state in reset_tracks(rig).message) == (state != "active")
            if transition is not None:
                assert rig.change(transition)


def test_a_disabled_node_refuses_triggers():
    with running(FakeEstimator(), {"mode": "on_demand"}) as rig:
        assert enable(rig, False).success
        answer = trigger(rig)
        assert (answer.success, "~/enable" in answer.message) == (False, True)


def test_tracks_are_reset_by_the_worker_before_the_next_frame(monkeypatch):
    resets = []
    reset = Tracker.reset

    def recording(self):
        resets.append(threading.current_thread().name)
        reset(self)

    with running(FakeEstimator()) as rig:
        rig.connect()
        send(rig, 1)
        rig.wait_for(1)
        monkeypatch.setattr(Tracker, "reset", recording)
        assert reset_tracks(rig).success
        assert resets == []
        send(rig, 2)
        rig.wait_for(2)
        assert [name.startswith("cope_worker") for name in resets] == [True]
        monkeypatch.undo()


@pytest.mark.parametrize("service", ["enable", "trigger", "reset_tracks"])
def test_the_services_answer_while_the_worker_is_busy(service):
    estimator = FakeEstimator(gate=threading.Event())
    kind = SetBool if service == "enable" else Trigger
    with running(estimator) as rig:
        rig.connect()
        send(rig, 1)
        rig.wait(lambda: len(estimator.seen) == 1, "the estimate's start")
        start = time.monotonic()
        rig.call(kind, service, kind.Request())
        took = time.monotonic() - start
        assert not estimator.gate.is_set()
        estimator.gate.set()
    assert took < 10.0
