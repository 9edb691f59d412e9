"""Lifecycle transitions in every order, over real DDS."""

import itertools
import threading
from pathlib import Path

import pytest
from fault_probe import Probe
from lifecycle_msgs.msg import Transition
from node_fakes import FakeEstimator
from node_harness import running

CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
NEXT = {
    ("unconfigured", CONFIGURE): "inactive",
    ("inactive", CLEANUP): "unconfigured",
    ("inactive", ACTIVATE): "active",
    ("active", DEACTIVATE): "inactive",
}
TRANSITIONS = (CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE)
ORDER = 4  # every sequence of so many transitions occurs
SHUTDOWN = {
    "unconfigured": (Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, []),
    "inactive": (Transition.TRANSITION_INACTIVE_SHUTDOWN, [CONFIGURE]),
    "active": (Transition.TRANSITION_ACTIVE_SHUTDOWN, [CONFIGURE, ACTIVATE]),
}


def every_sequence(letters, length):
    """A sequence that contains every word of ``length`` letters (de Bruijn, greedy), unrolled."""
    word = [letters[0]] * length
    seen, out = {tuple(word)}, list(word)
    while True:
        for letter in reversed(letters):
            candidate = (*out[len(out) - length + 1 :], letter)
            if candidate not in seen:
                seen.add(candidate)
                out.append(letter)
                break
        else:
            return out


def test_the_sequence_is_complete():
    sequence = every_sequence(TRANSITIONS, ORDER)
    found = {tuple(sequence[i : i + ORDER]) for i in range(len(sequence) - ORDER + 1)}
    assert found == set(itertools.product(TRANSITIONS, repeat=ORDER))


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_every_order_of_transitions_leads_where_the_life_cycle_says():
    with running(FakeEstimator(), activate=False) as rig:
        state = "unconfigured"
        held = {}
        for step, transition in enumerate(every_sequence(TRANSITIONS, ORDER)):
            expected = NEXT.get((state, transition))
            assert rig.change(transition) == (expected is not None), (step, state, transition)
            state = expected or state
            assert rig.state() == state
            held.setdefault(state, []).append((threading.active_count(), descriptors()))
        while state != "active":
            transition = CONFIGURE if state == "unconfigured" else ACTIVATE
            assert rig.change(transition)
            state = NEXT[state, transition]
        rig.connect()
        Probe(rig).unharmed()
    for numbers in held.values():  # neither threads nor file descriptors pile up
        assert numbers[-1][0] == numbers[0][0]
        assert numbers[-1][1] <= numbers[0][1] + 2


@pytest.mark.parametrize("state", SHUTDOWN)
def test_shut_down_from_any_state_is_final(state):
    shutdown, path = SHUTDOWN[state]
    with running(FakeEstimator(), activate=False) as rig:
        for transition in path:
            assert rig.change(transition)
        others = {item for item, _ in SHUTDOWN.values()} - {shutdown}
        assert not any(rig.change(other) for other in others)
        assert rig.state() == state
        assert rig.change(shutdown)
        assert rig.state() == "finalized"
        for transition in (*TRANSITIONS, shutdown):
            assert not rig.change(transition)
        assert rig.state() == "finalized"
        assert rig.node.fault is None
