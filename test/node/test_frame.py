"""A frame without ROS: which poses may leave."""

from dataclasses import replace

import numpy as np
import pytest
from node_fakes import CATALOGUE, FakeEstimator, make_estimate

from cope_ros.core.catalogue import Catalogue
from cope_ros.frame import FrameEstimator
from cope_ros.tracking import FrameTime, Tracker, TrackSettings


def numbered(estimate, catalogue=CATALOGUE, limit=100):
    estimator = FakeEstimator(answer=estimate, catalogue=catalogue)
    frames = FrameEstimator(estimator, Tracker(catalogue))
    return frames.number(FrameTime(1.0, 1.0), estimate, limit, TrackSettings(), "")


@pytest.mark.parametrize("z", [0.099, 0.0, -0.011, -1.0, np.nan, np.inf, -np.inf])
def test_a_pose_within_the_objects_radius_or_behind_the_camera_is_left_out(z):
    estimate = make_estimate(3)
    estimate.t[0] = (0.0, 0.0, z)  # a carton of 0.2 m
    found = numbered(estimate)
    assert found.impossible == 1
    assert len(found.ids) == 2
    assert (found.estimate.t[:, 2] >= 0.1).all()


def test_the_mesh_counts_where_its_origin_lies_at_its_foot():
    """The carton stands on its origin: turned towards the camera, its middle is 8 cm nearer."""
    estimate = make_estimate(1)
    estimate.R[0] = np.diag([1.0, -1.0, -1.0])
    estimate.t[0] = (0.0, 0.0, 0.15)
    assert numbered(estimate).ids == []
    estimate.t[0] = (0.0, 0.0, 0.19)
    assert numbered(estimate).ids == ["carton_0"]


def test_an_origin_far_from_the_mesh_may_lie_anywhere():
    far = Catalogue.from_dict(
        {
            "1": {
                **{"name": "part", "diameter": 120.0, "min_x": -40.0, "min_y": -40.0},
                **{"min_z": 1950.0, "size_x": 80.0, "size_y": 80.0, "size_z": 100.0},
            }
        }
    )
    estimate = make_estimate(1)
    estimate.t[0] = (0.0, 0.0, -1.0)  # the mesh itself 1 m in front
    assert numbered(estimate, far).ids == ["part_0"]


def test_impossible_rows_take_nobodys_place():
    estimate = make_estimate(4)
    estimate.t[0, 2] = -1.0
    assert len(numbered(estimate, limit=3).ids) == 3


def test_no_instances_are_no_fault():
    empty = make_estimate(3)
    rows = {name: getattr(empty, name)[:0] for name in vars(empty)}
    assert numbered(replace(empty, **rows)).ids == []


def cups(x: float):
    """One cup at ``x`` m."""
    estimate = make_estimate(3)
    estimate.t[1, 0] = x
    return replace(estimate, **{name: value[1:2] for name, value in vars(estimate).items()})


@pytest.mark.parametrize("confirm", [1, 3])
@pytest.mark.parametrize("stamps", [lambda s: 0.0, lambda s: -7.5, int, lambda s: 2.0 * int(s / 2)])
def test_ids_stay_with_moving_objects_where_stamps_do_not_advance(stamps, confirm):
    """A cup of 0.1 m goes 0.2 m/s: with a clock that stood still it would leave its gate."""
    tracker = Tracker(CATALOGUE)
    frames = FrameEstimator(FakeEstimator(catalogue=CATALOGUE), tracker)
    settings, seen, told = TrackSettings(confirm=confirm), [], False
    for number in range(40):
        now = number / 10
        taken = FrameTime(stamps(now), 500.0 + now)
        found = frames.number(taken, cups(-0.4 + 0.2 * now), 100, settings, "")
        seen += found.ids
        told |= found.moment.by_arrival
    assert set(seen) == {"cup_0"}
    assert len(seen) >= 34
    assert told


@pytest.mark.parametrize("length", [4, 8, 30])
def test_a_loop_gives_the_numbers_of_its_first_turn(length):
    frames = FrameEstimator(FakeEstimator(catalogue=CATALOGUE), Tracker(CATALOGUE))
    ids = set()
    for number in range(5 * length):
        now = number % length / 10
        taken = FrameTime(100.0 + now, number / 10)
        found = frames.number(taken, cups(0.3 * now), 100, TrackSettings(), "")
        ids |= set(found.ids)
        if number % length == length - 1:  # each turn ends as the first did
            assert found.ids == ["cup_0"]
    assert "cup_0" in ids
