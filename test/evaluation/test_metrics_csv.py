"""BOP result files: what is written is read; what is wrong is named with its line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cope_ros.core.errors import CopeError
from cope_training.data.bop_csv import BopCsvError, read_results, write_results
from cope_training.evaluation.metrics.tables import Estimates

HEADER = "scene_id,im_id,obj_id,score,R,t,time\n"
IDENTITY = "1 0 0 0 1 0 0 0 1"


def some_estimates(count: int, seed: int = 0) -> Estimates:
    rng = np.random.default_rng(seed)
    return Estimates(
        scene_id=rng.integers(0, 3, count),
        im_id=np.arange(count),
        obj_id=rng.integers(1, 30, count),
        score=rng.random(count),
        R=Rotation.random(max(count, 1), rng).as_matrix()[:count],
        t=rng.normal(0, 1, (count, 3)),
        time=rng.random(count),
    )


@pytest.mark.parametrize("count", [0, 1, 25])
def test_round_trip(tmp_path: Path, count: int) -> None:
    written = some_estimates(count)
    write_results(tmp_path / "a.csv", written)
    read = read_results(tmp_path / "a.csv")
    for name in ("scene_id", "im_id", "obj_id"):
        assert getattr(read, name).tolist() == getattr(written, name).tolist()
    for name in ("score", "R", "t", "time"):
        np.testing.assert_allclose(getattr(read, name), getattr(written, name), atol=1e-8)


def test_translations_are_millimetres_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}1,2,3,0.5,{IDENTITY},100 -200 1500,-1\n")
    np.testing.assert_allclose(read_results(path).t, [[0.1, -0.2, 1.5]])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"1,2,3,0.5,{IDENTITY},0 0 1", "expected 7 fields, got 6"),
        (f"a,2,3,0.5,{IDENTITY},0 0 1,-1", "scene_id: expected an integer, got 'a'"),
        (f"1_0,2,3,0.5,{IDENTITY},0 0 1,-1", "scene_id: expected an integer, got '1_0'"),
        (f"1,-2,3,0.5,{IDENTITY},0 0 1,-1", "im_id"),
        (f"1,2,99,0.5,{IDENTITY},0 0 1,-1", "unknown obj_id 99"),
        (f"1,2,3,high,{IDENTITY},0 0 1,-1", "score: expected numbers"),
        (f"1,2,3,nan,{IDENTITY},0 0 1,-1", "score: expected finite"),
        ("1,2,3,0.5,1 0 0 0 1 0 0 0,0 0 1,-1", "R: expected 9 numbers, got 8"),
        ("1,2,3,0.5,1 0 0 0 1 0 0 0 1.1,0 0 1,-1", "no rotation"),
        ("1,2,3,0.5,1 0 0 0 1 0 0 0 -1,0 0 1,-1", "no rotation"),
        (f"1,2,3,0.5,{IDENTITY},0 0,-1", "t: expected 3 numbers, got 2"),
        (f"1,2,3,0.5,{IDENTITY},0 0 inf,-1", "t: expected finite"),
        (f"1,2,3,0.5,{IDENTITY},0 0 1,-3", "time"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    good = f"1,7,3,0.5,{IDENTITY},0 0 1000,0.1\n"
    path.write_text(f"{HEADER}{good}{line}\n{good}")
    with pytest.raises(BopCsvError, match=r"a\.csv") as caught:
        read_results(path, obj_ids={3})
    assert [p.line for p in caught.value.problems] == [3]
    assert reason in caught.value.problems[0].reason
    assert "line 3" in str(caught.value)


def test_every_bad_line_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "x\n" * 30)
    with pytest.raises(BopCsvError, match="and 10 more") as caught:
        read_results(path)
    assert len(caught.value.problems) == 30


def test_times_of_one_image_must_agree(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"1,2,3,0.5,{IDENTITY},0 0 1,{time}\n" for time in (0.5, 0.5004, 0.6))
    path.write_text(HEADER + rows)
    with pytest.raises(BopCsvError, match=r"line 4: time 0\.6 differs from 0\.5 in line 2"):
        read_results(path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", 1),
        ("a,b\n1,2\n", 1),
        ("scene_id;im_id;obj_id;score;R;t;time\n", 1),
        (HEADER + "\xff", 2),
        (HEADER + "9" * 200_000, 2),
    ],
)
def test_other_files_are_refused_with_the_line(tmp_path: Path, content: str, line: int) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(BopCsvError, match="expected") as caught:
        read_results(path)
    assert caught.value.problems[0].line == line


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CopeError, match="cannot be read"):
        read_results(tmp_path / "none.csv")


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text(HEADER + text, encoding="utf-8", errors="replace", newline="")
    try:
        read = read_results(path)
    except CopeError as error:
        message = str(error)
    else:
        message, finite = "a.csv", np.isfinite(read.R).all()
        assert finite
    assert "a.csv" in message


@pytest.mark.parametrize(
    "text",
    [
        f"\ufeff{HEADER}1,2,3,0.5,{IDENTITY},0 0 1000,-1\n",
        f"scene_id, im_id, obj_id, score, R, t, time\n1, 2, 3, 0.5, {IDENTITY}, 0 0 1000, -1\n",
        f"Scene_ID,im_id,obj_id,score,r,T,time\n1,2,3,0.5,{IDENTITY},0 0 1000,-1\n",
        f"1,2,3,0.5,{IDENTITY},0 0 1000,-1\n",
        f"\n{HEADER.strip()},\n1,2,3,0.5,{IDENTITY},0 0 1000,-1,\n\n",
        f"{HEADER}1.0,2.0,3.0,0.5,{IDENTITY},0 0 1000,-1\n",
        f'{HEADER}1,2,3,0.5,"{IDENTITY}","0 0 1000",-1\n',
        f"{HEADER}1,2,3,0.5,{IDENTITY},0 0 1000,-1\n".replace("\n", "\r\n"),
        f"{HEADER}1,2,3,0.5,{IDENTITY},0 0 1000,-1\n".encode("utf-16"),
    ],
    ids=["bom", "spaces", "case", "no header", "trailing commas", "1.0", "quoted", "crlf", "utf16"],
)
def test_files_as_spreadsheets_leave_them_are_read(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    read = read_results(path, obj_ids={3})
    assert (read.scene_id.tolist(), read.im_id.tolist(), read.obj_id.tolist()) == ([1], [2], [3])
    np.testing.assert_allclose(read.t, [[0.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("matrix", "what"),
    [("1 0 0 0 1 0 0 0 -1", "a reflection"), ("2 0 0 0 2 0 0 0 2", "one scaled by 2")],
)
def test_matrices_that_are_no_rotations_are_described(tmp_path: Path, matrix, what) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}1,2,3,0.5,{matrix},0 0 1,-1\n")
    with pytest.raises(BopCsvError, match=what):
        read_results(path)
