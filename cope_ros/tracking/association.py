"""Which instance continues which track: gated optimal assignment."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from cope_ros.tracking.settings import TrackSettings
from cope_ros.tracking.symmetry import Symmetries
from cope_ros.tracking.tracks import Tracks

DEPTH_WEIGHT = 0.5  # of a distance along the ray: depth is the least certain number of a pose
ROTATION_WEIGHT = 0.25  # of a half turn, against 1 for a distance at the gate
GATE_SIGMAS = 1.0  # of a track's own uncertainty that widen the gate


def associate(
    tracks: Tracks,
    class_index: np.ndarray,
    R: np.ndarray,
    z: np.ndarray,
    symmetries: Symmetries,
    settings: TrackSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Matches N instances to M tracks, each to one at most.

    The sum of the pairs' costs, with the cost of a pair at its gates for whoever stays alone,
    is the least possible; classes never mix. A pair's cost is the squared distance of the
    centres over the gate's plus the squared rotation distance.

    Args:
        class_index, R, z: (N,), (N, 3, 3) and (N, 3) m, of the instances; z their centres.

    Returns:
        (P,) rows of instances and (P,) rows of tracks.
    """
    if len(tracks) == 0 or len(z) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    square = _squares(tracks, z)
    gate = settings.gate_distance * symmetries.diameters[tracks.class_index]
    gate = gate + GATE_SIGMAS * np.sqrt(np.maximum(tracks.P[:, 0, 0, 0], 0.0))
    near = (square < gate**2) & (class_index[:, None] == tracks.class_index)
    i, j = np.nonzero(near)
    angle = symmetries.distances(R[i], class_index[i], tracks.R[j])
    pair_cost = square[i, j] / gate[j] ** 2 + ROTATION_WEIGHT * (angle / np.pi) ** 2
    alone = 1.0 + ROTATION_WEIGHT
    cost = np.full(square.shape, alone)
    cost[i, j] = np.where(angle <= settings.gate_rotation, pair_cost, alone)
    rows, columns = linear_sum_assignment(cost)
    paired = cost[rows, columns] < alone
    return rows[paired], columns[paired]


def _squares(tracks: Tracks, z: np.ndarray) -> np.ndarray:
    """(N, M) m^2 from points (N, 3) to tracks, depth weighing less."""
    ray = tracks.rays()
    along = z @ ray.T - np.sum(tracks.x * ray, axis=1)
    total = np.sum(z * z, axis=1)[:, None] + np.sum(tracks.x**2, axis=1) - 2.0 * z @ tracks.x.T
    return np.maximum(total - (1.0 - DEPTH_WEIGHT**2) * along**2, 0.0)
