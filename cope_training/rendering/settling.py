"""Drops objects into a tray or onto a table and lets them come to rest, with MuJoCo.

Lengths are metres of a world in which objects are about TYPICAL large: step and contacts suit that
size, and callers scale other objects to it.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from cope_ros.core.errors import CopeError
from cope_training.rendering.placement import random_rotation
from cope_training.rendering.tray import Tray

TYPICAL = 0.15  # m, diameter of objects
STEP = 0.005  # s
FALL = 0.24  # s from one object to the next; together they would burst apart
REST = 2.0  # s after the last one
DROP = 0.02  # m, how far above what lies there an object starts
MOST_POINTS = 32  # of a hull; more make contacts slow and change nothing
THINNEST = 0.03  # of the diameter: flatter objects get that thickness to collide with
SOLVER_STEPS = 12  # per step; the result is to look right, no more
DENSITY = 300.0  # kg / m^3
FRICTION = (0.7, 0.005, 0.0005)  # sliding, torsional, rolling
TABLE = (2.0, 2.0, 0.05)  # m, half sizes; what misses it falls for ever
GUIDE = 1.0  # m, invisible walls above a tray's while objects fall


def settle(
    rng: np.random.Generator, hulls: Sequence[np.ndarray], tray: Tray, upright_share: float
) -> np.ndarray:
    """Simulates a drop of one object after another.

    Args:
        hulls: N arrays (V, 3) m, points whose convex hull collides.
        tray: where they land; off the table's plane z = 0.
        upright_share: of objects that start standing, the others tumble.

    Returns:
        (N, 4, 4) T_world_obj at rest, z up; what rolled off the table lies far below it.

    Raises:
        CopeError: MuJoCo is missing.
    """
    mujoco = import_mujoco()
    model, guides = _world(mujoco, [_solid(points) for points in hulls], tray)
    data = mujoco.MjData(model)
    for number, points in enumerate(hulls):
        R, t = _start(rng, points, tray, upright_share, _top(data, hulls, number))
        _place(mujoco, data, number, R, t)
        mujoco.mj_step(model, data, nstep=int(FALL / STEP))
    mujoco.mj_step(model, data, nstep=int(REST / STEP))
    if guides:
        model.geom_contype[guides] = model.geom_conaffinity[guides] = 0
        mujoco.mj_step(model, data, nstep=int(REST / STEP))
    mujoco.mj_forward(model, data)
    T = np.tile(np.eye(4), (len(hulls), 1, 1))
    T[:, :3, :3] = data.xmat[1:].reshape(-1, 3, 3)
    T[:, :3, 3] = data.xpos[1:]
    return T


def import_mujoco() -> Any:
    try:
        return importlib.import_module("mujoco")
    except ImportError as error:
        raise CopeError(
            "scenes at rest need mujoco, which is not installed (requirements-train.txt)"
        ) from error


def _world(mujoco: Any, solids: Sequence[np.ndarray], tray: Tray) -> tuple[Any, list[int]]:
    """The compiled model, bodies in their order after the world, and the guides' geometries."""
    spec = mujoco.MjSpec()
    spec.option.timestep, spec.option.iterations = STEP, SOLVER_STEPS
    box, mesh = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_MESH
    world = spec.worldbody
    world.add_geom(type=box, size=TABLE, pos=[0, 0, -TABLE[2]], friction=FRICTION)
    for center, extent in tray.walls():
        world.add_geom(type=box, size=0.5 * extent, pos=center, friction=FRICTION)
    rise = np.array([0.0, 0.0, GUIDE])
    for center, extent in tray.walls():
        world.add_geom(type=box, size=0.5 * (extent + rise), pos=center + 0.5 * rise)
    for number, points in enumerate(solids):
        name = f"hull{number}"
        spec.add_mesh(name=name, uservert=points.reshape(-1).tolist())
        body = world.add_body(name=name, pos=[0, 0, -10.0 * (number + 1)])
        body.add_freejoint()
        body.add_geom(type=mesh, meshname=name, density=DENSITY, friction=FRICTION)
    walls = len(tray.walls())
    return spec.compile(), list(range(1 + walls, 1 + 2 * walls))


def _solid(points: np.ndarray) -> np.ndarray:
    """(P, 3) points of a convex solid: the hull, not too flat and of few points."""
    middle = points.mean(axis=0)
    axes = np.linalg.svd(points - middle, full_matrices=False)[2]
    along = (points - middle) @ axes.T
    extent = np.ptp(along, axis=0)
    for axis, size in zip(axes, extent, strict=True):
        lack = THINNEST * extent.max() - size
        if lack > 0:
            points = np.concatenate([points - 0.5 * lack * axis, points + 0.5 * lack * axis])
    try:
        points = points[ConvexHull(points).vertices]
    except QhullError:
        return points
    if len(points) > MOST_POINTS:
        points = _spread(points)
    return points


def _spread(points: np.ndarray) -> np.ndarray:
    """(MOST_POINTS, 3): of a hull's points those far from one another."""
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    gap = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < MOST_POINTS:
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen]


def _top(data: Any, hulls: Sequence[np.ndarray], number: int) -> float:
    """m, height of the highest of the first ``number`` objects."""
    heights = [0.0]
    for row in range(number):
        R, t = data.xmat[row + 1].reshape(3, 3), data.xpos[row + 1]
        heights.append(float((hulls[row] @ R[2]).max() + t[2]))
    return max(heights)


def _start(
    rng: np.random.Generator, points: np.ndarray, tray: Tray, upright_share: float, top: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and position of an object above all others, inside the tray's walls."""
    if rng.random() < upright_share:
        yaw = rng.uniform(0, 2 * np.pi)
        R = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    else:
        R = random_rotation(rng)
    turned = points @ R.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    room = 0.5 * np.maximum([tray.width, tray.depth] - (high - low)[:2], 0.02)
    middle = rng.uniform(-room, room)
    return R, np.append(middle - 0.5 * (low + high)[:2], top + DROP - low[2])


def _place(mujoco: Any, data: Any, number: int, R: np.ndarray, t: np.ndarray) -> None:
    """Puts a free body somewhere, at rest."""
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, R.reshape(-1))
    data.qpos[7 * number : 7 * number + 3] = t
    data.qpos[7 * number + 3 : 7 * number + 7] = quaternion
    data.qvel[6 * number : 6 * number + 6] = 0.0
