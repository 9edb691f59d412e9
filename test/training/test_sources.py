"""Mixed and repeated training sources: exact shares, order, no frame kept too long."""

import weakref

import numpy as np
import pytest

from cope_training.data.sources import MixedFrames, RepeatedFrames


class Numbered:
    """A source whose frames tell their number and where they come from."""

    def __init__(self, name: int) -> None:
        self.name = name

    def open(self):
        return lambda number: (self.name, number)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.7])
def test_mixtures_are_exact_and_leave_no_frame_out(share: float) -> None:
    read = MixedFrames(Numbered(0), Numbered(1), share).open()
    frames = [read(i) for i in range(200)]
    for name, expected in ((0, share), (1, 1 - share)):
        numbers = [number for n, number in frames if n == name]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) == pytest.approx(200 * expected, abs=1)


def test_each_frame_is_used_as_often_as_asked_and_far_apart() -> None:
    repeats, pool = 3, 5
    read = RepeatedFrames(Numbered(0), repeats, pool).open()
    numbers = [read(i)[1] for i in range(300)]
    for number in range((repeats - 1) * pool, 80):  # after the start, before the end
        places = [i for i, n in enumerate(numbers) if n == number]
        assert len(places) == repeats
        assert min(np.diff(places)) >= repeats * (pool - 1)
    late = RepeatedFrames(Numbered(0), repeats, pool).open()  # as a resumed training opens it
    assert [late(i)[1] for i in range(151, 200)] == numbers[151:200]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_frames_are_not_kept_beyond_their_uses(workers: int) -> None:
    repeats, pool = 4, 8
    alive: weakref.WeakSet[Numbered] = weakref.WeakSet()

    class Tracked:
        def open(self):
            def read(number: int) -> Numbered:
                frame = Numbered(number)
                alive.add(frame)
                return frame

            return read

    read = RepeatedFrames(Tracked(), repeats, pool).open()
    for i in range(0, 1000, workers):
        read(i)
        assert len(alive) <= repeats * pool + 1


def test_frames_are_rendered_once_for_all_their_uses() -> None:
    asked: list[int] = []

    class Counted:
        def open(self):
            return lambda number: asked.append(number) or number

    read = RepeatedFrames(Counted(), 4, 8).open()
    for i in range(400):
        read(i)
    assert len(asked) == len(set(asked)) <= 100 + 3 * 8
