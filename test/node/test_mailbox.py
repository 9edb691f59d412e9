"""Pairing of images with camera_info, on a clock that the test moves."""

import threading

import pytest
from node_fakes import fake_message

from cope_ros.input.drops import Cause
from cope_ros.input.mailbox import IMAGES_KEPT, INFOS_KEPT, SYNC_WAIT, Mailbox


class Desk:
    """A mailbox with a clock of its own; each look waits for nothing."""

    def __init__(self, policy="latest"):
        self.now, self.policy, self.drops, self.any_frame = 0.0, policy, [], False
        self.box = Mailbox(
            lambda error: self.drops.append(error.cause),
            lambda: self.policy,
            lambda: self.now,
            any_frame=lambda: self.any_frame,
        )

    def image(self, sec, width=64, frame_id="camera"):
        self.box.put_image(fake_message(sec=sec, width=width, height=48, frame_id=frame_id))

    def info(self, sec, width=64, frame_id="camera"):
        roi = fake_message(x_offset=0, y_offset=0, width=0, height=0)
        size = {"width": width, "height": 48, "binning_x": 0, "binning_y": 0}
        self.box.put_info(fake_message(sec=sec, frame_id=frame_id, roi=roi, **size))

    def take(self):
        pair = self.box.take(0.0)
        return pair and (pair.image.header.stamp.sec, pair.info.header.stamp.sec)


@pytest.mark.parametrize("policy", ["exact", "latest"])
@pytest.mark.parametrize("frames", [("", "camera"), ("camera", ""), ("/camera", "camera"),
                                    ("camera", "/camera"), ("", "")])  # fmt: skip
def test_an_empty_frame_id_and_a_leading_slash_contradict_nothing(policy, frames):
    desk = Desk(policy)
    desk.info(1, frame_id=frames[1])
    desk.image(1, frame_id=frames[0])
    assert desk.take() == (1, 1)


@pytest.mark.parametrize("policy", ["exact", "latest"])
def test_another_frame_id_is_taken_when_told_so(policy):
    desk = Desk(policy)
    desk.info(1, frame_id="camera_link")
    desk.image(1, frame_id="camera_optical")
    assert desk.take() is None
    assert desk.drops == [Cause.FRAME_ID] or desk.policy == "latest"
    desk.any_frame = True
    desk.image(1, frame_id="camera_optical")
    assert desk.take() == (1, 1)


@pytest.mark.parametrize("policy", ["exact", "latest"])
def test_exact_stamps_pair_in_either_order_of_arrival(policy):
    desk = Desk(policy)
    desk.info(1)
    desk.image(1)
    assert desk.take() == (1, 1)
    desk.image(2)
    desk.info(2)
    assert desk.take() == (2, 2)
    assert desk.take() is None
    assert desk.drops == []


def test_the_newest_pair_is_taken_and_older_images_are_superseded():
    desk = Desk()
    for sec in (1, 2, 3):
        desk.info(sec)
        desk.image(sec)
    assert desk.take() == (3, 3)
    assert desk.drops == [Cause.SUPERSEDED] * 2
    assert desk.take() is None


def test_latest_takes_the_newest_info_that_fits():
    desk = Desk()
    desk.info(1)
    desk.info(2)
    desk.info(3, frame_id="other")
    desk.info(4, width=32)
    desk.image(9)
    assert desk.take() == (9, 2)


def test_a_stream_of_exact_pairs_makes_the_next_image_wait_for_its_own_info():
    desk = Desk()
    for sec in (1, 2):
        desk.info(sec)
        desk.image(sec)
        desk.take()
    desk.image(3)
    assert desk.take() is None
    desk.info(3)
    assert desk.take() == (3, 3)
    desk.image(4)
    desk.now = SYNC_WAIT
    assert desk.take() == (4, 3)
    desk.image(5)
    assert desk.take() == (5, 3)  # no use waiting any more
    assert desk.drops == []


def test_exact_refuses_other_stamps_after_a_while():
    desk = Desk("exact")
    desk.info(1)
    desk.image(2)
    assert desk.take() is None
    assert desk.drops == []
    desk.now = SYNC_WAIT
    assert desk.take() is None
    assert desk.drops == [Cause.UNPAIRED]


@pytest.mark.parametrize(
    ("info", "cause"),
    [
        (None, Cause.NO_CAMERA_INFO),
        ({"frame_id": "other"}, Cause.FRAME_ID),
        ({"width": 32}, Cause.SIZE),
    ],
)
def test_an_image_that_no_info_fits_is_dropped_with_the_cause(info, cause):
    desk = Desk()
    if info is not None:
        desk.info(1, **info)
    desk.image(2)
    assert desk.take() is None
    desk.now = SYNC_WAIT
    assert desk.take() is None
    assert desk.drops == [cause]


def test_an_exact_partner_that_contradicts_the_image_drops_it_at_once():
    desk = Desk()
    desk.info(0)
    desk.info(1, width=32)
    desk.image(1)
    assert desk.take() is None
    assert desk.drops == [Cause.SIZE]


def test_memory_is_bounded():
    desk = Desk("exact")
    for sec in range(IMAGES_KEPT + 5):
        desk.image(1000 + sec)
    assert desk.drops == [Cause.NO_CAMERA_INFO] * 5
    for sec in range(INFOS_KEPT + 5):
        desk.info(sec)
    desk.image(4)  # its camera_info has been forgotten
    desk.image(5)
    assert desk.take() == (5, 5)


def test_a_waiting_worker_wakes_for_a_pair():
    drops = []
    box = Mailbox(drops.append, lambda: "latest")
    taken = []
    thread = threading.Thread(target=lambda: taken.append(box.take(20.0)))
    thread.start()
    roi = fake_message(x_offset=0, y_offset=0, width=0, height=0)
    box.put_image(fake_message(width=8, height=8))
    box.put_info(fake_message(width=8, height=8, binning_x=0, binning_y=0, roi=roi))
    thread.join(10.0)
    assert not thread.is_alive()
    assert taken[0].image.width == 8
    assert drops == []
