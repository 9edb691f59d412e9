"""Time from odd stamps: standing, coarse, late, looped, reset, far ahead."""

from collections.abc import Iterable

import numpy as np
import pytest

from cope_ros.tracking.frame_clock import (
    JUMP_AHEAD,
    LOOP,
    MEMORY,
    STANDING,
    FrameClock,
    FrameTime,
    Moment,
)


def moments(stamps: Iterable[float], rate: float = 10.0) -> list[Moment]:
    """What a clock says of frames that arrive at ``rate`` Hz."""
    clock = FrameClock()
    return [clock.moment(FrameTime(s, 77.0 + i / rate)) for i, s in enumerate(stamps)]


def steps(found: list[Moment]) -> np.ndarray:
    return np.diff([m.time for m in found])


@pytest.mark.parametrize("start", [0.0, -3.0, 1.7e9])
def test_stamps_that_advance_are_the_time(start: float) -> None:
    stamps = start + np.cumsum([0.0, 0.1, 0.3, 0.05, 2.0])
    found = moments(stamps, rate=1.0)
    assert [m.time for m in found] == stamps.tolist()
    assert not any(m.anew or m.by_arrival for m in found)


@pytest.mark.parametrize("stamp", [0.0, -1.0, 1.7e9])
def test_stamps_that_stand_still_give_way_to_arrival(stamp: float) -> None:
    found = moments([stamp] * 20, rate=5.0)
    assert steps(found)[STANDING:] == pytest.approx(0.2, abs=1e-6)
    assert found[-1].by_arrival
    assert not any(m.anew for m in found)


@pytest.mark.parametrize("rate", [1.9, 5.0, 30.0, 60.0])
def test_whole_seconds_are_too_coarse(rate: float) -> None:
    found = moments([float(int(i / rate)) for i in range(int(10 * rate))], rate)
    assert found[-1].by_arrival
    assert steps(found)[-int(5 * rate) :] == pytest.approx(1 / rate, abs=1e-6)


def test_a_driver_that_comes_to_itself_is_believed_again() -> None:
    found = moments([0.0] * 5 + [50.0 + i / 20 for i in range(2 * MEMORY)], rate=10.0)
    assert not found[-1].by_arrival
    assert steps(found)[-1] == pytest.approx(0.05)
    assert (steps(found) >= 0).all()


@pytest.mark.parametrize("odd", [0.1, 0.05, 0.0])
def test_one_late_or_repeated_frame_moves_nothing(odd: float) -> None:
    found = moments([0.0, 0.1, odd, 0.2, 0.3])
    assert [m.time for m in found] == [0.0, 0.1, 0.1, 0.2, 0.3]
    assert not any(m.anew or m.by_arrival for m in found)


@pytest.mark.parametrize("length", [LOOP, 5, 9, 10, 40])
def test_a_recording_that_loops_starts_anew_once_a_turn(length: int) -> None:
    found = moments([7.0 + i % length / 10 for i in range(6 * length)])
    assert sum(bool(m.anew) for m in found) >= 3
    assert sum(bool(m.anew) for m in found) <= 5
    if length > MEMORY:  # shorter ones begin anew so often that arrival counts
        assert not any(m.by_arrival for m in found)
        assert all("back" in m.anew for m in found if m.anew)


def test_two_frames_in_turn_go_by_arrival() -> None:
    found = moments([7.0 + i % 2 / 10 for i in range(40)])
    assert found[-1].by_arrival
    assert steps(found)[-10:] == pytest.approx(0.1, abs=1e-6)


def test_a_driver_that_often_sends_zero_goes_by_arrival_without_new_starts() -> None:
    found = moments([0.0 if i % 2 else 1e9 + i / 10 for i in range(60)])
    assert not any(m.anew for m in found[MEMORY:])
    assert steps(found)[-20:] == pytest.approx(0.1, abs=1e-6)


def test_a_simulator_that_is_reset_says_by_how_much() -> None:
    found = moments([100.0, 100.1, 0.0, 0.1])
    assert found[2] == Moment(0.0, "stamps went back by 100.1 s")
    assert [m.time for m in found[2:]] == [0.0, 0.1]


def test_one_stamp_far_ahead_costs_two_new_starts() -> None:
    found = moments([100.0, 100.1, 1e9, 100.3, 100.4])
    assert "leapt ahead" in found[2].anew
    assert "went back" in found[3].anew
    assert [m.time for m in found[3:]] == [100.3, 100.4]


def test_a_pause_is_no_leap() -> None:
    clock = FrameClock()
    clock.moment(FrameTime(5.0, 5.0))
    pause = 3 * JUMP_AHEAD
    assert clock.moment(FrameTime(5.0 + pause, 5.1 + pause)) == Moment(5.0 + pause)
