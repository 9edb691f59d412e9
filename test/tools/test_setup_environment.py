"""What `make setup` says on a machine that cannot be set up, and what it skips."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from tools.setup_progress import Bar, PipProgress, large_download

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setup_module() -> ModuleType:
    """tools/setup_environment.py as a module of its own, fresh for every test."""
    path = ROOT / "tools/setup_environment.py"
    spec = importlib.util.spec_from_file_location("setup_environment", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sentence(error: pytest.ExceptionInfo[SystemExit]) -> str:
    """The one line that ends the set-up."""
    text = str(error.value.code)
    assert text.startswith("error: ")
    assert "\n" not in text
    return text


def test_this_machine_is_accepted(setup_module: ModuleType) -> None:
    setup_module.check_machine(needed_disk=1)


def test_missing_compiler_is_named(setup_module: ModuleType, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(SystemExit) as error:
        setup_module.check_machine(needed_disk=1)
    assert "g++ was not found" in sentence(error)


def test_full_disk_is_named(setup_module: ModuleType) -> None:
    with pytest.raises(SystemExit) as error:
        setup_module.check_machine(needed_disk=10**18)
    assert "free disk" in sentence(error)


def test_missing_headers_are_named(setup_module: ModuleType, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(setup_module.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(SystemExit) as error:
        setup_module.check_machine(needed_disk=1)
    assert "Python.h was not found" in sentence(error)


@pytest.mark.parametrize("version", [(3, 9, 2), (3, 15, 0)])
def test_unsupported_python_is_named(setup_module: ModuleType, monkeypatch, version) -> None:
    monkeypatch.setattr(setup_module.sys, "version_info", version)
    with pytest.raises(SystemExit) as error:
        setup_module.check_machine(needed_disk=1)
    assert f"this is 3.{version[1]}" in sentence(error)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("... NewConnectionError('<...>: [Errno 111] Connection refused')", "cannot be reached"),
        ("[Errno -3] Temporary failure in name resolution", "cannot be reached"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk is full"),
        ("noise\nERROR: No matching distribution found for x==1\n", "No matching distribution"),
    ],
)
def test_pip_failures_become_one_sentence(
    setup_module: ModuleType, output: str, expected: str
) -> None:
    reason = setup_module.pip_failure(output)
    assert expected in reason
    assert "\n" not in reason


class Terminal(io.StringIO):
    """A stream on which the bar is drawn in place."""

    def isatty(self) -> bool:
        return True


PIP = (
    "Collecting numpy==2 (from -r requirements.txt)\n",
    "  Downloading numpy-2.0-cp311-cp311-linux_x86_64.whl (16.1 MB)\n",
    "Collecting six==1 (from -r requirements.txt)\n",
    "  Downloading six-1.17.0-py3-none-any.whl (11 kB)\n",
    "Requirement already satisfied: wheel in somewhere\n",
    "Installing collected packages: numpy, six\n",
)


def test_large_downloads_are_named() -> None:
    large = "  Downloading torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl (592.7 MB)\n"
    assert large_download(large) == "torch-2.15.0 (593 MB)"
    assert large_download("  Using cached big-1-py3-none-any.whl (1.5 GB)\n") == "big-1 (1500 MB)"
    assert large_download("  Downloading six-1.17.0-py3-none-any.whl (11 kB)\n") is None


def test_progress_in_a_log_is_a_line_per_step(tmp_path: Path) -> None:
    stream = io.StringIO()
    progress = PipProgress(Bar(stream), packages=4, folder=tmp_path, start=0.0, end=1.0)
    for line in PIP:
        progress.read(line)
    lines = ["   15%  fetching numpy-2.0 (16 MB)", "   60%  installing 2 packages"]
    assert stream.getvalue().splitlines() == lines


def test_the_bar_follows_what_is_installed_and_counts_seconds(tmp_path: Path) -> None:
    stream, now = Terminal(), [0.0]
    bar = Bar(stream, clock=lambda: now[0])
    (tmp_path / "pip.dist-info").mkdir()
    progress = PipProgress(bar, packages=3, folder=tmp_path, start=0.0, end=0.5)
    for line in PIP:
        progress.read(line)
    (tmp_path / "numpy.dist-info").mkdir()
    now[0] = 65.0
    progress.look()
    last = stream.getvalue().split("\r\x1b[K")[-1]
    assert last == "  [##########              ]  40%  installing 2 packages 1:05"
    assert "\n" not in stream.getvalue()
    bar.show(0.1)
    assert " 40%" in stream.getvalue().split("\r")[-1]


def test_the_bar_is_redrawn_while_pip_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.setup_progress.TICK", 0.01)
    looked = threading.Event()
    with Bar(Terminal()).ticking(looked.set):
        assert looked.wait(10)


def test_unreachable_index_ends_pip_with_one_sentence(
    setup_module: ModuleType, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(setup_module, "VENV", Path(sys.prefix))
    monkeypatch.setattr(setup_module, "LOG", tmp_path / "setup.log")
    monkeypatch.setattr(setup_module, "PIP_RETRIES", "1")
    # Port 9 (discard) of this machine: nothing listens there.
    address = ["--isolated", "--index-url", "http://127.0.0.1:9/simple", "--no-cache-dir"]
    bar = Bar(io.StringIO())
    progress = PipProgress(bar, 1, tmp_path, 0.0, 1.0)
    with pytest.raises(SystemExit) as error:
        setup_module.pip_install([*address, "cope-ros-no-such-package==1"], progress, bar)
    assert "package index cannot be reached" in sentence(error)
    assert (tmp_path / "setup.log").read_text()


def test_a_stage_is_repeated_when_its_inputs_change(
    setup_module: ModuleType, monkeypatch, tmp_path
) -> None:
    expected = setup_module.expected_stamp()
    assert expected == setup_module.expected_stamp()
    monkeypatch.setattr(setup_module, "ROOT", tmp_path)
    (tmp_path / "a.txt").write_text("one")
    before = setup_module.digest([tmp_path / "a.txt"])
    (tmp_path / "a.txt").write_text("two")
    assert setup_module.digest([tmp_path / "a.txt"]) != before


def test_a_broken_stamp_counts_as_nothing_done(
    setup_module: ModuleType, monkeypatch, tmp_path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").touch()
    monkeypatch.setattr(setup_module, "VENV", tmp_path)
    monkeypatch.setattr(setup_module, "STAMP", tmp_path / "stamp.json")
    for text in ("", "{", "[1]", "null"):
        (tmp_path / "stamp.json").write_text(text)
        assert setup_module.read_stamp() == {}
    (tmp_path / "stamp.json").write_text(json.dumps({"packages": "x"}))
    assert setup_module.read_stamp() == {"packages": "x"}


def test_second_set_up_takes_seconds(setup_module: ModuleType) -> None:
    if setup_module.read_stamp() != setup_module.expected_stamp():
        pytest.skip("this environment was not set up by make")
    start = time.monotonic()
    command = [sys.executable, "-m", "tools.setup_environment"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - start < 10.0
