"""The live table of detections: redrawn in place on a terminal, printed now and then elsewhere."""

import shutil
import time
from collections.abc import Sequence
from typing import TextIO

import numpy as np

from demo.record import Pose, Processed

HEADER = (
    f"{'class':<14} {'id':<22} {'x':>7} {'y':>7} {'z':>7}  "
    f"{'roll':>7} {'pitch':>7} {'yaw':>7}  {'score':>5}"
)
UNITS = f"{'':<14} {'':<22} {'m':>7} {'m':>7} {'m':>7}  {'deg':>7} {'deg':>7} {'deg':>7}"
PLAIN_PERIOD = 2.0  # s between two tables in a log


class Table:
    """Shows one frame at a time on a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._in_place = stream.isatty()
        self._shown_lines = 0
        self._next = 0.0

    def show(self, frame: Processed, count: int) -> None:
        """Shows the newest frame, the ``count``-th; in a log only every two seconds."""
        if not self._in_place and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PLAIN_PERIOD
        size = shutil.get_terminal_size((100, 40))
        lines = table_lines(frame, count)
        if self._in_place:
            lines = _fitted(lines, size.lines - 2, size.columns - 1)
            self._stream.write(f"\x1b[{self._shown_lines}A\x1b[J" if self._shown_lines else "")
            self._shown_lines = len(lines)
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()


def table_lines(frame: Processed, count: int) -> list[str]:
    """The table of one frame: title, header and a line for each instance, nearest first."""
    title = f"frame {count}: {len(frame.poses)} instances, latency {frame.latency:.0f} ms"
    poses = sorted(frame.poses, key=lambda p: p.T_cam_obj[2, 3])
    return [title, HEADER, UNITS, *(_line(pose) for pose in poses)]


def _line(pose: Pose) -> str:
    x, y, z = pose.T_cam_obj[:3, 3]
    roll, pitch, yaw = euler_degrees(pose.T_cam_obj[:3, :3])
    return (
        f"{pose.class_id:<14.14} {pose.track_id:<22.22} {x:7.3f} {y:7.3f} {z:7.3f}  "
        f"{roll:7.1f} {pitch:7.1f} {yaw:7.1f}  {pose.score:5.2f}"
    )


def euler_degrees(R: np.ndarray) -> np.ndarray:
    """Roll, pitch and yaw in degrees about fixed x, y and z (REP-103) of R (3, 3)."""
    pitch = np.arcsin(np.clip(-R[2, 0], -1.0, 1.0))
    return np.degrees([np.arctan2(R[2, 1], R[2, 2]), pitch, np.arctan2(R[1, 0], R[0, 0])])


def _fitted(lines: Sequence[str], rows: int, columns: int) -> list[str]:
    cut = [line[:columns] for line in lines]
    if len(cut) <= rows:
        return cut
    return [*cut[: rows - 1], f"... and {len(cut) - rows + 1} more"[:columns]]
