"""The commands on the path, the list of them, and bundled configurations by name."""

import subprocess
import sys
from pathlib import Path

import pytest

from cope_ros import commands
from cope_ros.bundled import config_path, package_share
from cope_ros.core.errors import CopeError
from cope_training.engine.configuration import load_config

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"cope_object", "cope_train", "cope_eval", "cope_render", "cope_export", "cope_calibrate",
         "cope_bag", "cope_pose", "cope_node", "cope_rviz", "cope_check"}  # fmt: skip
BIN = Path(sys.executable).parent


def test_the_environment_has_every_command() -> None:
    assert {path.name for path in BIN.glob("cope_*")} == set(commands.commands()) >= NAMES
    found = subprocess.run([BIN / "cope"], cwd="/", capture_output=True, text=True, check=True)
    for name in NAMES:
        assert f"  {name} " in found.stdout


def test_each_command_is_listed_with_a_sentence(capsys: pytest.CaptureFixture) -> None:
    assert commands.main(["--help"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  cope_")]
    assert len(lines) == len(commands.commands())
    for line in lines:
        sentence = line.split(maxsplit=1)[1]
        assert len(sentence) > 15
        assert len(line) <= 120


def test_a_command_is_run_by_its_short_or_whole_name(capsys: pytest.CaptureFixture) -> None:
    for name in ("object", "cope_object"):
        with pytest.raises(SystemExit) as caught:
            commands.main([name, "--help"])
        assert caught.value.code == 0
        assert "usage: cope_object" in capsys.readouterr().out
    assert commands.main(["fly"]) == 2
    assert "no command 'fly'; known: cope_bag" in capsys.readouterr().err


def test_configurations_have_names() -> None:
    root = package_share() or ROOT  # installed under colcon test
    assert config_path("object") == root / "config" / "training" / "object.yaml"
    assert load_config("lmo_flow").preset == "lite_flow"
    assert load_config(Path("object")).init == "demo"
    with pytest.raises(CopeError, match="no bundled configuration of it; icbin, improved, lmo, "):
        load_config("objekt")
    with pytest.raises(CopeError, match=r"objekt\.yaml: cannot be read"):
        load_config("objekt.yaml")


def test_a_wheel_brings_commands_and_data(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--quiet", "--ignore-installed", "--prefix", str(tmp_path)]
    source = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "cope_ros", "cope_training", "setup.py", "setup.cfg", "pyproject.toml",
         "resource", "package.xml", "LICENSE", "launch", "config"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    for name in listed:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    subprocess.run([*command, str(source)], check=True)
    assert {path.name for path in (tmp_path / "bin").glob("cope_*")} >= NAMES
    assert list(tmp_path.rglob("site-packages/cope_training/evaluation/page/page.css"))
    assert (tmp_path / "share/cope_ros/config/training/object.yaml").is_file()
