"""Every command line of README, docs and model cards has arguments that its command takes."""

import argparse
import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "models").glob("*/README.md")),
]
SETUP = (ROOT / "setup.py").read_text()
SCRIPTS = dict(re.findall(r'"(cope_\w+) = ([\w.]+):main"', SETUP))
STARTS = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{'|'.join(SCRIPTS)}|python -m|torchrun) \S.*")
OURS = ("cope_ros.", "cope_training.", "tools.", "demo.")
NO_PARSER = {"cope_node", "cope_rviz"}  # ROS reads their arguments


def lines_of(page: Path) -> list[str]:
    """Commands of code blocks and of `inline code`, without prompts and comments."""
    text = page.read_text().replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", rest)]
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in (*lines, *inline) if STARTS.fullmatch(line)]


def command_of(line: str) -> tuple[str, list[str]] | None:
    """Module and arguments; None where the command is not ours, or the line is no whole one."""
    words = shlex.split(line, comments=True)
    while "=" in words[0]:
        words.pop(0)
    if words[0] in ("python", "torchrun"):
        module = words[words.index("-m") + 1] if "-m" in words else ""
        if not module.startswith(OURS):
            return None
        words = words[words.index("-m") + 1 :]
    elif words[0] in NO_PARSER:
        return None
    else:
        module = SCRIPTS[words[0]]
    stops = [n for n, word in enumerate(words) if word in (">", "|", "&&", "&", ";")]
    words = words[: stops[0]] if stops else words
    whole = len(words) > 1 and not any(w in ("...", "--help") or w.startswith("[") for w in words)
    return (module, words[1:]) if whole else None


COMMANDS = {
    f"{page.relative_to(ROOT)}: {line}": command
    for page in PAGES
    for line in lines_of(page)
    if (command := command_of(line)) is not None
}


class Parsed(Exception):  # noqa: N818  it is no error
    """What the command would do now."""


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_the_command_takes_its_arguments(command, monkeypatch, capsys):
    parse = argparse.ArgumentParser.parse_args

    def only_parse(self, args=None, namespace=None):
        raise Parsed(parse(self, args, namespace))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    module, arguments = command
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    main = importlib.import_module(module).main
    try:
        with pytest.raises(Parsed):
            main()
    except SystemExit:
        pytest.fail(capsys.readouterr().err.splitlines()[-1])


def test_there_are_many():
    assert len(COMMANDS) > 40
    assert {module for module, _ in COMMANDS.values()} >= {
        *("cope_ros.bag", "cope_ros.pose", "cope_training.train", "cope_training.object"),
        *("cope_training.evaluate", "cope_training.render", "cope_training.calibrate"),
    }


def test_launch_lines_have_arguments_of_the_launch_file():
    file = (ROOT / "launch" / "cope.launch.py").read_text()
    known = set(re.findall(r'^    "(\w+)": Argument\(', file, re.MULTILINE))
    text = "\n".join(page.read_text().replace("\\\n", " ") for page in PAGES)
    given = [
        name
        for line in re.findall(r"ros2 launch cope_ros cope\.launch\.py([^`\n]*)", text)
        for name in re.findall(r"(\w+):=", line)
    ]
    assert len(given) > 4
    assert set(given) <= known
