"""Our results stand beside the published ones, told apart by data, images, measure and device."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cope_ros.core.errors import CopeError
from cope_training.evaluation.compare import PUBLISHED, main, read_result, remark, tables, with_time

REPOSITORY = Path(__file__).resolve().parents[2]
PAPER_SYSTEMS = (
    "AAE", "Pix2Pose", "2Dto3D", "CDPNv2", "SurfEmb", "CosyPose", "SO-Pose", "CIR", "PFA",
    "ZebraPose", "DPOD", "EPOS", "COPE",
)  # fmt: skip


def result(**changes: Any) -> dict[str, Any]:
    row = {"model": "mine", "data": "lmo", "device": "cpu", "images": 40, "ar": None,
           "ar_mssd": 0.5, "ar_mspd": 0.6, "add_s_recall": 0.4, "coco_map": 0.3,
           "time_s_per_image": 9.0}  # fmt: skip
    return row | changes


def test_published_rows_name_their_sources_and_average_as_the_paper_says() -> None:
    published = yaml.safe_load(PUBLISHED.read_text())
    rows = {row["method"]: row for row in published["pose"]}
    assert set(PAPER_SYSTEMS) <= set(rows)
    for row in [*published["pose"], *published["detection"]]:
        assert row["source"] in published["sources"]
        assert all(0 < v < 1 for k, v in row.items() if k.startswith(("lmo_", "icbin_")))
    # The table's own column of averages: a slip in either figure would not add up.
    averages = {"AAE": 0.182, "EPOS": 0.455, "CosyPose": 0.596, "SurfEmb": 0.587, "COPE": 0.492}
    for name, average in averages.items():
        mean = (rows[name]["lmo_ar"] + rows[name]["icbin_ar"]) / 2
        assert mean == pytest.approx(average, abs=6e-4)
    for size in "smlx":
        row = rows[f"YOLOX-6D-Pose {size}"]
        vsd = 3 * row["lmo_ar"] - row["lmo_mssd"] - row["lmo_mspd"]
        assert 0.39 < vsd < row["lmo_mssd"]


def test_what_differs_from_the_published_measure_is_said() -> None:
    assert "40 of 200 images" in remark(result())
    assert "neither AR VSD nor AR" in remark(result())
    whole = remark(result(images=200, ar=0.5))
    assert "images" not in whole
    assert "VSD" not in whole
    assert "other data, `sequence`" in remark(result(data="sequence", images=120))
    assert "its result file" in remark(result(device=None))
    quiet = with_time(result(), {"mine": (0.25, "2 cores")})
    assert quiet["time_s_per_image"] == 0.25
    assert "time on 2 cores (p50)" in remark(quiet)


def test_supervisions_stand_below_the_papers(tmp_path: Path) -> None:
    content = {"samples": 12, "start_samples": 6, "images": 3, "rows": [
        {"supervision": "IM", "add_s_recall": {"RANSAC-EPnP": 0.1}},
        {"supervision": "DR", "add_s_recall": {"RANSAC-EPnP": 0.2, "n=1": 0.3}},
    ]}  # fmt: skip
    published = yaml.safe_load(PUBLISHED.read_text())
    path = tmp_path / "supervision.json"
    path.write_text(json.dumps(content))
    lines = tables(published, [read_result(path)]).splitlines()
    papers = [i for i, line in enumerate(lines) if line.startswith("| COPE, DR-PC")]
    assert lines[papers[-1] + 1 : papers[-1] + 4] == [
        "| this repository, IM | RANSAC-EPnP | - | - | 0.100 |",
        "| this repository, DR | RANSAC-EPnP | - | - | 0.200 |",
        "| this repository, DR | n=1 | - | - | 0.300 |",
    ]


def test_command_writes_table_and_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    latency = {"device": "2 cores", "models": {"mine": {"p50_ms": 250.0, "by_instances":
               {"1": 240.0, "100": 260.0}}}}  # fmt: skip
    files = []
    for name, content in {"eval": result(), "latency": latency}.items():
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(content))
    assert main([*map(str, files), "--out", str(tmp_path / "out")]) == 0
    lines = (tmp_path / "out" / "compare.md").read_text().splitlines()
    mine = [line for line in lines if "models/mine" in line]
    assert "| 0.500 | 0.600 | 0.400 | 0.250 |" in mine[0]
    assert "| 0.300 | - |" in mine[1]
    assert (tmp_path / "out" / "compare.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "other.json").write_text("{}")
    assert main([str(tmp_path / "other.json")]) == 1
    assert "expected a result of" in capsys.readouterr().err


def test_documentation_shows_what_the_command_writes() -> None:
    files = sorted((REPOSITORY / "docs/results").glob("*.json"))
    published = yaml.safe_load(PUBLISHED.read_text())
    written = tables(published, [read_result(path) for path in files])
    shown = (REPOSITORY / "docs/evaluation.md").read_text()
    for block in written.strip().split("\n\n"):
        assert block in shown


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"a": ')
    with pytest.raises(CopeError, match=r"half\.json"):
        read_result(tmp_path / "half.json")
