"""target_frame: detections and markers in another frame, over real DDS."""

import re
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from node_fakes import FRAME, FakeEstimator, gray, make_estimate, make_image, make_info, time_of
from node_harness import running
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster
from visualization_msgs.msg import Marker, MarkerArray

from cope_ros.input.drops import Cause
from cope_ros.output.messages import pose_from_transform
from cope_ros.output.target_frame import RestartingBuffer, transformed

DOCS = Path(__file__).resolve().parents[2] / "docs" / "node.md"
R_BASE_CAM = Rotation.from_euler("zyx", [0.4, -0.3, 1.9]).as_matrix()
T_BASE_CAM = np.array([0.5, -0.2, 1.1])


def mounted(R=R_BASE_CAM, t=T_BASE_CAM, stamp=0, child=FRAME):
    """The camera's pose on the robot; stamp in ms."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = "base_link"
    message.header.stamp = time_of(stamp)
    to, turn = message.transform.translation, message.transform.rotation
    to.x, to.y, to.z = t.tolist()
    turn.x, turn.y, turn.z, turn.w = Rotation.from_matrix(R).as_quat().tolist()
    return message


@contextmanager
def robot(timeout=60.0, **parameters):
    """A rig with target_frame base_link."""
    values = {"target_frame": "base_link", "target_frame_timeout": min(timeout, 10.0)}
    with running(FakeEstimator(), {**values, **parameters}) as rig:
        rig.connect()
        yield rig


def heard(rig, broadcaster):
    rig.wait(lambda: broadcaster.pub_tf.get_subscription_count() > 0, "listener of TF")


def pose_of(detection):
    pose = detection.results[0].pose.pose
    q, p = pose.orientation, pose.position
    return Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), np.array([p.x, p.y, p.z])


def test_poses_boxes_and_covariances_are_in_the_target_frame():
    with robot() as rig:
        static = StaticTransformBroadcaster(rig.client)
        static.sendTransform(mounted())
        heard(rig, static)
        markers = []
        rig.client.create_subscription(MarkerArray, "/cope/markers", markers.append, 10)
        rig.wait(lambda: rig.node.count_subscribers("/cope/markers") > 0, "markers")
        rig.send(make_image(gray(), stamp=7), make_info(stamp=7))
        message = rig.wait_for(1)
        rig.wait(lambda: bool(rig.transforms) and bool(markers), "tf and markers")
    estimate = make_estimate()
    assert message.header.frame_id == "base_link"
    assert message.header.stamp == time_of(7)
    axes = np.kron(np.eye(2), R_BASE_CAM)
    for detection in message.detections:
        row = ["carton_1", "cup_0", "carton_0"].index(detection.id)
        R, t = pose_of(detection)
        assert np.allclose(R, R_BASE_CAM @ estimate.R[row], atol=1e-6)
        assert np.allclose(t, R_BASE_CAM @ estimate.t[row] + T_BASE_CAM, atol=1e-6)
        covariance = np.array(detection.results[0].pose.covariance).reshape(6, 6)
        assert np.allclose(covariance, axes @ estimate.covariance[row] @ axes.T, atol=1e-12)
    transform = rig.transforms[0].transforms[0]
    assert transform.header.frame_id == FRAME
    assert pose_from_transform(transform.transform)[1] == pytest.approx(estimate.t[0].tolist())
    shown = [m for m in markers[0].markers if m.action == Marker.ADD]
    assert {m.header.frame_id for m in shown} == {"base_link"}
    labels = [m.pose.position for m in shown if m.type == Marker.TEXT_VIEW_FACING]
    bodies = [m.pose.position for m in shown if m.type != Marker.TEXT_VIEW_FACING]
    for above, body in zip(labels, bodies, strict=True):
        way = np.array([above.x - body.x, above.y - body.y, above.z - body.z])
        assert np.allclose(way / np.linalg.norm(way), -R_BASE_CAM[:, 1], atol=1e-6)


def test_the_transform_is_that_of_the_images_stamp_and_is_waited_for():
    with robot() as rig:
        moving = TransformBroadcaster(rig.client)
        heard(rig, moving)
        moving.sendTransform(mounted(np.eye(3), np.zeros(3), stamp=1000))
        rig.send(make_image(gray(), stamp=1500), make_info(stamp=1500))
        rig.wait(lambda: bool(rig.node.monitor.busy), "the worker")
        time.sleep(0.2)
        assert not rig.detections
        moving.sendTransform(mounted(np.eye(3), np.array([1.0, 0, 0]), stamp=2000))
        message = rig.wait_for(1)
        assert not rig.node.counters.dropped.get(Cause.TRANSFORM)
    shift = pose_of(message.detections[0])[1] - make_estimate().t[0]
    assert shift == pytest.approx([0.5, 0, 0], abs=1e-6)  # half-way between both


def test_what_cannot_be_transformed_is_dropped_counted_and_said():
    with robot(timeout=0.05) as rig:
        rig.send(make_image(gray(), stamp=3), make_info(stamp=3))
        rig.wait_for_drop(Cause.TRANSFORM)
        rig.wait(lambda: bool(rig.transforms), "tf, which needs no target frame")
        reason = rig.node.counters.reasons[Cause.TRANSFORM]
        assert "target_frame 'base_link'" in reason
        assert f"from '{FRAME}'" in reason
        nameless = make_image(gray(), stamp=4)
        nameless.header.frame_id = ""
        rig.send(nameless, make_info(stamp=4, frame_id=""))
        rig.wait_for_drop(Cause.TRANSFORM, 2)
        assert "no frame_id" in rig.node.counters.reasons[Cause.TRANSFORM]
        static = StaticTransformBroadcaster(rig.client)
        static.sendTransform(mounted())
        heard(rig, static)
        time.sleep(0.2)
        rig.send(make_image(gray(), stamp=5), make_info(stamp=5))
        rig.wait(lambda: bool(rig.detections), "detections")
        assert rig.detections[0].header.stamp == time_of(5)


def test_an_image_in_the_target_frame_needs_no_tf():
    with robot(target_frame=FRAME) as rig:
        rig.send(make_image(gray(), stamp=3), make_info(stamp=3))
        assert rig.wait_for(1).header.frame_id == FRAME


def test_stamps_that_begin_anew_find_their_transforms():
    with robot(timeout=0.5) as rig:
        moving = TransformBroadcaster(rig.client)
        heard(rig, moving)
        for start in (500_000, 1_000):  # ms; a bag that is played twice
            before = len(rig.detections)

            def play(start=start, before=before):
                for stamp in (start - 100, start + 100):
                    moving.sendTransform(mounted(stamp=stamp))
                rig.send(make_image(gray(), stamp=start), make_info(stamp=start))
                return len(rig.detections) > before

            rig.wait(play, "detections")


def test_a_late_transform_of_the_first_play_does_not_spoil_the_second():
    buffer = RestartingBuffer()
    for stamp in (499_900, 500_100, 900, 500_100, 950, 1_100):  # ms, as they come
        buffer.set_transform(mounted(stamp=stamp), "bag")
    buffer.set_transform_static(mounted(child="plate"), "robot")
    for stamp, known in ((1_000, True), (500_000, False)):
        assert buffer.can_transform("base_link", FRAME, Time.from_msg(time_of(stamp))) == known
    assert buffer.can_transform("base_link", "plate", Time.from_msg(time_of(1_000)))


def test_a_rotated_covariance_keeps_its_eigenvalues():
    estimate = make_estimate()
    moved = transformed(estimate, R_BASE_CAM, T_BASE_CAM)
    for before, after in zip(estimate.covariance, moved.covariance, strict=True):
        assert np.linalg.eigvalsh(after[:3, :3]) == pytest.approx(np.diag(before)[:3].tolist())
        assert np.trace(after) == pytest.approx(np.trace(before))


def test_the_grasp_of_the_documentation_runs(capsys, monkeypatch):
    text = re.search(r"```python\n(import rclpy.*?)```", DOCS.read_text(), re.DOTALL).group(1)
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    with robot() as rig:
        static = StaticTransformBroadcaster(rig.client)
        static.sendTransform([mounted(), mounted(child="elsewhere")])
        monkeypatch.setattr("rclpy.init", lambda: None)
        monkeypatch.setattr("rclpy.node.Node", lambda name: rig.client)

        def spin_once(node):
            rig.send(make_image(gray(), stamp=9), make_info(stamp=9))
            rig._executor.spin_once(timeout_sec=0.05)

        monkeypatch.setattr("rclpy.spin_once", spin_once)
        scope = {}
        exec(text, scope)
    t = pose_from_transform(scope["cup"])[1]
    assert np.allclose(t, R_BASE_CAM @ make_estimate().t[1] + T_BASE_CAM, atol=1e-6)
    assert "grasp at" in capsys.readouterr().out
