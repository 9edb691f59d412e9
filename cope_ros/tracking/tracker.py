"""Keeps a slot with its object from frame to frame."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.tracking.association import associate
from cope_ros.tracking.frame_clock import FrameClock
from cope_ros.tracking.motion import CameraMotion, displacement
from cope_ros.tracking.settings import TrackSettings
from cope_ros.tracking.slot_pool import SlotPool
from cope_ros.tracking.symmetry import Symmetries, moved_covariance
from cope_ros.tracking.tracks import UNPUBLISHED, Tracks

MAX_LOST = 256  # tracks out of sight that are remembered, the latest; bounds time and memory


@dataclass(frozen=True)
class Tracked:
    """An estimate whose rows have slots."""

    estimate: Any  # as given, with R, t and covariance of the continuous symmetric equivalent
    slots: np.ndarray  # (N,) int64, unique within a class; -1 keeps an instance unpublished


@dataclass
class _Sightings:
    """The finite rows of an estimate."""

    rows: np.ndarray  # (N,) int64 of the estimate
    class_index: np.ndarray
    R: np.ndarray  # (N, 3, 3) float64
    t: np.ndarray  # (N, 3) m float64
    z: np.ndarray  # (N, 3) m, centres


@dataclass
class _Update:
    """Sightings that the tracks have yet to learn from."""

    owners: np.ndarray  # (M,) int64, rows of the tracks
    z: np.ndarray  # (M, 3) m, centres
    R: np.ndarray  # (M, 3, 3), aligned


class Tracker:
    """Numbers the instances of successive frames and keeps their orientations continuous.

    Works in the camera frame; how the camera moves is estimated from the tracks themselves.
    Used by one thread. The slots in use outlive ``reset`` and a change of the model, until tf2
    has forgotten them.
    """

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self._slots = SlotPool()
        self._tracks = Tracks.empty()
        self._camera = CameraMotion()
        self.clock = FrameClock()  # of the camera whose frames these are
        self._last: float | None = None  # s, the newest time
        self._update: _Update | None = None
        self.prepare(catalogue or Catalogue(()))

    def __len__(self) -> int:
        """Tracks in memory, lost and unconfirmed ones too."""
        return len(self._tracks)

    def prepare(self, catalogue: Catalogue) -> None:
        """Forgets every track; later estimates are of these objects."""
        self.reset()
        self._class_ids = catalogue.class_ids
        self._symmetries = Symmetries(catalogue)

    def reset(self) -> None:
        """Forgets every track; their slots rest as those of any object that is gone."""
        self._update = None
        self._release(np.ones(len(self._tracks), dtype=bool))
        self._camera = CameraMotion()

    def restart(self) -> None:
        """Forgets every track, slot and time: a recording began again, as tf2 sees it."""
        self.reset()
        self._slots.clear()
        self._last = None

    def track(self, time: float, estimate: Any, settings: TrackSettings) -> Tracked:
        """Slots of an image's instances.

        Args:
            time: s, as ``clock`` tells it. A frame that is not newer than the newest
                finds the tracks as they are and moves nothing.
            estimate: a dataclass with ``class_index, R, t, covariance`` (see ``core.runtime``).
        """
        self.settle()
        dt = 0.0 if self._last is None else max(time - self._last, 0.0)
        now = self._last = time if self._last is None else max(self._last, time)
        if not settings.enable:
            self.reset()
            return Tracked(estimate, left_to_right(estimate))
        self._advance(dt, now, settings)
        seen = self._sightings(estimate)
        rows, owners = self._associate(seen, dt, settings)
        R, t = self._symmetries.align(
            seen.R[rows], seen.t[rows], seen.class_index[rows], self._tracks.R[owners]
        )
        if dt > 0:
            self._tracks.count(owners, now)
            self._update = _Update(owners, seen.z[rows], R)
        seen.R[rows], seen.t[rows] = R, t
        track_of = np.full(len(seen.rows), -1, dtype=np.int64)
        track_of[rows] = owners
        self._give_birth(seen, track_of, now)
        self._confirm(settings.confirm, now)
        slots = np.full(len(estimate.t), UNPUBLISHED, dtype=np.int64)
        slots[seen.rows] = self._tracks.slot[track_of]
        self._forget_lost(track_of)
        return Tracked(_aligned(estimate, seen), slots)

    def settle(self) -> None:
        """Learns from the last frame; ``track`` does it otherwise, when the next one waits."""
        if self._update is not None:
            update, self._update = self._update, None
            self._tracks.update(update.owners, update.z, update.R)

    def _advance(self, dt: float, now: float, settings: TrackSettings) -> None:
        self._release(now - self._tracks.seen > settings.timeout)
        if dt > 0:
            self._tracks.advance(dt, *self._camera.advance(dt))

    def _sightings(self, estimate: Any) -> _Sightings:
        R, t = np.asarray(estimate.R, dtype=float), np.asarray(estimate.t, dtype=float)
        finite = np.isfinite(R).all(axis=(1, 2)) & np.isfinite(t).all(axis=1)
        rows = np.flatnonzero(finite)
        index = np.asarray(estimate.class_index)[rows]
        z = self._symmetries.centers(R[rows], t[rows], index)
        return _Sightings(rows, index, R[rows], t[rows], z)

    def _associate(
        self, seen: _Sightings, dt: float, settings: TrackSettings
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of sightings and tracks; learns the camera's motion from a first assignment."""

        def pairs() -> tuple[np.ndarray, np.ndarray]:
            return associate(
                self._tracks, seen.class_index, seen.R, seen.z, self._symmetries, settings
            )

        rows, owners = pairs()
        if dt <= 0 or len(rows) == 0:
            return rows, owners
        x = self._tracks.x[owners]
        whitening = self._tracks.whitening()[owners]
        change = self._camera.correct(x, seen.z[rows] - x, whitening, dt)
        self._tracks.x += displacement(self._tracks.x, change, dt)
        return pairs()

    def _give_birth(self, seen: _Sightings, track_of: np.ndarray, now: float) -> None:
        """Tracks for the sightings without one, entered in ``track_of``, left to right."""
        new = np.flatnonzero(track_of < 0)
        new = new[np.argsort(_bearing(seen.t[new]), kind="stable")]
        track_of[new] = len(self._tracks) + np.arange(len(new))
        index = seen.class_index[new]
        diameter = self._symmetries.diameters[index]
        born = Tracks.born(index, seen.R[new], seen.z[new], diameter, now)
        born.hits += 1
        self._tracks = self._tracks.joined(born)

    def _confirm(self, needed: int, now: float) -> None:
        tracks = self._tracks
        ripe = (tracks.slot == UNPUBLISHED) & (tracks.hits >= needed) & (tracks.seen == now)
        for row in np.flatnonzero(ripe).tolist():
            tracks.slot[row] = self._slots.acquire(self._class_ids[tracks.class_index[row]], now)

    def _forget_lost(self, in_sight: np.ndarray) -> None:
        """Drops the longest lost tracks beyond MAX_LOST; ``in_sight`` holds the others' rows."""
        out_of_sight = np.ones(len(self._tracks), dtype=bool)
        out_of_sight[in_sight] = False
        lost = np.flatnonzero(out_of_sight)
        if len(lost) > MAX_LOST:
            self.settle()
            gone = np.zeros(len(self._tracks), dtype=bool)
            gone[lost[np.argsort(self._tracks.seen[lost], kind="stable")[:-MAX_LOST]]] = True
            self._release(gone)

    def _release(self, gone: np.ndarray) -> None:
        """Drops the tracks of a mask (N,) and gives their slots back."""
        for row in np.flatnonzero(gone & (self._tracks.slot >= 0)).tolist():
            class_id = self._class_ids[self._tracks.class_index[row]]
            last_seen = float(self._tracks.seen[row])
            self._slots.release(class_id, int(self._tracks.slot[row]), last_seen)
        self._tracks = self._tracks.take(~gone)


def left_to_right(estimate: Any) -> np.ndarray:
    """(N,) slots of one frame by itself: per class, as the camera sees them."""
    bearing = _bearing(np.asarray(estimate.t, dtype=float))
    slots = np.empty(len(bearing), dtype=np.int64)
    for index in np.unique(estimate.class_index):
        rows = np.flatnonzero(estimate.class_index == index)
        slots[rows[np.argsort(bearing[rows], kind="stable")]] = np.arange(len(rows))
    return slots


def _bearing(t: np.ndarray) -> np.ndarray:
    """(N,) from left to right, of positions (N, 3)."""
    return np.arctan2(t[:, 0], t[:, 2])


def _aligned(estimate: Any, seen: _Sightings) -> Any:
    """The estimate with the sightings' poses in its own precision."""
    R, t, covariance = (np.array(getattr(estimate, n)) for n in ("R", "t", "covariance"))
    shift = seen.t - np.asarray(estimate.t, dtype=float)[seen.rows]
    R[seen.rows], t[seen.rows] = seen.R, seen.t
    moved = np.any(shift != 0.0, axis=1)
    rows = seen.rows[moved]
    covariance[rows] = moved_covariance(covariance[rows], shift[moved])
    return replace(estimate, R=R, t=t, covariance=covariance)
