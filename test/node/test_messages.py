"""Arrays -> messages."""

import numpy as np
import pytest
from node_fakes import CATALOGUE, make_estimate
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from cope_ros.output import ros_types
from cope_ros.output.messages import MessageWriter, quaternions_from_matrices


def test_quaternions_agree_with_scipy_up_to_half_turns():
    random = Rotation.random(200, random_state=1).as_matrix()
    half_turns = Rotation.from_rotvec(np.pi * np.eye(3)).as_matrix()
    nearly = Rotation.from_rotvec((np.pi - 1e-7) * np.eye(3)).as_matrix()
    R = np.concatenate([random, half_turns, nearly, np.eye(3)[None]])
    q = quaternions_from_matrices(R)
    assert np.allclose(np.linalg.norm(q, axis=1), 1)
    assert (q[:, 3] >= 0).all()
    assert np.allclose(Rotation.from_quat(q).as_matrix(), R, atol=1e-9)
    assert quaternions_from_matrices(np.zeros((0, 3, 3))).shape == (0, 4)


def test_detections_and_transforms_carry_the_same_pose():
    writer = MessageWriter(CATALOGUE, ros_types)
    header = Header(frame_id="camera")
    writer.detections(header, make_estimate(6), list("uvwxyz"))  # leaves nothing behind
    estimate = make_estimate(4)
    R = Rotation.random(4, random_state=2).as_matrix()
    estimate.R[:] = R
    message = writer.detections(header, estimate, list("abcd"))
    transforms = writer.transforms(header, estimate, list("abcd"))
    for row, (detection, transform) in enumerate(zip(message.detections, transforms, strict=True)):
        rotation = transform.transform.rotation
        xyzw = (rotation.x, rotation.y, rotation.z, rotation.w)
        assert np.allclose(Rotation.from_quat(xyzw).as_matrix(), R[row], atol=1e-6)
        at = transform.transform.translation
        assert (at.x, at.y, at.z) == pytest.approx(tuple(estimate.t[row]))
        item = CATALOGUE[estimate.class_index[row]]
        center = detection.bbox.center.position
        assert (center.x, center.y, center.z) == pytest.approx(
            tuple(R[row] @ item.box_center + estimate.t[row]), abs=1e-6
        )
        size = detection.bbox.size
        assert (size.x, size.y, size.z) == pytest.approx(tuple(item.box_size))
        assert detection.results[0].hypothesis.class_id == item.class_id
        assert transform.child_frame_id == detection.id == "abcd"[row]
        assert transform.header.frame_id == detection.header.frame_id == "camera"


def test_no_instance_is_an_empty_message():
    writer = MessageWriter(CATALOGUE, ros_types)
    message = writer.detections(Header(), make_estimate(0), [])
    assert message.detections == []
    assert writer.transforms(Header(), make_estimate(0), []) == []
