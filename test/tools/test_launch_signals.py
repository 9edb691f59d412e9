"""What the trials of `ros2 launch` see: one that ends, one that hangs, one that leaves a node."""

import os
import signal

import pytest

from tools.soak import launch_signals
from tools.soak.launch_signals import Trial, stop

LAUNCHES = {
    "ends": "trap 'kill $child; exit 0' INT; sleep 100 & child=$!; wait",
    "leaves a process": "trap 'exit 0' INT; (trap '' INT; exec sleep 100) & wait",
    "hangs": "trap '' INT; sleep 100",
}


@pytest.fixture
def launch(tmp_path, monkeypatch):
    def make(script):
        command = tmp_path / "ros2"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    monkeypatch.setattr(launch_signals, "LEFT", 0.5)
    monkeypatch.setattr(launch_signals, "HANGS", 1.0)
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # not so behind a script's "&"
    yield make
    signal.signal(signal.SIGINT, heard)


@pytest.mark.parametrize("to_group", [True, False])
def test_a_launch_that_ends(launch, to_group):
    launch(LAUNCHES["ends"])
    outcome = stop(Trial(to_group, 1, 0.5, 0.1), 90)
    assert outcome.fine, outcome
    assert outcome.code == 0


def test_a_node_that_outlives_its_launch_is_named_and_ended(launch):
    launch(LAUNCHES["leaves a process"])
    outcome = stop(Trial(True, 1, 0.5, 0.1), 90)
    assert (outcome.fine, outcome.code, outcome.left) == (False, 0, ["sleep 100"])


def test_a_launch_that_hangs(launch):
    launch(LAUNCHES["hangs"])
    outcome = stop(Trial(True, 2, 0.5, 0.2), 90)
    assert (outcome.fine, outcome.code) == (False, None)
