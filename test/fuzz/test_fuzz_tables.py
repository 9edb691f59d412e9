"""Result tables with one random defect: read as meant, or the line is named."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from defects import FUZZ, damage, outcome
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cope_training.data.bop_csv import read_results, write_results
from cope_training.evaluation.metrics.tables import Estimates

COUNTS = st.integers(1, 5)
WORDS = [
    "",
    "x",
    "nan",
    "inf",
    "1e999",
    "-1",
    "1.5",
    "0x1",
    "1_000",
    "\u0661",
    "1,2",
    '"',
    "1 2",
    "None",
]


def table(count: int, seed: int) -> Estimates:
    rng = np.random.default_rng(seed)
    return Estimates(
        scene_id=rng.integers(0, 3, count),
        im_id=np.arange(count),
        obj_id=rng.integers(1, 30, count),
        score=rng.random(count),
        R=Rotation.random(count, rng).as_matrix(),
        t=rng.normal(0, 1, (count, 3)),
        time=rng.random(count),
    )


def equal(a: Estimates, b: Estimates) -> bool:
    names = ("scene_id", "im_id", "obj_id", "score", "R", "t", "time")
    return all(np.allclose(getattr(a, n), getattr(b, n), atol=1e-6) for n in names)


@FUZZ
@given(COUNTS, st.integers(0, 99), st.sampled_from(["crlf", "bom", "spaces", "comma", "floats",
       "no header", "blank lines"]))  # fmt: skip
def test_what_spreadsheets_leave_is_read(count, seed, change) -> None:
    with TemporaryDirectory() as folder:
        path, written = Path(folder) / "table.csv", table(count, seed)
        write_results(path, written)
        header, *rows = path.read_text().splitlines()
        if change == "spaces":
            header = header.replace(",", " , ")
        elif change == "floats":
            rows = [re.sub(r"^(\d+),(\d+),(\d+),", r"\1.0,\2.0,\3.0,", row) for row in rows]
        elif change == "comma":
            rows = [row + "," for row in rows]
        lines = rows if change == "no header" else [header, *rows]
        end = {"crlf": "\r\n", "blank lines": "\n\n"}.get(change, "\n")
        text = end.join([*lines, ""])
        path.write_bytes(text.encode("utf-8-sig" if change == "bom" else "utf-8"))
        assert equal(read_results(path), written)


@FUZZ
@given(COUNTS, st.integers(0, 99), st.data())
def test_a_wrong_cell_is_named_by_its_line(count, seed, data) -> None:
    with TemporaryDirectory() as folder:
        path, written = Path(folder) / "table.csv", table(count, seed)
        write_results(path, written)
        lines = path.read_text().splitlines()
        row, column = data.draw(st.integers(1, count)), data.draw(st.integers(0, 6))
        cells = lines[row].split(",")
        word = data.draw(st.sampled_from(WORDS))
        if column in (4, 5) and data.draw(st.booleans()):
            words = cells[column].split()
            words[data.draw(st.integers(0, len(words) - 1))] = word
            cells[column] = " ".join(words)
        else:
            cells[column] = word
        lines[row] = ",".join(cells)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        found = outcome(lambda: read_results(path), (f"line {row + 1}",))
    if found is not None:  # another number where the old one was, or as much as the old
        others = np.arange(count) != row - 1
        assert len(found.score) == count
        for name in ("scene_id", "im_id", "obj_id", "score", "R", "t", "time"):
            a, b = getattr(found, name), getattr(written, name)
            assert np.isfinite(a).all()
            assert np.allclose(a[others], b[others], atol=1e-6)


@FUZZ
@given(COUNTS, st.integers(0, 99), st.data())
def test_damaged_bytes_are_one_line(count, seed, data) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write_results(path, table(count, seed))
        path.write_bytes(damage(path.read_bytes(), data))
        found = outcome(lambda: read_results(path), (path.name,))
    if found is not None:
        assert np.isfinite(found.R).all()
        assert np.isfinite(found.t).all()
