"""The time of a camera's frames: their stamps where these serve, else their arrival."""

from collections import deque
from typing import NamedTuple

JUMP_BACK = 1.0  # s: a stamp that much older than the newest is a new start at once
JUMP_AHEAD = 60.0  # s that stamps may advance by more than the frames' arrival did
LOOP = 3  # frames in a row that are older than the newest but in order: a loop of a recording
MEMORY = 10  # frames whose stamps are judged together
STANDING = 3  # of those, that are no newer than the newest: stamps do not tell the time
STARTS = 4  # of those, that would be new starts: stamps do not tell the time either


class FrameTime(NamedTuple):
    """When an image was taken, and when it came."""

    stamp: float  # s, of its header
    arrived: float  # s, of a steady clock or of recording


class Moment(NamedTuple):
    """A frame's place in time, for tracking."""

    time: float  # s; never falls between two new starts; stands still for a late frame
    anew: str = ""  # why tracks start anew with this frame, "" where they go on
    by_arrival: bool = False  # stamps do not tell the time, so that arrival counts


class FrameClock:
    """Turns stamps into a time that tracking can rely on.

    - Stamps that advance are the time. For a late or repeated one it stands still.
    - Stamps that stand still again and again (all zero, whole seconds) give way to arrival,
      until MEMORY frames in a row have advanced.
    - Stamps that fall back (a bag's loop, a simulator's reset) or leap ahead are a new start,
      unless that happens all the time.
    """

    def __init__(self) -> None:
        self._time = 0.0
        self._newest: float | None = None  # s, stamp
        self._last = FrameTime(0.0, 0.0)
        self._in_order = 0  # frames in a row that are not new, yet newer than the one before
        self._standing: deque[bool] = deque(maxlen=MEMORY)
        self._starts: deque[bool] = deque(maxlen=MEMORY)

    def moment(self, frame: FrameTime) -> Moment:
        """The place in time of the next frame."""
        newest = frame.stamp if self._newest is None else self._newest
        first = self._newest is None
        waited = 0.0 if first else max(frame.arrived - self._last.arrived, 0.0)
        anew = "" if first else self._why_anew(frame, newest, waited)
        self._starts.append(bool(anew))
        restless = sum(self._starts) >= STARTS
        self._standing.append(not (first or anew) and frame.stamp <= newest)
        by_arrival = restless or sum(self._standing) >= STANDING
        if first or anew:
            newest, self._in_order = frame.stamp, 0
        if first or (anew and not restless):
            self._time = frame.stamp
        else:
            self._time += waited if by_arrival else max(frame.stamp - newest, 0.0)
        self._newest, self._last = max(newest, frame.stamp), frame
        return Moment(self._time, "" if restless else anew, by_arrival)

    def _why_anew(self, frame: FrameTime, newest: float, waited: float) -> str:
        back, step = newest - frame.stamp, frame.stamp - self._last.stamp
        if back > JUMP_BACK:
            return f"stamps went back by {back:.1f} s"
        if step - waited > JUMP_AHEAD:
            return f"stamps leapt ahead by {step - waited:.1f} s"
        if back > 0.0 and step < 0.0:
            self._in_order = 1
        else:
            self._in_order = self._in_order + 1 if self._in_order and back >= 0.0 < step else 0
        if self._in_order >= LOOP:
            return f"stamps began again {back:.2f} s before the newest"
        return ""
