"""How far a movement leaves a mesh's surface and colours as they are, and which ones do.

Every symmetry maps the centroid of the surface onto itself, so that all axes pass through it.
Axes are looked for along x, y and z, the principal axes of the surface and, once an axis is
found, across it; slanted axes of other solids are not found.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from cope_ros.core.rotations import about, plane_basis
from cope_ros.core.symmetry import SAME_AXIS, SymmetryGroup, close_group
from cope_training.rendering.meshes import Mesh
from cope_training.rendering.surface_samples import surface_samples, triangle_normals

PROBES, SURFACE = 4000, 40_000  # points that are moved, and those they are compared with
ORDERS = (12, 10, 9, 8, 7, 6, 5, 4, 3, 2)
ANY_TURN = np.deg2rad([17.0, 41.0, 73.0, 107.0, 149.0])  # of no order above
STEP = np.deg2rad(3.0)  # of the search for a flip across an axis
CLOSE = 0.006  # of the diameter: the surface is taken for the same
ALIKE = 4.0  # gray levels: and so are the colours


class Deviation(NamedTuple):
    """What a movement leaves between an object and itself."""

    surface: float  # m, 95th percentile of the distances
    color: float  # gray levels (0 to 255), mean of the channels' differences

    def __str__(self) -> str:
        return f"{1000 * self.surface:.2f} mm, {self.color:.1f} gray levels"


@dataclass(frozen=True)
class Found:
    """A turn about an axis that leaves the object the same."""

    axis: np.ndarray  # (3,)
    order: int  # turns of a whole one, 0 for any angle
    deviation: Deviation


class SymmetrySearch:
    """Measures movements of one mesh. Points are drawn with a fixed seed.

    Raises:
        CopeError: no triangle has an area.
    """

    def __init__(self, mesh: Mesh) -> None:
        corners, (_, area) = mesh.vertices.astype(float)[mesh.faces], triangle_normals(mesh)
        self.diameter = mesh.diameter
        self.center = (corners.mean(1) * area[:, None]).sum(0) / area.sum()  # (3,) m
        self._inertia = _second_moment(corners - self.center, area)
        rng = np.random.default_rng(0)
        self._probes, self._probe_colors = surface_samples(mesh, area, PROBES, rng)[:2]
        points, self._colors = surface_samples(mesh, area, SURFACE, rng)[:2]
        self._tree = cKDTree(points)
        self._noise = Deviation(0.0, 0.0)
        self._noise = self.deviation(np.eye(4))  # of the drawing of points alone

    def deviation(self, T: np.ndarray) -> Deviation:
        """How far a movement (4, 4) m leaves surface and colours as they are."""
        distance, nearest = self._tree.query(self._probes @ T[:3, :3].T + T[:3, 3])
        color = np.abs(self._colors[nearest] - self._probe_colors).mean()
        surface = float(np.percentile(distance, 95)) - self._noise.surface
        return Deviation(max(surface, 0.0), max(float(color) - self._noise.color, 0.0))

    def turn(self, axis: np.ndarray, order: int) -> Deviation:
        """The worst of the turns about an axis through the centroid; order 0: any angle."""
        angles = ANY_TURN if order == 0 else np.array([2 * np.pi / order])
        found = [self.deviation(T) for T in about(axis, angles, self.center)]
        return Deviation(max(d.surface for d in found), max(d.color for d in found))

    def propose(self) -> list[Found]:
        """Turns that leave the mesh the same, the finest first, none that follows from others."""
        found: list[Found] = []
        for axis in self._axes():
            best = self._about(axis, (0, *ORDERS))
            if best is not None:
                found.append(best)
        main = next((f for f in found if f.order == 0 or f.order > 2), None)
        if main is not None:
            across = self._across(main.axis)
            known = across is None or any(_parallel(across.axis, f.axis) for f in found)
            found += [] if known or across is None else [across]
        kept: list[Found] = []
        for turn in sorted(found, key=lambda f: (f.order != 0, -f.order)):
            if not self.group([*kept, turn]).within(self.group(kept)):
                kept.append(turn)
        return kept

    def broken_by_colors(self) -> list[Found]:
        """Turns about the axes tried that leave the shape the same and the colours not."""
        found = []
        for axis in self._axes():
            for order in (0, *ORDERS):
                deviation = self.turn(axis, order)
                if deviation.surface <= CLOSE * self.diameter:
                    if deviation.color > ALIKE:
                        found.append(Found(axis, order, deviation))
                    break
        return found

    def group(self, found: list[Found]) -> SymmetryGroup:
        """What the turns span."""
        lines = [(f.axis, self.center) for f in found if f.order == 0]
        turns = [
            about(f.axis, np.array([2 * np.pi / f.order]), self.center)[0] for f in found if f.order
        ]
        if len(lines) > 1:
            turns = []  # a sphere
        return close_group(np.array(turns).reshape(-1, 4, 4), lines, self.diameter)

    def _same(self, deviation: Deviation) -> bool:
        return deviation.surface <= CLOSE * self.diameter and deviation.color <= ALIKE

    def _about(self, axis: np.ndarray, orders: tuple[int, ...]) -> Found | None:
        for order in orders:
            deviation = self.turn(axis, order)
            if self._same(deviation):
                return Found(axis, order, deviation)
        return None

    def _axes(self) -> Iterator[np.ndarray]:
        """x, y, z, then the principal axes that are none of these."""
        yield from np.eye(3)
        for axis in np.linalg.eigh(self._inertia)[1].T:
            if not any(_parallel(axis, known) for known in np.eye(3)):
                yield axis

    def _across(self, axis: np.ndarray) -> Found | None:
        """The half turn about an axis across another one that fits best, if it fits."""
        e1, e2 = plane_basis(axis)
        angles = np.arange(0.0, np.pi, STEP)
        best, step = 0.0, STEP
        for _ in range(4):
            rows = [(self.turn(np.cos(a) * e1 + np.sin(a) * e2, 2), a) for a in angles]
            best = min(rows, key=lambda row: row[0])[1]
            angles, step = best + step * np.linspace(-0.5, 0.5, 5), 0.25 * step
        return self._about(np.cos(best) * e1 + np.sin(best) * e2, (2,))


def _second_moment(corners: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(3, 3): integral of x x^T over triangles (F, 3, 3), in closed form but for its scale."""
    both = np.concatenate([corners, 3 * corners.mean(1, keepdims=True)], 1)
    return np.asarray(np.einsum("fki,fkj,f->ij", both, both, area))


def _parallel(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.linalg.norm(np.cross(a, b)) < SAME_AXIS)
