"""The depth input of the node over real DDS."""

import array
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from node_fakes import FakeEstimator, gray, make_estimate, make_image, make_info
from node_harness import running
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cope_ros.diagnostics.depth_counters import DepthCounts
from cope_ros.input import compressed_depth
from cope_ros.input.depth_image import Fault
from cope_ros.input.drops import Cause
from cope_ros.parameters import ParameterError, Parameters
from cope_ros.startup import load_estimator

TAKES_DEPTH = {"preset": "fake", "surface_points": 512}


def fake() -> FakeEstimator:
    answer = make_estimate()
    answer.depth_share[:2] = 0.9
    return FakeEstimator(answer, metadata=TAKES_DEPTH)


def make_depth(value: int = 700, stamp: int = 1, size: tuple[int, int] = (48, 64), **changes):
    return make_image(np.full(size, value, np.uint16), stamp, "16UC1", **changes)


class Cameras:
    """A colour and a depth camera beside a node."""

    def __init__(self, rig) -> None:
        self.rig = rig
        rig.connect()
        self.depth = rig.client.create_publisher(Image, "depth", 10)
        self.info = rig.client.create_publisher(CameraInfo, "depth_camera_info", 10)
        for publisher in (self.depth, self.info):
            rig.wait(lambda p=publisher: p.get_subscription_count() > 0, "depth")

    def send(self, depth: Image | None, stamp: int = 1) -> None:
        if depth is not None:
            self.depth.publish(depth)
        self.rig.send(make_image(gray(), stamp), make_info(stamp=stamp))


def test_nothing_is_subscribed_unless_asked_for() -> None:
    with running(fake()) as rig:
        rig.connect()
        assert rig.client.count_subscribers("/depth") == 0
        assert rig.client.count_subscribers("/depth_camera_info") == 0


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_depth_reaches_the_estimator_in_metres(mode: str) -> None:
    estimator = fake()
    with running(estimator, {"depth.mode": mode}) as rig:
        Cameras(rig).send(make_depth())
        rig.wait_for(1)
        rig.wait(lambda: rig.node.depth_counters.counts.instances == 3, "the count")
        assert rig.node.depth_counters.counts == DepthCounts(1, 1, {}, 3, 2)
    (found,) = estimator.depths
    assert found.depth.shape == (48, 64)
    assert np.allclose(found.depth, 0.7)
    assert found.K[0, 0] == 60.0
    assert {"depth": True} in estimator.settings


def test_compressed_depth_is_decoded_by_the_worker_and_what_is_broken_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = []
    decode = compressed_depth.decompress_depth

    def noted(message):
        threads.append(threading.current_thread().name)
        return decode(message)

    monkeypatch.setattr(compressed_depth, "decompress_depth", noted)
    estimator, remap = fake(), ("-r", "depth:=/cam/depth/compressedDepth")
    data = bytes(12) + cv2.imencode(".png", np.full((48, 64), 700, np.uint16))[1].tobytes()
    with running(estimator, {"depth.mode": "auto"}, remap) as rig:
        rig.connect()
        depth = rig.client.create_publisher(CompressedImage, "/cam/depth/compressedDepth", 10)
        rig.wait(lambda: depth.get_subscription_count() > 0, "depth")
        # Whole; cut off, as its header does not tell; no PNG, as it does.
        for number, cut in enumerate((data, data[:-30], bytes(60)), start=1):
            image = make_image(gray(), 100 * number)
            form = "16UC1; compressedDepth png"
            depth.publish(
                CompressedImage(header=image.header, format=form, data=array.array("B", cut))
            )
            counters = rig.node.depth_counters
            rig.wait(lambda n=number, c=counters: c.counts.received == n, "depth")
            rig.send(image, make_info(stamp=100 * number))
            rig.wait_for(number)
        faults = rig.node.depth_counters.counts.faults
    assert np.allclose(estimator.depths[0].depth, 0.7)
    assert estimator.depths[1:] == [None, None]
    assert faults[Fault.MALFORMED] == 2
    assert len(threads) == 2
    assert all(name.startswith("cope_worker") for name in threads)


def test_a_smaller_depth_image_has_a_camera_of_its_own() -> None:
    estimator = fake()
    with running(estimator, {"depth.mode": "required"}) as rig:
        cameras = Cameras(rig)
        cameras.info.publish(make_info((16, 16), focal=20.0))
        rig.wait(lambda: rig.node.depth_counters is not None, "info", 5.0)
        cameras.send(make_depth(size=(24, 32)))  # the camera_info is of another size
        rig.wait_for_drop(Cause.DEPTH)
        cameras.send(make_depth(size=(16, 16), stamp=2), stamp=2)
        rig.wait_for(1)
    assert estimator.depths[0].K[0, 0] == 20.0
    assert rig.node.depth_counters.counts.faults == {Fault.INTRINSICS: 1}


def test_auto_goes_on_without_depth_and_counts_why() -> None:
    estimator = fake()
    with running(estimator, {"depth.mode": "auto"}) as rig:
        cameras = Cameras(rig)
        foreign = make_depth(stamp=100)
        foreign.header.frame_id = "camera_depth_optical_frame"
        wrong = make_image(gray(), 200, "rgb8")
        for stamp, depth in ((1, foreign), (2, wrong), (3, None)):
            cameras.send(depth, stamp * 100)
            rig.wait_for(stamp)
        faults = rig.node.depth_counters.counts.faults
    assert estimator.depths == [None] * 3
    assert faults[Fault.FRAME_ID] == 1
    assert faults[Fault.MALFORMED] == 1
    assert faults[Fault.UNMATCHED] >= 1


def test_unregistered_depth_is_told_by_its_frame() -> None:
    estimator = fake()
    with running(estimator, {"depth.mode": "required"}) as rig:
        depth = make_depth()
        depth.header.frame_id = "camera_depth_optical_frame"
        Cameras(rig).send(depth)
        rig.wait_for_drop(Cause.DEPTH)
        reason = rig.node.counters.reasons[Cause.DEPTH]
    assert "camera_depth_optical_frame" in reason
    assert "not registered" in reason
    assert estimator.seen == []


def test_a_model_without_surfaces_cannot_require_depth() -> None:
    wanted = Parameters(model=str(Path(__file__).parent), depth_mode="required")
    with pytest.raises(ParameterError, match=r"depth\.mode.*surfaces"):
        load_estimator(wanted, FakeEstimator().load)


def test_a_model_without_surfaces_leaves_depth_alone_and_says_so() -> None:
    with running(FakeEstimator(), {"depth.mode": "auto"}) as rig:
        rig.connect()
        assert rig.client.count_subscribers("/depth") == 0
        rig.send(make_image(gray()), make_info())
        rig.wait_for(1)
        assert "no surfaces" in rig.node.notices.standing["inference"][0]
