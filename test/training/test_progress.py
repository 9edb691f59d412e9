"""Progress of long commands, on a terminal and in a file."""

import pytest

from cope_training.progress import ProgressBar


def test_progress_off_a_terminal_is_one_line_per_stage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = ProgressBar()
    for stage in ("inference", "scores"):
        for step in range(1, 5):
            bar(stage, step / 4)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["inference", "scores"]
    assert all("100%" in line for line in lines)
