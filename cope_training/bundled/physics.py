"""Drops the demo objects onto a table or into a tray and lets them come to rest, with Bullet.

Needs pybullet, which nothing else does: the bundled sequence is made once, and only Bullet makes
it again. Other scenes take ``cope_training.rendering.settling``.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.rendering.placement import random_rotation
from cope_training.rendering.tray import Tray

STEP = 1.0 / 240.0  # s, Bullet's own default
SETTLE = 5.0  # s of simulated time after the last object was dropped


def drop(
    rng: np.random.Generator, hulls: Sequence[np.ndarray], tray: Tray, upright_share: float
) -> np.ndarray:
    """Simulates a drop.

    Args:
        hulls: N arrays (V, 3) m, points whose convex hull collides.
        tray: where they land; off the table's plane z = 0.
        upright_share: of objects that start standing, the others tumble.

    Returns:
        (N, 4, 4) T_world_obj at rest; z is up.
    """
    pybullet = _import_pybullet()
    client = pybullet.connect(pybullet.DIRECT)
    try:
        pybullet.setGravity(0, 0, -9.81)
        pybullet.setPhysicsEngineParameter(deterministicOverlappingPairs=1, numSolverIterations=80)
        _add_fixed(pybullet, np.array([0, 0, -0.05]), np.array([4.0, 4.0, 0.1]))
        guides = []
        for center, extent in tray.walls():
            _add_fixed(pybullet, center, extent)
            # An invisible continuation upwards while objects fall, taken away at the end.
            rise = np.array([0.0, 0.0, 1.0])
            guides.append(_add_fixed(pybullet, center + 0.5 * rise, extent + rise))
        bodies = []
        for number, points in enumerate(hulls):
            bodies.append(_add_body(pybullet, rng, points, tray, number, upright_share))
            _advance(pybullet, 0.35)
        _advance(pybullet, SETTLE)
        for guide in guides:
            pybullet.removeBody(guide)
        _advance(pybullet, SETTLE)
        return np.array([_pose(pybullet, body) for body in bodies])
    finally:
        pybullet.disconnect(client)


def _import_pybullet() -> Any:
    try:
        return importlib.import_module("pybullet")
    except ImportError as error:
        raise CopeError("making the sequence needs pybullet: pip install pybullet") from error


def _add_fixed(bullet: Any, center: np.ndarray, extent: np.ndarray) -> int:
    shape = bullet.createCollisionShape(bullet.GEOM_BOX, halfExtents=(0.5 * extent).tolist())
    body = bullet.createMultiBody(0, shape, basePosition=center.tolist())
    bullet.changeDynamics(body, -1, lateralFriction=0.7)
    return body


def _add_body(
    bullet: Any,
    rng: np.random.Generator,
    points: np.ndarray,
    tray: Tray,
    number: int,
    upright_share: float,
) -> int:
    shape = bullet.createCollisionShape(bullet.GEOM_MESH, vertices=points.tolist())
    reach = np.linalg.norm(points, axis=1).max()
    room = np.maximum(0.5 * np.array([tray.width, tray.depth]) - reach, 0.01)
    x, y = rng.uniform(-room, room)
    if rng.random() < upright_share:
        yaw = rng.uniform(0, 2 * np.pi)
        quaternion = [0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)]
        height = -points[:, 2].min() + 0.005 + 0.012 * number
    else:
        quaternion = _quaternion(random_rotation(rng))
        height = reach + 0.02 + 0.012 * number
    body = bullet.createMultiBody(0.2, shape, -1, [x, y, height], quaternion)
    bullet.changeDynamics(
        body, -1, lateralFriction=0.6, rollingFriction=0.002, linearDamping=0.1,
        angularDamping=0.2, restitution=0.05,
    )  # fmt: skip
    return body


def _advance(bullet: Any, seconds: float) -> None:
    for _ in range(int(seconds / STEP)):
        bullet.stepSimulation()


def _pose(bullet: Any, body: int) -> np.ndarray:
    position, quaternion = bullet.getBasePositionAndOrientation(body)
    T = np.eye(4)
    T[:3, :3] = np.array(bullet.getMatrixFromQuaternion(quaternion)).reshape(3, 3)
    T[:3, 3] = position
    return T


def _quaternion(R: np.ndarray) -> list[float]:
    """xyzw of a rotation, by the eigenvector of Shepperd's symmetric matrix."""
    S = np.zeros((4, 4))
    S[0, 0] = R[0, 0] - R[1, 1] - R[2, 2]
    S[1, 1] = R[1, 1] - R[0, 0] - R[2, 2]
    S[2, 2] = R[2, 2] - R[0, 0] - R[1, 1]
    S[3, 3] = np.trace(R)
    S[1, 0], S[2, 0], S[2, 1] = R[1, 0] + R[0, 1], R[2, 0] + R[0, 2], R[2, 1] + R[1, 2]
    S[3, 0], S[3, 1], S[3, 2] = R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]
    return np.linalg.eigh(S)[1][:, -1].tolist()  # eigh reads the lower triangle
