"""cope_pose: intrinsics that cannot be are refused, unusual ones noted."""

from __future__ import annotations

from pathlib import Path

import pytest
from node_fakes import FakeEstimator
from photo_files import FOCAL_35MM, photo, run


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--fx", 2), "--fx: expected 17 to 4581 px of a photograph of 400x300 px"),
        (("--fx", 5720000), "--fx: expected 17 to 4581 px"),
        (("--fx", "inf"), "--fx: expected 17 to 4581 px"),
        (("--fov", 60, "--fy", 1), "--fy: expected 13 to 4581 px"),
        (("--fx", 900, "--fy", 300), "--fy: expected 0.4 to 2.5 times fx, got 300 px beside 900"),
        (("--fx", 900, "--cx", 99999), "--cx: expected -200 to 600 px"),
        (("--fx", 900, "--cy", -151), "--cy: expected -150 to 450 px"),
        (("--fx", 900, "--cx", 0, "--cy", 0), "expected the principal point of K near the middle"),
        (("--camera", "c.json", "--fy", 900), "--fy: not with --camera"),
        (("--camera", "c.json"), "c.json: camera_info: the camera is not calibrated: expected K"),
    ],
)
def test_intrinsics_that_no_camera_has_are_refused(
    given: tuple, said: str, tmp_path: Path, estimator: FakeEstimator,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("c.json").write_text('{"fx": 2, "fy": 2, "cx": 200, "cy": 150}')
    assert run(photo(tmp_path / "p.jpg"), *given) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert estimator.seen == []


@pytest.mark.parametrize("view", [0, 180, "nan", -60])
def test_fields_of_view_that_no_lens_has_are_refused(
    view: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(photo(tmp_path / "p.jpg"), "--fov", view)
    assert f"argument --fov: expected 5 to 170, got {view}" in capsys.readouterr().err


def test_exif_that_cannot_be_is_refused(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photo(tmp_path / "p.jpg", **{f"t{FOCAL_35MM}": 60000})) == 1
    assert "EXIF's focal length (give --fx): expected 17 to 4581 px" in capsys.readouterr().err


def test_unusual_intrinsics_are_noted(
    tmp_path: Path, estimator: FakeEstimator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photo(tmp_path / "p.jpg"), "--fx", 500, "--fy", 450, "--cx", 390) == 0
    said = capsys.readouterr().err
    assert "note: --fy: expected nearly fx (within 5 %)" in said
    assert "note: --cx: expected about 140 to 260 px" in said
    assert "--cy" not in said
    assert run(photo(tmp_path / "p.jpg"), "--fx", 500, "--fy", 505, "--cx", 190) == 0
    assert "expected" not in capsys.readouterr().err
