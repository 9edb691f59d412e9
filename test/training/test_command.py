"""What every command does alike: exit codes, one line per error, Ctrl-C, whole files."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path

import pytest

from cope_ros.core.errors import CopeError
from cope_training.command import command_parser, number, one_line, run_command, whole_number
from cope_training.files import check_output_file, check_output_folder, write_json, written_whole
from cope_training.progress import ProgressBar, shown


def run(error: BaseException | None, *arguments: str) -> int:
    """A command whose work raises `error`."""

    def work(_: argparse.Namespace) -> None:
        if error is not None:
            raise error

    return run_command(command_parser("cope_x", "Tells.", "cope_x a"), work, arguments)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (None, 0, ""),
        (CopeError("a.json: expected x, got y"), 1, "cope_x: a.json: expected x, got y\n"),
        (CopeError("a.csv: 2 lines\n  line 3: bad\n  line 9: bad"), 1,
         "cope_x: a.csv: 2 lines; line 3: bad; line 9: bad\n"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "cope_x: /x/y: Permission denied\n"),
        (OSError(28, "No space left on device", "/x/y"), 1,
         "cope_x: /x/y: No space left on device\n"),
        (KeyboardInterrupt(), 130, "\ncope_x: stopped\n"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_a_code(error, code: int, line: str, capsys) -> None:
    assert run(error) == code
    assert capsys.readouterr().err == line


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(CopeError, match="deep"):
        run(CopeError("deep"), "--debug")


def test_a_programming_error_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run(ZeroDivisionError("a bug"))


def test_library_warnings_are_silent_and_notes_are_not(capsys) -> None:
    def work(_: argparse.Namespace) -> int:
        warnings.warn("array is not writable", UserWarning, stacklevel=1)
        logging.getLogger("cope_training.data").warning("3 files left out")
        return 0

    assert run_command(command_parser("cope_x", ""), work, []) == 0
    assert capsys.readouterr().err == "cope_x: note: 3 files left out\n"


def test_a_wrong_argument_is_code_2_and_one_line(capsys) -> None:
    parser = command_parser("cope_x", "Tells.", "cope_x --limit 3")
    parser.add_argument("--limit", type=whole_number(1))
    parser.add_argument("--share", type=number(0.0, 1.0))
    bad = ["--limit -1", "--limit 0", "--limit x", "--share 1.5", "--share nan", "--lim 3", "more"]
    for text in bad:
        with pytest.raises(SystemExit) as stop:
            run_command(parser, lambda _: 0, text.split())
        assert stop.value.code == 2, text
        assert capsys.readouterr().err.splitlines()[-1].startswith("cope_x: error: "), text
    assert run_command(parser, lambda o: 10 * o.limit, ["--limit", "3"]) == 30


def test_help_ends_with_an_example(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        run(None, "--help")
    assert stop.value.code == 0
    assert capsys.readouterr().out.endswith("example:\n  cope_x a\n")


def test_one_line_of_errors_without_words() -> None:
    assert one_line(CopeError("")) == "CopeError"
    assert one_line(MemoryError()) == "not enough memory"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(KeyboardInterrupt), written_whole(path) as beside:  # noqa: PT012
        assert (beside.parent, beside.suffix) == (tmp_path, ".json")
        beside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_cannot_be_written_is_named_before_any_work(tmp_path: Path) -> None:
    check_output_folder(tmp_path / "a" / "b")
    check_output_file(tmp_path / "a" / "b.pt")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(CopeError, match="file: expected a folder"):
            check_output_folder(folder)
    with pytest.raises(CopeError, match="expected a file to write, got a folder"):
        check_output_file(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CopeError, match="cannot be written"):
        check_output_folder(tmp_path / "out")


def test_progress_on_a_terminal_tells_the_time_left(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = ProgressBar()
    for step in range(1, 5):
        bar("inference", step / 4)
    text = capsys.readouterr().err
    assert "100%" in text
    assert "left" in text
    assert list(shown(range(3), "images")) == [0, 1, 2]


def test_progress_elsewhere_is_a_line_every_ten_seconds(capsys, monkeypatch) -> None:
    clock = iter(range(0, 1000, 1))
    monkeypatch.setattr("cope_training.progress.time.perf_counter", lambda: 4.0 * next(clock))
    assert list(shown(range(9), "images", 9)) == list(range(9))
    lines = capsys.readouterr().err.splitlines()
    assert 1 < len(lines) < 5
    assert lines[0].startswith("images")
    assert lines[0].endswith("of 9 done")
    bar = ProgressBar()
    for step in range(1, 9):
        bar("inference", step / 8)
    *lines, last = capsys.readouterr().err.splitlines()
    assert lines
    assert all("% " in line or "%," in line for line in lines)
    assert all(line.endswith(" left") for line in lines)
    assert "100% in" in last
    assert list(shown([], "images", 0)) == []
    ProgressBar(least=1e9)("adding", 1.0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["", " ", "~nobody-of-that-name/x"])
def test_a_path_that_is_none_is_a_wrong_argument(text: str, capsys) -> None:
    parser = command_parser("cope_x", "Tells.")
    parser.add_mutually_exclusive_group().add_argument("--out", type=Path)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--out", text])  # such as "$OUT", which nobody set
    assert ended.value.code == 2
    assert "argument --out: " in capsys.readouterr().err


def test_a_tilde_that_the_shell_left_is_the_home() -> None:
    parser = command_parser("cope_x", "Tells.")
    parser.add_argument("--out", type=Path)
    assert parser.parse_args(["--out=~/x"]).out == Path.home() / "x"
