"""BOP's result files: ``scene_id,im_id,obj_id,score,R,t,time``, one estimate per line.

R holds nine numbers by rows, t three in millimetres; time is that of the whole image in
seconds, -1 where unknown. Source: BOP Challenge 2019, "Formats of results". Read as spreadsheets
leave them, too: with a byte-order mark, spaces around the names, empty columns at the end, ids
such as ``1.0``, or without the header.
"""

import codecs
import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import MM
from cope_ros.core.errors import CopeError
from cope_training.data.bop_checks import are_rotations, describe_matrix
from cope_training.evaluation.metrics.tables import UNKNOWN_TIME, Estimates

HEADER = ("scene_id", "im_id", "obj_id", "score", "R", "t", "time")
TIME_TOLERANCE = 1e-3  # s, within which the times of an image's rows must agree (BOP)
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SHOWN_PROBLEMS = 20  # lines named in the error message

Row = tuple[int, int, int, float, np.ndarray, np.ndarray, float]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line."""

    line: int  # 1-based
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class BopCsvError(CopeError):
    """A result file that breaks the format; ``problems`` names every line at fault."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.problems = problems
        shown = "\n".join(f"  {problem}" for problem in problems[:SHOWN_PROBLEMS])
        more = len(problems) - SHOWN_PROBLEMS
        tail = f"\n  and {more} more" if more > 0 else ""
        count = f"{len(problems)} ill-formed line{'s' * (len(problems) > 1)}"
        super().__init__(f"{path}: {count}\n{shown}{tail}")


def read_results(path: Path | str, obj_ids: Collection[int] | None = None) -> Estimates:
    """Reads and validates a result file.

    Args:
        obj_ids: the objects of the data set; others are reported. None accepts any.

    Raises:
        CopeError: the file cannot be read.
        BopCsvError: a line is ill-formed, names an unknown object, holds a matrix that is no
            rotation, or a time that differs from that of another line of the same image.
    """
    path = Path(path)
    lines = _read_lines(path)
    if not lines:
        raise BopCsvError(path, [Problem(1, f"expected {','.join(HEADER)}, got an empty file")])
    has_header = tuple(name.lower() for name in lines[0][1]) == tuple(n.lower() for n in HEADER)
    if not has_header and not _is_number(lines[0][1][0]):
        found = ",".join(lines[0][1])[:80]
        problem = Problem(lines[0][0], f"expected {','.join(HEADER)}, got {found}")
        raise BopCsvError(path, [problem])
    rows, problems = _parse_lines(lines[1:] if has_header else lines, obj_ids)
    if problems:
        raise BopCsvError(path, problems)
    return _columns(rows)


def write_results(path: Path | str, ests: Estimates) -> None:
    """Writes estimates in BOP's format; numbers keep nine significant digits."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for row in range(len(ests)):
            writer.writerow(
                (
                    int(ests.scene_id[row]),
                    int(ests.im_id[row]),
                    int(ests.obj_id[row]),
                    f"{ests.score[row]:.9g}",
                    _joined(ests.R[row]),
                    _joined(ests.t[row] / MM),
                    f"{ests.time[row]:.9g}",
                )
            )


def _read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """The fields of each line that has any, with its number."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CopeError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        text = content.decode("utf-16" if content.startswith(UTF16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BopCsvError(path, [Problem(line, f"expected UTF-8 text, got {error}")]) from error
    reader = csv.reader(io.StringIO(text, newline=""))
    lines, begins = [], 1  # a quoted field may go on over several lines
    try:
        for row in reader:
            lines.append((begins, _stripped(row)))
            begins = reader.line_num + 1
    except csv.Error as error:
        problem = Problem(begins, f"expected comma-separated text, got {error}")
        raise BopCsvError(path, [problem]) from error
    return [(number, fields) for number, fields in lines if fields]


def _parse_lines(
    lines: list[tuple[int, list[str]]], obj_ids: Collection[int] | None
) -> tuple[list[Row], list[Problem]]:
    rows: list[Row] = []
    problems: list[Problem] = []
    times: dict[tuple[int, int], tuple[float, int]] = {}
    for number, fields in lines:
        try:
            row = _parse_row(fields, obj_ids)
            time, first = times.setdefault(row[:2], (row[6], number))
            if abs(time - row[6]) > TIME_TOLERANCE:
                raise ValueError(f"time {row[6]:g} differs from {time:g} in line {first}")
        except ValueError as error:
            problems.append(Problem(number, str(error)))
        else:
            rows.append(row)
    return rows, problems


def _parse_row(fields: list[str], obj_ids: Collection[int] | None) -> Row:
    if len(fields) != len(HEADER):
        raise ValueError(f"expected {len(HEADER)} fields, got {len(fields)}")
    scene_id, im_id, obj_id = (_integer(fields[i], HEADER[i]) for i in range(3))
    if obj_ids is not None and obj_id not in obj_ids:
        raise ValueError(f"unknown obj_id {obj_id}: the data set has {sorted(obj_ids)}")
    score = _numbers(fields[3], "score", 1)[0]
    R = _numbers(fields[4], "R", 9).reshape(3, 3)
    if not are_rotations(R[None])[0]:
        raise ValueError(f"R is no rotation but {describe_matrix(R)}")
    t = _numbers(fields[5], "t", 3) * MM
    time = _numbers(fields[6], "time", 1)[0]
    if time < 0 and time != UNKNOWN_TIME:
        raise ValueError(f"time: expected seconds or -1, got {time:g}")
    return scene_id, im_id, obj_id, float(score), R, t, float(time)


def _integer(text: str, name: str) -> int:
    try:
        number = _number(text)
        value = int(number)
    except (ValueError, OverflowError):
        raise ValueError(f"{name}: expected an integer, got {text!r}") from None
    if value != number:
        raise ValueError(f"{name}: expected an integer, got {text!r}")
    if not 0 <= value < 2**31:
        raise ValueError(f"{name}: expected a small non-negative integer, got {value}")
    return value


def _stripped(fields: list[str]) -> list[str]:
    """The fields without spaces around them and without empty ones at the end."""
    fields = [field.strip() for field in fields]
    while fields and not fields[-1]:
        fields.pop()
    return fields


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except ValueError:
        return False
    return True


def _number(text: str) -> float:
    if "_" in text:  # Python reads 1_0 as ten
        raise ValueError(text)
    return float(text)


def _numbers(text: str, name: str, count: int) -> np.ndarray:
    parts = text.split()
    if len(parts) != count:
        raise ValueError(f"{name}: expected {count} numbers, got {len(parts)}")
    try:
        values = np.array([_number(part) for part in parts])
    except ValueError:
        raise ValueError(f"{name}: expected numbers, got {text!r}") from None
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: expected finite numbers, got {text!r}")
    return values


def _columns(rows: list[Row]) -> Estimates:
    if not rows:
        return Estimates.empty()
    scene_id, im_id, obj_id, score, R, t, time = zip(*rows, strict=True)
    return Estimates(
        scene_id=np.array(scene_id, dtype=np.int64),
        im_id=np.array(im_id, dtype=np.int64),
        obj_id=np.array(obj_id, dtype=np.int64),
        score=np.array(score),
        R=np.stack(R),
        t=np.stack(t),
        time=np.array(time),
    )


def _joined(values: np.ndarray) -> str:
    return " ".join(f"{value:.9g}" for value in values.reshape(-1))
