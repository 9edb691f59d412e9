"""The overlay's tf2 buffer: chains, times and errors, as tf2 has them."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="the buffer needs rclpy")

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from tf2_ros import (
    Buffer,
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
)

NOW = Time()
QUARTER = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))  # about z


def moved(parent, child, t=(0.0, 0.0, 0.0), q=(0.0, 0.0, 0.0, 1.0), seconds=0.0):
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = at(seconds).to_msg()
    to, turn = message.transform.translation, message.transform.rotation
    to.x, to.y, to.z = t
    turn.x, turn.y, turn.z, turn.w = q
    return message


def at(seconds):
    return Time(nanoseconds=round(seconds * 1e9))


def matrix(message):
    to, turn = message.transform.translation, message.transform.rotation
    T = np.eye(4)
    T[:3, :3] = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
    T[:3, 3] = to.x, to.y, to.z
    return T


def test_chains_are_products_up_and_down_the_tree():
    generator = np.random.default_rng(1)
    buffer, product = Buffer(), {"base": np.eye(4)}
    for parent, child in (("base", "arm"), ("arm", "camera"), ("base", "table"), ("table", "cup")):
        q = Rotation.random(random_state=generator).as_quat()
        message = moved(parent, child, tuple(generator.normal(size=3)), tuple(q))
        buffer.set_transform_static(message, "test")
        product[child] = product[parent] @ matrix(message)
    for a in product:
        for b in product:
            found = buffer.lookup_transform(a, b, NOW)
            expected = np.linalg.inv(product[a]) @ product[b]
            assert np.allclose(matrix(found), expected, atol=1e-12), (a, b)
            assert (found.header.frame_id, found.child_frame_id) == (a, b)


def test_between_two_samples_the_motion_is_even():
    buffer = Buffer()
    buffer.set_transform(moved("base", "arm", seconds=1), "test")
    buffer.set_transform(moved("base", "arm", (1.0, 0.0, 0.0), QUARTER, seconds=2), "test")
    found = matrix(buffer.lookup_transform("base", "arm", at(1.25)))
    angle = math.radians(90 / 4)
    assert found[:2, 0] == pytest.approx([math.cos(angle), math.sin(angle)])
    assert found[:3, 3] == pytest.approx([0.25, 0, 0])


def test_nothing_is_extrapolated():
    buffer = Buffer()
    for seconds in (1, 2):
        buffer.set_transform(moved("base", "arm", seconds=seconds), "test")
    for seconds in (0.5, 2.5):
        assert not buffer.can_transform("base", "arm", at(seconds))
        with pytest.raises(ExtrapolationException, match="extrapolation into the"):
            buffer.lookup_transform("base", "arm", at(seconds))


def test_only_the_way_between_two_frames_must_be_known_at_the_time():
    buffer = Buffer()
    buffer.set_transform(moved("map", "base", seconds=1), "test")  # above the way
    buffer.set_transform_static(moved("base", "camera", (0.0, 0.0, 1.0)), "test")
    assert matrix(buffer.lookup_transform("base", "camera", at(9)))[2, 3] == 1
    with pytest.raises(ExtrapolationException):
        buffer.lookup_transform("map", "camera", at(9))


def test_zero_asks_for_the_newest_common_time():
    buffer = Buffer()
    for seconds in (1, 2, 3):
        buffer.set_transform(moved("base", "arm", (float(seconds), 0.0, 0.0), seconds=seconds), "")
    for seconds in (1, 2):
        buffer.set_transform(moved("arm", "camera", seconds=seconds), "test")
    found = buffer.lookup_transform("base", "camera", NOW)
    assert (found.transform.translation.x, found.header.stamp.sec) == (2, 2)


def test_what_is_too_old_is_forgotten_and_clearing_keeps_what_is_static():
    buffer = Buffer(cache_time=Duration(seconds=5))
    buffer.set_transform_static(moved("arm", "camera"), "test")
    for seconds in (1, 2, 10):
        buffer.set_transform(moved("base", "arm", seconds=seconds), "test")
    with pytest.raises(ExtrapolationException):
        buffer.lookup_transform("base", "arm", at(2))
    buffer.set_transform(moved("base", "arm", seconds=1), "test")
    assert not buffer.can_transform("base", "arm", at(1))
    buffer.clear()
    assert buffer.can_transform("arm", "camera", at(1))
    buffer.set_transform(moved("base", "arm", seconds=1), "test")
    assert buffer.can_transform("base", "camera", at(1))


def test_waiting_ends_when_it_comes_or_when_time_is_up():
    buffer = Buffer()
    late = threading.Timer(0.1, buffer.set_transform_static, (moved("base", "arm"), "test"))
    late.start()
    assert buffer.lookup_transform("base", "arm", NOW, Duration(seconds=30))
    late.join()
    with pytest.raises(LookupException, match="'sky'"):
        buffer.lookup_transform("base", "sky", NOW, Duration(nanoseconds=10_000_000))


def test_errors_name_their_kind():
    buffer = Buffer()
    buffer.set_transform_static(moved("base", "arm"), "test")
    buffer.set_transform_static(moved("map", "table"), "test")
    with pytest.raises(ConnectivityException):
        buffer.lookup_transform("base", "table", NOW)
    for name in ("", "/base"):
        with pytest.raises(InvalidArgumentException):
            buffer.lookup_transform(name, "arm", NOW)
    for bad in (
        moved("base", "base"),
        moved("base", ""),
        moved("base", "arm", (math.nan, 0.0, 0.0)),
        moved("base", "arm", q=(0.0, 0.0, 0.0, 0.0)),
    ):
        with pytest.raises(InvalidArgumentException):
            buffer.set_transform(bad, "test")


def test_a_circle_is_an_error():
    buffer = Buffer()
    buffer.set_transform_static(moved("a", "b"), "test")
    buffer.set_transform_static(moved("b", "a"), "test")
    buffer.set_transform_static(moved("x", "y"), "test")
    with pytest.raises(ConnectivityException):
        buffer.lookup_transform("x", "a", NOW)
