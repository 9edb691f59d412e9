"""cope_pose: one photograph in; a table, JSON and a picture out."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from node_fakes import FakeEstimator
from photo_files import FOCAL, FOCAL_35MM, RESOLUTION, UNIT, WIDTH, photo, run
from PIL import Image

from cope_ros import pose
from cope_ros.photograph import focal_of_view, read_photograph


def test_table_json_and_picture(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    path = photo(tmp_path / "p.jpg")
    assert run(path, "--fx", 900) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[2].split()[:5] == ["carton_1", "0.90", "0.300", "0.000", "1.000"]
    content = json.loads(said.out[said.out.index("{") :])
    assert content["K"] == [[900, 0, 199.5], [0, 900, 149.5], [0, 0, 1]]
    assert [p["class_id"] for p in content["poses"]] == ["carton", "cup", "carton"]
    assert content["poses"][0]["position_m"] == pytest.approx([0.3, 0, 1])
    assert Image.open(tmp_path / "p_cope.jpg").size == (400, 300)
    assert "focal length 900 px" in said.err
    assert run(path, "--fx", 900, "--json", "--out", tmp_path / "o.png") == 0
    assert json.loads(capsys.readouterr().out)["poses"] == content["poses"]
    assert (tmp_path / "o.png").is_file()


def test_focal_length_from_the_field_of_view(tmp_path: Path, estimator: FakeEstimator) -> None:
    assert run(photo(tmp_path / "p.jpg"), "--fov", 90) == 0
    assert estimator.seen[0][1][0, 0] == pytest.approx(200)
    assert focal_of_view(60, 1000) == pytest.approx(866.03, abs=0.01)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({f"t{FOCAL_35MM}": 26}, 26 * 500 / 43.2666),
        ({f"t{FOCAL}": 5.0, f"t{RESOLUTION}": 2540.0, f"t{UNIT}": 2}, 500.0),
        ({f"t{FOCAL}": 5.0, f"t{RESOLUTION}": 1000.0, f"t{UNIT}": 3, f"t{WIDTH}": 800}, 250.0),
    ],
)
def test_focal_length_from_exif(
    tags: dict, expected: float, tmp_path: Path, estimator: FakeEstimator,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(photo(tmp_path / "p.jpg", **tags)) == 0
    assert estimator.seen[0][1][0, 0] == pytest.approx(expected, rel=1e-4)
    assert "EXIF" in capsys.readouterr().err


@pytest.mark.parametrize("tags", [{}, {f"t{FOCAL_35MM}": 0}, {f"t{FOCAL}": 5.0}])
def test_without_any_focal_length_it_asks(
    tags: dict, tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photo(tmp_path / "p.jpg", **tags)) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "give --fx (px), --fov (degrees) or --camera FILE" in error


def test_orientation_is_applied_unless_intrinsics_are_of_stored_pixels(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    path = photo(tmp_path / "p.jpg", orientation=6)
    assert run(path, "--fx", 500) == 0
    assert estimator.seen[0][0].shape == (400, 300, 3)
    assert "orientation applied" in capsys.readouterr().err
    (tmp_path / "c.json").write_text('{"fx": 500, "fy": 500, "cx": 200, "cy": 150}')
    assert run(path, "--camera", tmp_path / "c.json") == 0
    assert estimator.seen[1][0].shape == (300, 400, 3)
    assert read_photograph(path, upright=False).turned


def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "c.json").write_text(
        '{"fx": 500, "fy": 500, "cx": 200, "cy": 150, "width": 640, "height": 480}'
    )
    path = photo(tmp_path / "p.jpg")
    for arguments in (
        (tmp_path / "text.jpg", "--fx", 9),
        (tmp_path / "none.jpg", "--fx", 9),
        (path, "--camera", tmp_path / "c.json"),
        (path, "--fx", 900, "--model", "no_such_model"),
    ):
        assert run(*arguments) == 1
        lines = [x for x in capsys.readouterr().err.splitlines() if "note:" not in x]
        assert len(lines) == 1, lines


@pytest.mark.parametrize("name", ["o.txt", "o", "none/o.png", "p.jpg/o.png", "folder.png"])
def test_a_picture_that_cannot_be_written_is_refused_before_the_model_is_loaded(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pose.Estimator, "load", lambda *arguments: pytest.fail("loaded"))
    (tmp_path / "folder.png").mkdir()
    assert run(photo(tmp_path / "p.jpg"), "--fx", 500, "--out", tmp_path / name) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "--out" in line


def test_the_json_is_as_documented(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photo(tmp_path / "p.jpg"), "--fx", 900, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    page = (Path(__file__).parents[2] / "docs" / "bags.md").read_text()
    documented = re.findall(
        r"^\| `(\S+)` \|", page.partition("`cope_pose` prints")[2], re.MULTILINE
    )
    poses = content.pop("poses")
    assert documented == [*content, *(f"poses[].{key}" for key in poses[0])]
    assert (content["width"], content["height"]) == (400, 300)
    assert [len(poses[0][key]) for key in ("position_m", "quaternion_xyzw", "sigma_m_rad")] == [
        3,
        4,
        6,
    ]


def test_heic_without_its_reader_names_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "p.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))  # whatever its name
    assert run(tmp_path / "p.jpg", "--fx", 500) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install pillow-heif" in line


def test_heic_is_read(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif.get_ifd(0x8769)[FOCAL_35MM] = 26
    image = Image.new("RGB", (400, 300), (90, 90, 90))
    heif.from_pillow(image).save(tmp_path / "p.heic", exif=exif.tobytes())
    assert run(tmp_path / "p.heic") == 0
    assert estimator.seen[0][0].shape == (300, 400, 3)
    assert estimator.seen[0][1][0, 0] == pytest.approx(26 * 500 / 43.2666, rel=1e-3)


def test_large_photographs_are_drawn_small(tmp_path: Path, estimator: FakeEstimator) -> None:
    assert run(photo(tmp_path / "p.jpg", (4000, 2000)), "--fx", 3000) == 0
    assert estimator.seen[0][0].shape == (2000, 4000, 3)
    assert Image.open(tmp_path / "p_cope.jpg").size == (1600, 800)
    assert np.asarray(Image.open(tmp_path / "p_cope.jpg")).std() > 1  # something is drawn


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.fromarray(np.full((6, 8), 40000, np.uint16)).save(path)
    assert (read_photograph(path, upright=False).pixels == 156).all()


def test_the_photograph_itself_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "a.png"
    Image.new("RGB", (64, 48)).save(photo)
    before = photo.read_bytes()
    assert pose.main([str(photo), "--fx", "600", "--out", str(tmp_path / "." / "a.png")]) == 1
    assert "is the photograph itself" in capsys.readouterr().err
    assert photo.read_bytes() == before
