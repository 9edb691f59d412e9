"""The symmetries of an object as a group: movements after which it looks the same.

BOP lists generators (``symmetries_discrete``, ``symmetries_continuous``). Poses can only be
compared, averaged and taught by all that follows from them: what looks the same from two
descriptions has to have one set of poses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_ros.core.rotations import about

MAX_MEMBERS = 64  # a cube has 24, an icosahedron 60
MAX_TURNS = 36  # about one axis; more are a continuous symmetry
# Frobenius distance of rotations taken for one, 8 degrees: the half turn of LM-O's glue is one of
# 178.5 degrees, that of IC-BIN's cup 177.5, so that twice it is 5 degrees from none.
SAME_ROTATION = 0.2
SAME_AXIS = 0.03  # length of the cross product of axes taken for parallel, 1.7 degrees
SAME_PLACE = 0.05  # of the diameter, between points taken for one
ROUNDING = 5e-3  # of R R^T from the identity, where R's numbers have three digits


@dataclass(frozen=True)
class SymmetryGroup:
    """All symmetries: a member of ``members``, then any turn about the axis.

    A sphere has the identity alone as member, no axis, and every rotation about ``offset``.
    """

    members: np.ndarray  # (S, 4, 4) m, the identity first
    axis: np.ndarray  # (3,) unit vector of a body of revolution, zeros for others
    offset: np.ndarray  # (3,) m, a point of the axis, a sphere's centre
    sphere: bool = False

    @property
    def continuous(self) -> bool:
        """Whether it is a body of revolution (no sphere)."""
        return bool(self.axis.any())

    @property
    def trivial(self) -> bool:
        """Whether nothing but the identity leaves the object looking the same."""
        return len(self.members) == 1 and not self.continuous and not self.sphere

    def within(self, other: "SymmetryGroup") -> bool:
        """Whether another group has all its rotations (both of one object)."""
        if other.sphere or self.sphere:
            return other.sphere
        if self.continuous and np.linalg.norm(np.cross(self.axis, other.axis)) > SAME_AXIS:
            return False
        if self.continuous and not other.continuous:
            return False
        return all(other._has(member[:3, :3]) for member in self.members)

    def _has(self, R: np.ndarray) -> bool:
        """Whether a rotation (3, 3) is one of its own, no sphere's."""
        if self.continuous:
            along = (R @ self.axis) @ (self.members[:, :3, :3] @ self.axis).T
            return bool((along > np.cos(0.5 * SAME_ROTATION)).any())
        gaps = np.linalg.norm(self.members[:, :3, :3] - R, axis=(1, 2))
        return bool((gaps < SAME_ROTATION).any())

    def to_dict(self) -> dict[str, Any]:
        """The keys of an entry of models_info.json (mm): all members, not generators alone."""
        entry: dict[str, Any] = {}
        if len(self.members) > 1:
            in_mm = self.members[1:].copy()
            in_mm[:, :3, 3] *= 1e3
            entry["symmetries_discrete"] = [S.reshape(16).tolist() for S in in_mm]
        axes = [self.axis.tolist()] if self.continuous else []
        if self.sphere:  # BOP has no word for it: two axes that meet
            axes = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        if axes:
            offset = (1e3 * self.offset).tolist()
            entry["symmetries_continuous"] = [{"axis": axis, "offset": offset} for axis in axes]
        return entry

    def sampled(self, steps: int) -> np.ndarray:
        """(S, 4, 4): the members, each after ``steps`` turns about the axis, as BOP compares.

        Of a sphere two axes are sampled, as of an object with two continuous symmetries.
        """
        axes = [self.axis] if self.continuous else []
        if self.sphere:
            axes = [np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])]
        if not axes:
            return self.members.copy()
        angles = 2 * np.pi / steps * np.arange(steps)
        turns = np.concatenate([about(axis, angles, self.offset) for axis in axes])
        return (turns[None] @ self.members[:, None]).reshape(-1, 4, 4)


def no_symmetry() -> SymmetryGroup:
    """The group of an object that looks different from everywhere."""
    return SymmetryGroup(np.eye(4)[None], np.zeros(3), np.zeros(3))


def close_group(
    discrete: np.ndarray, lines: Sequence[tuple[np.ndarray, np.ndarray]], diameter: float
) -> SymmetryGroup:
    """The group that generators span.

    Args:
        discrete: (G, 4, 4) m; rotations are made orthogonal.
        lines: axis (3,) and a point of it (3,) m of each continuous symmetry.
        diameter: m, of the object.

    Raises:
        CopeError: a generator is no movement of a rigid body, they contradict each other, or
            they span more than MAX_MEMBERS.
    """
    tolerance = SAME_PLACE * diameter
    generators = [proper(T) for T in discrete]
    axis, offset, sphere = _joined(lines, tolerance)
    if sphere:
        for i, T in enumerate(generators):
            if np.linalg.norm(_moved(T, offset) - offset) > tolerance:
                raise CopeError(f"symmetry {i} moves the centre of the sphere")
        return SymmetryGroup(np.eye(4)[None], np.zeros(3), offset, sphere=True)
    if axis.any():
        return SymmetryGroup(_about_axis(generators, axis, offset, tolerance), axis, offset)
    return SymmetryGroup(_closed(generators, tolerance), axis, offset)


def proper(T: np.ndarray) -> np.ndarray:
    """A (4, 4) movement with its rotation made orthogonal.

    Raises:
        CopeError: not finite, another last row, no rotation up to rounding, or a mirror.
    """
    if not np.isfinite(T).all():
        raise CopeError("expected finite numbers")
    if not np.allclose(T[3], [0, 0, 0, 1], atol=1e-3):
        raise CopeError(f"expected 0 0 0 1 as last row, got {T[3].tolist()}")
    R = T[:3, :3]
    if not np.allclose(R @ R.T, np.eye(3), atol=ROUNDING):
        raise CopeError(f"expected a rotation, got {np.round(R, 4).tolist()}")
    if np.linalg.det(R) < 0:
        raise CopeError("expected a rotation, got a mirror (determinant -1)")
    U, _, V = np.linalg.svd(R)
    made = np.eye(4)
    made[:3, :3], made[:3, 3] = U @ V, T[:3, 3]
    return made


def _joined(
    lines: Sequence[tuple[np.ndarray, np.ndarray]], tolerance: float
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Axis, a point of it, and whether several axes make a sphere."""
    if not lines:
        return np.zeros(3), np.zeros(3), False
    axis, offset = lines[0]
    center = None
    for other, point in lines[1:]:
        across = np.cross(axis, other)
        if np.linalg.norm(across) < SAME_AXIS:
            if _from_line(point, axis, offset) > tolerance:
                raise CopeError("two continuous symmetries about parallel axes apart")
            continue
        # Point of either line nearest to the other one.
        along = np.linalg.lstsq(np.stack([axis, -other], 1), point - offset, rcond=None)[0]
        one, two = offset + along[0] * axis, point + along[1] * other
        found = 0.5 * (one + two)
        apart = np.linalg.norm(one - two)
        if center is not None:
            apart = max(apart, np.linalg.norm(found - center))
        if apart > tolerance:
            raise CopeError("continuous symmetries about axes that do not meet in one point")
        center = found if center is None else center
    return (axis, offset, False) if center is None else (np.zeros(3), center, True)


def _about_axis(
    generators: Sequence[np.ndarray], axis: np.ndarray, offset: np.ndarray, tolerance: float
) -> np.ndarray:
    """The members beside the turns about an axis: the identity and, of a can, a flip."""
    members = [np.eye(4)]
    for i, T in enumerate(generators):
        image = T[:3, :3] @ axis
        if np.linalg.norm(np.cross(image, axis)) > SAME_ROTATION:
            raise CopeError(f"symmetry {i} moves the axis of the continuous symmetry")
        if _from_line(_moved(T, offset), axis, offset) > tolerance:
            raise CopeError(f"symmetry {i} moves the axis of the continuous symmetry aside")
        if image @ axis < 0 and len(members) == 1:
            members.append(T)
    return np.stack(members)


def _closed(generators: Sequence[np.ndarray], tolerance: float) -> np.ndarray:
    """(S, 4, 4): all products, the identity first, then as the generators come."""
    members = [np.eye(4)]
    kept = []
    for i, T in enumerate(generators):
        near = _place(T, members[:1], tolerance, f"symmetry {i}")
        if near is not None:
            if not np.allclose(T[:3, :3], np.eye(3), atol=ROUNDING):
                raise CopeError(f"symmetry {i} is too small a turn to tell from none")
            continue
        kept.append(T)
        if _place(T, members, tolerance, f"symmetry {i}") is None:
            members.append(T)
    for member in members:  # grows on the way
        for T in kept:
            product = member @ T
            if _place(product, members, tolerance, "a product of symmetries") is None:
                members.append(product)
            if len(members) > MAX_MEMBERS:
                raise CopeError(
                    f"expected at most {MAX_MEMBERS} symmetries in all, got more: more turns about "
                    "one axis are a continuous symmetry"
                )
    return np.stack(members)


def _place(T: np.ndarray, members: Sequence[np.ndarray], tolerance: float, name: str) -> int | None:
    """Which member ``T`` is, None for none.

    Raises:
        CopeError: it is one but for a shift, which no bounded body allows.
    """
    for i, member in enumerate(members):
        if np.linalg.norm(T[:3, :3] - member[:3, :3]) < SAME_ROTATION:
            shift = np.linalg.norm(T[:3, 3] - member[:3, 3])
            if shift > tolerance:
                text = f"{name} turns as another one and is {shift:.4f} m from it"
                raise CopeError(f"{text}: the axes of symmetries have to meet")
            return i
    return None


def _moved(T: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.asarray(T[:3, :3] @ point + T[:3, 3])


def _from_line(point: np.ndarray, axis: np.ndarray, offset: np.ndarray) -> float:
    return float(np.linalg.norm(np.cross(point - offset, axis)))
