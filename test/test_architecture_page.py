"""docs/architecture.md says what is there: its paths, its tuples, its presets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cope_ros.core import types
from cope_ros.core.network.presets import PRESETS, NetworkConfig

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
# Everything written with a slash that begins like a folder of the checkout.
PATHS = sorted(set(re.findall(r"(?<![\w/.])(?:[a-z_]+/)+(?:\w+(?:\.\w+)+)?", PAGE)))
ROOMS = ("cope_ros", "cope_training")
COLUMNS = ("instance_head", "crop_head", "refiner", "flow", "contour_fit")


@pytest.mark.parametrize("path", PATHS)
def test_paths_exist(path: str) -> None:
    found = ROOT / path
    assert found.is_dir() if path.endswith("/") else found.is_file()


def test_files_that_any_page_names_exist() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*/README.md")]
    pages.remove(ROOT / "CHANGELOG.md")  # of files as they were called then
    named = {
        (page.name, path)
        for page in pages
        for path in re.findall(r"`((?:[a-z_]+/)+\w+\.(?:py|yaml|xml))`", page.read_text())
    }
    assert len(named) > 60
    assert not {(page, path) for page, path in named if not (ROOT / path).is_file()}


def test_the_page_names_files_and_folders() -> None:
    assert len([path for path in PATHS if path.endswith(".py")]) > 40
    assert "cope_ros/core/estimator.py" in PATHS


def test_every_room_is_on_the_page() -> None:
    listed = subprocess.run(
        ["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    files = listed or [str(p.relative_to(ROOT)) for r in ROOMS for p in (ROOT / r).rglob("*.py")]
    parents = {Path(f).parent for f in files if f.endswith(".py")}
    rooms = {p for p in parents if len(p.parts) == 2 or p.parts[:2] == ("cope_ros", "core")}
    missing = {f"{room}/" for room in rooms} - set(PATHS)
    assert not missing - {"cope_training/bundled/"}


def test_tuples_of_the_diagram_exist() -> None:
    named = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b|\bHypotheses\b|\bInstances\b", PAGE))
    named -= {"RViz"}
    assert {"DenseOutputs", "Hypotheses", "Instances", "PoseBatch", "RefinementInputs"} <= named
    for name in named:
        assert hasattr(types, name), name


def stages(config: NetworkConfig) -> dict[str, bool]:
    given = {name: getattr(config, name, None) is not None for name in COLUMNS}
    return given | {"flow": config.refiner is not None and config.refiner.flow > 0}


def test_the_presets_table_is_that_of_the_presets() -> None:
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in PAGE.splitlines()]
    table = {row[0].strip("`"): row[1:] for row in rows if len(row) == 3 + len(COLUMNS)}
    header = table.pop("preset")
    assert [cell.replace(" ", "_") for cell in header[2:]] == list(COLUMNS)
    table.pop("---")
    assert set(table) == set(PRESETS)
    for name, (backbone, pose_head, *marks) in table.items():
        config = PRESETS[name]
        assert (backbone, pose_head) == (config.backbone, config.pose_head)
        assert [mark == "yes" for mark in marks] == list(stages(config).values()), name


def test_contributing_begins_with_the_page() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert text.index("docs/architecture.md") < text.index("## ")
