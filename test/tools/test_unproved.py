"""The end of a test run names what was skipped, why, and what thereby stays unproved."""

import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
SKIPPING = '''"""Poses on the moon."""
import pytest

@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.skipif(True, reason="no rocket")
def test_by_mark(n): pass

def test_within(): pytest.skip("no rocket")

@pytest.mark.xfail(reason="gravity")
def test_fall(): assert False
'''
MISSING = '''"""Poses on Mars."""
import pytest
pytest.importorskip("no_such_module")
def test_it(): pass
'''


@pytest.fixture
def run(tmp_path):
    def run(**files):
        for name, text in files.items():
            (tmp_path / f"test_{name}.py").write_text(text)
        empty = tmp_path / "empty.ini"
        empty.write_text("[pytest]\n")
        command = [sys.executable, "-m", "pytest", "-p", "unproved", "-c", str(empty)]
        done = subprocess.run(
            [*command, "--rootdir", tmp_path, tmp_path],
            env={"PYTHONPATH": str(HELPERS), "PATH": ""},
            capture_output=True,
            text=True,
        )
        return done.stdout.partition("not proved by this run")[2]

    return run


def test_what_was_skipped_is_named_with_reason_and_purpose(run):
    told = run(moon=SKIPPING, mars=MISSING).splitlines()
    at = told.index("no rocket (3 tests)")
    assert told[at + 1] == "    test_moon.py, 3 tests: Poses on the moon."
    assert "known to fail: gravity (1 test)" in told
    assert "    test_mars.py, 1 test: Poses on Mars." in told
    assert any("no_such_module" in line for line in told)


def test_nothing_is_said_where_all_was_proved(run):
    assert run(fine="def test_it(): pass") == ""
