"""What objects of simulated scenes lie in: a tray on a table, or the bare table."""

from dataclasses import dataclass

import numpy as np

WALL_THICKNESS = 0.012  # m


@dataclass(frozen=True)
class Tray:
    """An open box on the table, or the bare table where it has no walls."""

    width: float  # m, inner size along x
    depth: float  # m, along y
    wall: float  # m, height of the walls, 0 for none

    def walls(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(center, extent) of the four walls, m."""
        if self.wall == 0.0:
            return []
        t, h = WALL_THICKNESS, self.wall
        parts = []
        for sign in (-1.0, 1.0):
            x, y = sign * 0.5 * (self.width + t), sign * 0.5 * (self.depth + t)
            long = np.array([self.width + 2 * t, t, h])
            parts.append((np.array([0.0, y, 0.5 * h]), long))
            parts.append((np.array([x, 0.0, 0.5 * h]), np.array([t, self.depth, h])))
        return parts
