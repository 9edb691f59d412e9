"""The node with exported model files instead of a stand-in: a gauge, and a real network."""

from pathlib import Path

import cv2
import pytest
import torch
from node_fakes import CATALOGUE, gray, make_image, make_info
from node_gauge import SIZE, save_gauge
from node_harness import running
from rclpy.parameter import Parameter

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.runtime import Estimator
from cope_ros.core.network.build import build_network
from cope_ros.core.network.presets import PRESETS
from cope_training.export import export_network

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"


@pytest.fixture(scope="module")
def gauge(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("gauge") / "model.pt"
    save_gauge(path)
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """A real network of random weights."""
    path = tmp_path_factory.mktemp("network") / "model.pt"
    torch.manual_seed(0)
    untrained = build_network(PRESETS["lite"], CATALOGUE)
    size = (320, 256)
    export_network(untrained, PRESETS["lite"], CATALOGUE, path, preset="lite", input_size=size)
    return path


def test_pixels_and_intrinsics_reach_the_model_at_its_own_size(gauge):
    pixels = gray(96, 192)
    pixels[:] = (200, 150, 0)
    image = make_image(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), encoding="bgr8")
    info = make_info((384, 192), focal=300.0)
    info.binning_x = info.binning_y = 2
    with running(Estimator, {"model": str(gauge), "device": "cpu"}) as rig:
        rig.connect()
        rig.send(image, info)
        detections = rig.wait_for(1).detections
        assert rig.latched().method == "COPE gauge"
    assert [d.results[0].hypothesis.class_id for d in detections] == ["carton", "cup"]
    first, second = (d.results[0].pose.pose.position for d in detections)
    # 384 px wide, binned to 192, scaled to 64: a sixth of the focal length.
    assert first.x == pytest.approx(0.3 / 6)
    # The principal point, in the middle, stays in the middle.
    assert first.y == pytest.approx((SIZE[0] - 1) / 2 / 1000, abs=1e-6)
    assert (first.z, second.z) == pytest.approx((0.2, 0.15), abs=1e-3)


def test_live_parameters_reach_the_model(gauge):
    parameters = {"model": str(gauge), "device": "cpu", "classes": ["cup"]}
    with running(Estimator, parameters) as rig:
        rig.connect()
        rig.send(make_image(gray(), 1), make_info(stamp=1))
        (only,) = rig.wait_for(1).detections
        assert only.id == "cup_0"
        high = rig.node.set_parameters([Parameter("score_threshold", value=0.9)])
        assert high[0].successful
        rig.send(make_image(gray(), 2), make_info(stamp=2))
        assert rig.wait_for(2).detections == []


def test_a_network_answers_every_frame(network):
    with running(Estimator, {"model": str(network.parent), "device": "cpu"}) as rig:
        rig.connect()
        for stamp, size in enumerate([(320, 256), (100, 75)]):
            image = make_image(gray(size[1], size[0]), stamp)
            rig.send_in_order(image, make_info(size, stamp))
            rig.wait_for(stamp + 1)
        assert rig.node.counters.dropped == {}


@pytest.mark.skipif(not (DEMO / "model.pt").exists(), reason="models/demo/model.pt is not there")
def test_the_bundled_model_starts_by_name():
    with running(Estimator, {"model": "demo", "device": "cpu"}) as rig:
        rig.connect()
        rig.send(make_image(gray(480, 640)), make_info((640, 480), focal=600.0))
        message = rig.wait_for(1)
    known = Catalogue.from_models_info(DEMO / "models_info.json").class_ids
    assert {d.results[0].hypothesis.class_id for d in message.detections} <= set(known)
