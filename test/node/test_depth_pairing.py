"""Colour images find their depth images, on a clock that the test moves."""

import pytest
from node_fakes import fake_message

from cope_ros.input.depth_image import Fault
from cope_ros.input.depth_pairing import ALIVE, DepthMatcher
from cope_ros.input.drops import Cause
from cope_ros.input.mailbox import SYNC_WAIT, Mailbox

MS = 1_000_000


class Desk:
    """A mailbox with depth and a clock of its own; stamps in milliseconds."""

    def __init__(self, mode: str = "auto", reach: float = 0.02) -> None:
        self.now, self.drops = 100.0, []
        matcher = DepthMatcher(mode == "required", lambda: reach, lambda: self.now)
        self.box = Mailbox(self.drops.append, lambda: "latest", lambda: self.now, matcher)

    def image(self, ms: int) -> None:
        roi = fake_message(x_offset=0, y_offset=0, width=0, height=0)
        size = {"width": 64, "height": 48, "binning_x": 0, "binning_y": 0}
        self.box.put_info(fake_message(nanosec=ms * MS, roi=roi, **size))
        self.box.put_image(fake_message(nanosec=ms * MS, width=64, height=48))

    def depth(self, ms: int, **fields: str) -> None:
        self.box.put_depth(fake_message(nanosec=ms * MS, **fields))

    def take(self):
        """Stamps of image and depth (ms), or the fault in place of the latter."""
        pair = self.box.take(0.0)
        if pair is None:
            return None
        stamp = pair.image.header.stamp.nanosec // MS
        if hasattr(pair.depth, "fault"):
            return stamp, pair.depth.fault
        return stamp, pair.depth.image.header.stamp.nanosec // MS


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_equal_stamps_pair_in_either_order(mode: str) -> None:
    desk = Desk(mode)
    desk.depth(10)
    desk.image(10)
    assert desk.take() == (10, 10)
    desk.image(43)
    assert desk.take() is None  # the depth image is under way
    desk.depth(43)
    assert desk.take() == (43, 43)
    assert desk.drops == []


@pytest.mark.parametrize(("gap", "found"), [(15, True), (-20, True), (25, False)])
def test_stamps_may_differ_by_max_difference(gap: int, found: bool) -> None:
    desk = Desk()
    desk.depth(100 + gap)
    desk.image(100)
    desk.now += 2 * SYNC_WAIT
    assert desk.take() == (100, 100 + gap if found else Fault.UNMATCHED)


def test_the_nearest_stamp_is_taken() -> None:
    desk = Desk()
    for ms in (88, 99, 112):
        desk.depth(ms)
    desk.image(100)
    assert desk.take() == (100, 99)


def test_auto_waits_only_for_a_stream_that_is_alive() -> None:
    desk = Desk()
    desk.image(10)
    assert desk.take() == (10, Fault.UNMATCHED)  # nobody has ever sent depth
    desk.depth(10)
    desk.now += ALIVE + 0.1
    desk.image(900)
    assert desk.take() == (900, Fault.UNMATCHED)


def test_no_wait_for_what_a_newer_depth_image_has_overtaken() -> None:
    desk = Desk()
    desk.depth(80)
    desk.depth(140)
    desk.image(110)
    assert desk.take() == (110, Fault.UNMATCHED)


def test_required_waits_then_drops_and_takes_an_older_image_that_has_depth() -> None:
    desk = Desk("required")
    desk.image(10)
    assert desk.take() is None
    desk.depth(10)
    desk.image(43)
    desk.now += 2 * SYNC_WAIT
    assert desk.take() == (10, 10)
    assert [error.cause for error in desk.drops] == [Cause.DEPTH]
    assert "expected one within 0.02 s" in str(desk.drops[0])


def test_an_image_that_waits_for_depth_does_not_hold_up_an_older_one_that_has_it() -> None:
    desk = Desk()
    desk.depth(10)
    desk.image(10)
    desk.image(43)
    assert desk.take() == (10, 10)
    desk.depth(43)
    assert desk.take() == (43, 43)


def test_depth_of_another_frame_is_not_registered() -> None:
    desk = Desk()
    desk.depth(10, frame_id="camera_depth_optical_frame")
    desk.image(10)
    pair = desk.box.take(0.0)
    assert pair.depth.fault == Fault.FRAME_ID
    assert "not registered" in str(pair.depth)
    assert "camera_depth_optical_frame" in str(pair.depth)


def test_the_newest_depth_info_goes_along() -> None:
    desk = Desk()
    for width in (32, 64):
        desk.box.put_depth_info(fake_message(width=width))
    desk.depth(10)
    desk.image(10)
    assert desk.box.take(0.0).depth.info.width == 64


def test_a_fast_depth_camera_is_waited_for_where_its_next_image_is_nearer() -> None:
    desk = Desk()
    desk.depth(84)
    desk.depth(101)  # 60 Hz: the next one has the image's stamp
    desk.image(118)
    assert desk.take() is None
    desk.depth(118)
    assert desk.take() == (118, 118)
    desk.image(123)
    assert desk.take() == (123, 118)  # the next one would be farther off
    desk.image(130)
    assert desk.take() is None
    desk.now += 2 * SYNC_WAIT
    assert desk.take() == (130, 118)  # that never came
