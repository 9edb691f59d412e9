"""Signals: the process ends soon and cleanly, whatever it is doing."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked_node import ForkedNode
from node_gauge import save_gauge

from tools.soak import signals

ROOT = Path(__file__).resolve().parents[2]
TRIALS, PARALLEL = 20, 4
LIMIT = 6.0  # s; `make soak` has an idle machine and holds the node to 2 s
END = 30.0  # s

PROGRAM = """
import sys, time
from cope_ros.stopping import Stopper
stopper = Stopper()
if "start" in sys.argv:
    told = []
    stopper.started(lambda: told.append(1))
print("up", flush=True)
if "wait" in sys.argv:
    while not told:
        time.sleep(0.01)
    sys.exit(stopper.leave(0))
time.sleep(1000)
"""


def ends(words, *numbers, apart=0.0, ignored=False):
    command = [sys.executable, "-c", PROGRAM, *words]
    if ignored:  # as a shell starts what it puts in the background of a script
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    process.stdout.readline()
    for number in numbers:
        process.send_signal(number)
        time.sleep(apart)
    return process.wait(END)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [["start", "wait"], ["start"]])
def test_whether_it_listens_or_not_the_process_ends_with_code_0(words, number):
    assert ends(words, number) == 0


def test_interrupted_before_anything_started():
    assert ends([], signal.SIGINT) == 130  # as a shell says
    assert ends([], signal.SIGTERM) == 0


@pytest.mark.parametrize("apart", [0.0, 0.05, 0.3])
def test_a_second_signal_changes_nothing(apart):
    assert ends(["start", "wait"], signal.SIGINT, signal.SIGINT, apart=apart) == 0
    assert ends(["start"], signal.SIGINT, signal.SIGTERM, apart=apart) == 0


def test_sigint_counts_where_the_parent_ignored_it():
    assert ends(["start", "wait"], signal.SIGINT, ignored=True) == 0
    assert ends([], signal.SIGINT, ignored=True) == 130


def test_only_pythons_own_start_may_end_with_1():
    trial = signals.Trial((signal.SIGINT,), False, 0.03, 0.3)
    python = 'File "<frozen abc>", line 106\nKeyboardInterrupt'
    ours = f'File "cope_ros/node.py", line 1\n{python}'
    assert signals.Outcome(trial, 1, 0.1, False, python).fault(2.0) is None
    assert "exit code 1" in (signals.Outcome(trial, 1, 0.1, False, ours).fault(2.0) or "")
    assert "exit code 1" in (signals.Outcome(trial, 1, 0.1, True, python).fault(2.0) or "")


def test_the_node_ends_in_random_moments(tmp_path):
    save_gauge(tmp_path / "model.pt")
    arguments = ["--ros-args", "-p", "device:=cpu", "-p", f"model:={tmp_path}"]

    def start(after_ready):
        if after_ready:  # none of these is interrupted while it imports
            return ForkedNode(arguments)
        return signals.start_process([sys.executable, "-m", "cope_ros.node", *arguments])

    outcomes = signals.run_trials(start, TRIALS, PARALLEL, seed=1)
    assert not signals.report(outcomes, LIMIT)
    assert {outcome.started for outcome in outcomes} == {True, False}
    assert {len(outcome.trial.signals) for outcome in outcomes} == {1, 2}


@pytest.mark.parametrize("name", ["cope", "raw.cope", "left.arm.cope"])
def test_a_node_has_started_with_its_first_line_in_any_namespace(name):
    assert signals.STARTED in f"[INFO] [1795938639.1] [{name}]: ready: model demo"
