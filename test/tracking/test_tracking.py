"""Ids over time: occlusion, crossing, a moving camera, odd clocks, recycling, speed."""

import time
from dataclasses import replace

import numpy as np
import pytest
from tracking_scene import CATALOGUE, ROW, SETTINGS, Watcher, camera_motion, make_estimate

from cope_ros.tracking import Tracker, left_to_right
from cope_ros.tracking.slot_pool import REST
from cope_ros.tracking.tracker import MAX_LOST

RATES = (30.0, 10.0, 4.0)


def noisy(t: np.ndarray, seed: int) -> np.ndarray:
    """Positions with 5 mm of noise across and 15 mm along the ray."""
    return t + np.random.default_rng(seed).normal(0, [0.005, 0.005, 0.015], t.shape)


@pytest.mark.parametrize("rate", RATES)
def test_ids_outlive_half_a_second_of_occlusion(rate: float) -> None:
    watcher = Watcher()
    for i in range(int(3 * rate)):
        hidden = 1.0 <= i / rate <= 1.5
        who = [0, 1, 3, 4] if hidden else [0, 1, 2, 3, 4]
        watcher.see(i / rate, noisy(ROW, i)[who], who)
    assert watcher.switches() == 0
    assert len(watcher.slots_of[2]) < len(watcher.slots_of[0])


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("occluded", [False, True])
def test_ids_survive_objects_of_one_kind_that_cross(rate: float, occluded: bool) -> None:
    watcher = Watcher()
    for i in range(int(4 * rate)):
        x = 0.3 * (i / rate - 2.0)
        t = np.vstack([[[x, -0.02, 1.0], [-x, 0.02, 1.0]], ROW + np.array([0, 0.3, 0.2])])
        who = [0, *range(2, 7)] if occluded and abs(x) < 0.075 else list(range(7))
        watcher.see(i / rate, noisy(t, i)[who], who)
    assert watcher.switches() == 0


def test_nearest_neighbours_alone_would_swap_the_crossing_objects() -> None:
    """The scene above is one in which the velocity is needed."""
    swaps = 0
    for rate in RATES:
        before = None
        for i in range(int(4 * rate)):
            x = 0.3 * (i / rate - 2.0)
            now = np.array([[x, -0.02, 1.0], [-x, 0.02, 1.0]])
            if abs(x) < 0.075:
                continue
            if before is not None:
                gap = np.linalg.norm(now[:, None] - before, axis=2)
                swaps += int(gap[0, 0] + gap[1, 1] > gap[0, 1] + gap[1, 0])
            before = now
    assert swaps == len(RATES)


@pytest.mark.parametrize("rate", RATES)
def test_a_moving_camera_keeps_the_ids_of_a_crowd(rate: float) -> None:
    """0.2 m/s across the view over a grid of 10 cm: at 4 Hz half its pitch from frame to frame."""
    watcher = Watcher()
    grid = np.stack(np.meshgrid([-0.2, -0.1, 0.0, 0.1, 0.2], [-0.1, 0.0, 0.1], [0.9]), -1)
    t = grid.reshape(-1, 3)
    for i in range(int(3 * rate)):
        s = i / rate
        way = s * s / 2 if s < 1 else s - 0.5  # s, a soft start
        T = camera_motion(way, [-0.1, 0.05, 0.0], [0.0, np.deg2rad(20), 0.1])
        who = [n for n in range(len(t)) if (n + int(2 * s)) % 5]  # each is hidden at times
        watcher.see(s, noisy(t @ T[:3, :3].T + T[:3, 3], i)[who], who)
    assert watcher.switches() == 0


def test_a_slot_rests_until_tf2_has_forgotten_its_owner() -> None:
    watcher = Watcher()
    near, far = [[0.0, 0.0, 1.0]], [[0.4, 0.0, 1.0]]
    assert watcher.see(0.0, near) == [0]
    assert watcher.see(2.5, far) == [1]  # another object after the timeout: not the old slot
    watcher.see(5.0, [])
    assert watcher.see(REST - 0.1, near) == [2]
    assert watcher.see(REST + 2.4, [[-0.4, 0.0, 1.0]]) == [0]


def test_an_id_is_given_up_after_the_timeout() -> None:
    watcher = Watcher(replace(SETTINGS, timeout=1.0))
    at = [[0.0, 0.0, 1.0]]
    assert watcher.see(0.0, at) == [0]
    assert watcher.see(0.9, at) == [0]
    assert watcher.see(2.0, at) == [1]


def test_unconfirmed_instances_stay_unpublished() -> None:
    watcher = Watcher(replace(SETTINGS, confirm=3))
    assert [watcher.see(i / 10, ROW[:1]).tolist() for i in range(4)] == [[-1], [-1], [0], [0]]
    assert [watcher.see(1 + i / 10, ROW[[0, 4]]).tolist() for i in range(3)] == [
        [0, -1],
        [0, -1],
        [0, 1],
    ]


def test_first_ids_go_from_left_to_right_and_count_per_class() -> None:
    watcher = Watcher()
    assert watcher.see(0.0, ROW[[4, 0, 2, 1]], class_index=np.array([0, 0, 0, 1])).tolist() == [
        2,
        0,
        1,
        0,
    ]


def test_classes_never_mix() -> None:
    watcher = Watcher()
    assert watcher.see(0.0, ROW[:2], class_index=np.array([0, 1])).tolist() == [0, 0]
    watcher.see(0.1, ROW[:2], class_index=np.array([1, 0]))
    assert len(watcher.tracker) == 4


def test_late_and_repeated_stamps_find_the_same_ids() -> None:
    watcher = Watcher()
    for stamp in (10.0, 10.1, 10.1, 10.05, 10.2, 9.5, 10.3):
        assert watcher.see(stamp, ROW).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("stamp", [0.0, -5.0])
def test_a_clock_that_stands_still_shows_what_comes(stamp: float) -> None:
    watcher = Watcher()
    assert watcher.see(stamp, ROW[:2]).tolist() == [0, 1]
    assert watcher.see(stamp, ROW).tolist() == [0, 1, 2, 3, 4]


def test_memory_stays_bounded_when_the_clock_stands_still() -> None:
    tracker = Tracker(CATALOGUE)
    rng = np.random.default_rng(0)
    for _ in range(300):
        tracker.track(5.0, make_estimate(rng.uniform(-50, 50, (20, 3))), SETTINGS)
    assert len(tracker) <= MAX_LOST + 20


def test_a_restart_forgets_time_and_slots_too() -> None:
    watcher = Watcher()
    watcher.see(100.0, ROW)
    watcher.see(104.0, ROW + np.array([0, 0.5, 0]))
    watcher.tracker.restart()
    assert watcher.see(1.0, ROW).tolist() == [0, 1, 2, 3, 4]
    assert watcher.see(1.1, ROW + np.array([0.02, 0, 0])).tolist() == [0, 1, 2, 3, 4]


def test_reset_forgets_the_objects_but_not_the_slots_in_tf2() -> None:
    watcher = Watcher()
    watcher.see(0.0, ROW)
    watcher.tracker.reset()
    assert len(watcher.tracker) == 0
    assert watcher.see(0.1, ROW).tolist() == [5, 6, 7, 8, 9]
    watcher.tracker.reset()
    assert sorted(watcher.see(0.2 + REST, ROW)) == [0, 1, 2, 3, 4]


def test_non_finite_rows_get_no_slot_and_spoil_nothing() -> None:
    tracker = Tracker(CATALOGUE)
    t = ROW.copy()
    tracker.track(0.0, make_estimate(t), SETTINGS)
    t[1, 2], t[3, 0] = np.nan, np.inf
    assert tracker.track(0.1, make_estimate(t), SETTINGS).slots.tolist() == [0, -1, 2, -1, 4]
    tracked = tracker.track(0.2, make_estimate(ROW), SETTINGS)
    assert tracked.slots.tolist() == [0, 1, 2, 3, 4]
    assert np.isfinite(tracked.estimate.R).all()


@pytest.mark.parametrize("counts", [(0, 0, 3), (3, 0, 0, 3), (0, 2, 5, 1)])
def test_empty_frames(counts: tuple[int, ...]) -> None:
    watcher = Watcher()
    for i, count in enumerate(counts):
        assert watcher.see(i / 10, ROW[:count]).tolist() == list(range(count))


def test_points_at_the_camera_and_behind_it_are_tracked_finitely() -> None:
    tracker = Tracker(CATALOGUE)
    for i in range(5):
        tracked = tracker.track(i / 10, make_estimate([[0, 0, 0], [0, 0, -1.0]]), SETTINGS)
        assert tracked.slots.tolist() == [0, 1]


def test_disabled_means_left_to_right_in_every_frame() -> None:
    watcher = Watcher(replace(SETTINGS, enable=False))
    assert watcher.see(0.0, ROW[[1, 0]]).tolist() == [1, 0]
    assert watcher.see(0.1, ROW[[4]]).tolist() == [0]
    assert left_to_right(make_estimate(ROW[::-1])).tolist() == [4, 3, 2, 1, 0]


def test_gates_bound_what_one_object_can_do() -> None:
    for change in ({"gate_distance": 0.01}, {"gate_rotation": 0.01}):
        tracker = Tracker(CATALOGUE)
        wide = replace(SETTINGS, **change)
        tracker.track(0.0, make_estimate([[0, 0, 1.0]]), wide)
        turned = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
        moved = make_estimate([[0.04, 0, 1.0]], turned)
        assert tracker.track(0.03, moved, wide).slots.tolist() == [1], change


def test_a_hundred_instances_cost_little() -> None:
    """A loose bound for busy machines; docs/tracking.md states the measured time."""
    rng = np.random.default_rng(0)
    t = rng.uniform([-0.5, -0.4, 0.6], [0.5, 0.4, 1.2], (100, 3))
    index = rng.integers(len(CATALOGUE), size=100)
    tracker, spent = Tracker(CATALOGUE), []
    for i in range(30):
        estimate = make_estimate(noisy(t, i), class_index=index)
        start = time.process_time()
        tracker.track(i / 30, estimate, SETTINGS)
        spent.append(time.process_time() - start)
    assert np.median(spent) < 0.02


@pytest.mark.parametrize("settled", [True, False])
def test_it_does_not_matter_when_the_tracker_learns(settled: bool) -> None:
    first, second = Tracker(CATALOGUE), Tracker(CATALOGUE)
    for i in range(30):
        estimate = make_estimate(noisy(ROW + np.array([0.01 * i, 0, 0]), i))
        a, b = (tracker.track(i / 30, estimate, SETTINGS) for tracker in (first, second))
        assert (a.slots == b.slots).all()
        assert np.array_equal(a.estimate.R, b.estimate.R)
        first.settle()
        if settled:
            second.settle()
            second.settle()  # a second time there is nothing to learn
    first.settle()
    first.reset()
    first.settle()
    assert len(first) == 0
