"""Markers, the debug image and the vision information over real DDS."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from node_fakes import (
    CATALOGUE,
    FRAME,
    FakeEstimator,
    gray,
    make_estimate,
    make_image,
    make_info,
    milliseconds_of,
)
from node_harness import record_topics, running
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from cope_ros.output.debug_image import AXIS_COLOURS, colour_of, draw_instances

MODEL = Path(__file__).resolve().parents[2] / "models" / "demo"
HEADER = b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\n"


def watch(rig, kind, topic):
    """Subscribes the client; returns the list that fills, and the subscription."""
    got = []
    subscription = rig.client.create_subscription(kind, f"/cope/{topic}", got.append, 10)
    rig.wait(
        lambda: rig.node.outputs.views.subscribers()[topic] > 0, f"the subscription of {topic}"
    )
    return got, subscription


def send(rig, stamp, pixels=None):
    rig.send(make_image(gray() if pixels is None else pixels, stamp), make_info(stamp=stamp))
    rig.wait_for(stamp)


def change(rig, transition):
    assert rig.change(transition)


def test_nothing_is_built_while_nobody_looks():
    with running(FakeEstimator()) as rig:
        rig.connect()
        send(rig, 1)
        assert rig.node.outputs.views.built == {}
        images, image_subscription = watch(rig, Image, "debug_image")
        send(rig, 2)
        rig.wait(lambda: len(images) == 1, "debug_image")
        assert rig.node.outputs.views.built == {"debug_image": 1}
        markers, marker_subscription = watch(rig, MarkerArray, "markers")
        rig.client.destroy_subscription(image_subscription)
        rig.wait(lambda: rig.node.outputs.views.subscribers()["debug_image"] == 0, "unsubscription")
        send(rig, 3)
        rig.wait(lambda: len(markers) == 1, "markers")
        rig.client.destroy_subscription(marker_subscription)
        rig.wait(lambda: rig.node.outputs.views.subscribers()["markers"] == 0, "unsubscription")
        send(rig, 4)
        assert rig.node.outputs.views.built == {"debug_image": 1, "markers": 1}


def test_boxes_stand_in_for_meshes_and_say_what_they_are():
    with running(FakeEstimator(), {"tf.prefix": "left_"}) as rig:
        rig.connect()
        markers, _ = watch(rig, MarkerArray, "markers")
        send(rig, 1)
        rig.wait(lambda: bool(markers), "markers")
    first, *rest = markers[0].markers
    assert first.action == Marker.DELETEALL
    assert all(m.header.frame_id == FRAME for m in markers[0].markers)
    assert all(milliseconds_of(m.header.stamp) == 1 for m in markers[0].markers)
    by_key = {(m.ns, m.id): m for m in rest}
    bodies = {("carton/box", 0), ("carton/box", 1), ("cup/box", 0)}
    assert set(by_key) == bodies | {(ns.replace("box", "label"), slot) for ns, slot in bodies}
    box = by_key["carton/box", 1]  # the best instance, on the right
    assert box.type == Marker.CUBE
    assert (box.scale.x, box.scale.y, box.scale.z) == pytest.approx((0.1, 0.06, 0.16))
    # The carton's box centre is (0, 0, 80) mm in its frame.
    at = box.pose.position
    assert (at.x, at.y, at.z) == pytest.approx((0.3, 0.0, 1.08))
    half = np.sqrt(0.5)
    assert (box.pose.orientation.z, box.pose.orientation.w) == pytest.approx((half, half))
    label = by_key["carton/label", 1]
    assert (label.type, label.text) == (Marker.TEXT_VIEW_FACING, "carton 1 0.90")
    assert label.pose.position.y < at.y  # above it in the image


def test_meshes_are_shown_where_the_model_has_them(tmp_path):
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    (meshes / "obj_000001.ply").write_bytes(HEADER + b"property uchar red\nend_header\n")
    (meshes / "obj_000002.ply").write_bytes(HEADER + b"end_header\nproperty uchar red\n")
    with running(FakeEstimator(), {"model": str(tmp_path)}) as rig:
        rig.connect()
        markers, _ = watch(rig, MarkerArray, "markers")
        send(rig, 1)
        rig.wait(lambda: bool(markers), "markers")
    by_key = {(m.ns, m.id): m for m in markers[0].markers}
    carton, cup = by_key["carton/mesh", 1], by_key["cup/mesh", 0]
    assert carton.type == cup.type == Marker.MESH_RESOURCE
    assert carton.mesh_resource == (meshes / "obj_000001.ply").as_uri()
    assert (carton.scale.x, carton.scale.y, carton.scale.z) == (1e-3, 1e-3, 1e-3)
    assert carton.pose.position.z == pytest.approx(1.0)  # the mesh's origin, not its centre
    assert (carton.mesh_use_embedded_materials, carton.color.a) == (True, 0.0)
    assert not cup.mesh_use_embedded_materials
    assert cup.color.a > 0.0


def test_each_array_is_the_whole_truth_for_a_viewer_that_missed_the_last_and_one_that_is_new():
    estimator = FakeEstimator()
    with running(estimator) as rig:
        rig.connect()
        markers, _ = watch(rig, MarkerArray, "markers")
        send(rig, 1)
        estimator.answer = make_estimate(1)
        send(rig, 2)
        estimator.answer = make_estimate(0)
        send(rig, 3)
        rig.wait(lambda: len(markers) == 3, "markers")
        late, _ = watch(rig, MarkerArray, "markers")
        estimator.answer = make_estimate(1)
        send(rig, 4)
        rig.wait(lambda: len(markers) == 4 and bool(late), "markers")
    kept = {("carton/box", 1), ("carton/label", 1)}  # its slot
    gone = {("carton/box", 0), ("carton/label", 0), ("cup/box", 0), ("cup/label", 0)}
    truth = [kept | gone, kept, set(), kept, kept]
    for array, instances in zip([*markers, *late], truth, strict=True):
        first, *rest = array.markers
        assert first.action == Marker.DELETEALL
        assert all(marker.action == Marker.ADD for marker in rest)
        assert {(m.ns, m.id) for m in rest} == instances


def test_deactivation_takes_the_markers_off():
    with running(FakeEstimator()) as rig:
        rig.connect()
        markers, _ = watch(rig, MarkerArray, "markers")
        send(rig, 1)
        change(rig, Transition.TRANSITION_DEACTIVATE)
        rig.wait(lambda: len(markers) == 2, "markers")
    assert [m.action for m in markers[1].markers] == [Marker.DELETEALL]


def test_the_debug_image_shows_the_poses_on_the_image_they_belong_to():
    pixels = np.full((120, 160, 3), 128, np.uint8)
    with running(FakeEstimator()) as rig:
        rig.connect()
        images, _ = watch(rig, Image, "debug_image")
        info = make_info((160, 120), stamp=7, focal=150.0)
        rig.send(make_image(pixels, 7), info)
        rig.wait_for(1)
        rig.wait(lambda: bool(images), "debug_image")
    (message,) = images
    assert (message.encoding, message.width, message.height) == ("rgb8", 160, 120)
    assert (message.header.frame_id, milliseconds_of(message.header.stamp)) == (FRAME, 7)
    drawn = np.frombuffer(message.data, np.uint8).reshape(120, 160, 3)
    changed = (drawn != 128).any(axis=2)
    assert 100 < changed.sum() < changed.size // 2


def test_detections_leave_before_what_is_only_looked_at(monkeypatch):
    sent = record_topics(monkeypatch)
    with running(FakeEstimator()) as rig:
        rig.connect()
        images, _ = watch(rig, Image, "debug_image")
        markers, _ = watch(rig, MarkerArray, "markers")
        send(rig, 1)
        rig.wait(lambda: bool(images) and bool(markers), "the views")
    topics = ["/tf", "/cope/detections", "/cope/markers", "/cope/debug_image"]
    assert [topic for topic in sent if topic in topics][: len(topics)] == topics


def test_drawing_puts_axes_and_cuboid_where_the_pose_projects():
    estimate = replace(make_estimate(1), R=np.eye(3)[None], t=np.array([[0.0, 0.0, 1.0]]))
    K = np.array([[400.0, 0, 100], [0, 400, 80], [0, 0, 1]])
    drawn = draw_instances(np.zeros((160, 200, 3), np.uint8), K, estimate, CATALOGUE, [""])
    # The carton's x axis, 0.35 diameters long, ends 28 px right of its origin at (100, 80).
    assert tuple(drawn[80, 115]) == AXIS_COLOURS[0]
    # A corner of its near face, (50, 30, 0) mm, lies at (120, 92); its edge has the class colour.
    assert np.abs(drawn[92, 110].astype(int) - colour_of(0)).max() <= 30  # antialiased
    behind = replace(estimate, t=np.array([[0.0, 0.0, -1.0]]))
    blank = np.zeros((160, 200, 3), np.uint8)
    assert not draw_instances(blank, K, behind, CATALOGUE, ["x"]).any()


def test_labels_stay_inside_small_images():
    estimate = replace(make_estimate(1), t=np.array([[-5.0, -5.0, 1.0]]))
    K = np.array([[20.0, 0, 10], [0, 20, 8], [0, 0, 1]])
    drawn = draw_instances(np.zeros((30, 90, 3), np.uint8), K, estimate, CATALOGUE, ["cup 3"])
    assert drawn[:20, :60].any()


def test_the_vision_information_reaches_latecomers_and_comes_again_after_a_cleanup():
    with running(FakeEstimator(), {"model": str(MODEL)}) as rig:
        first = rig.latched()
        assert (first.method, first.database_location) == ("COPE fake", str(MODEL))
        assert Path(first.database_location, "models_info.json").is_file()
        change(rig, Transition.TRANSITION_DEACTIVATE)
        change(rig, Transition.TRANSITION_CLEANUP)
        change(rig, Transition.TRANSITION_CONFIGURE)
        second = rig.latched()
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in (first, second)]
    assert stamps[0] < stamps[1]
