"""A pytest plugin: the end of a run lists what it did not prove, and for want of what."""

import ast
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Names every reason for skipping, and what the files with such tests are there to prove."""
    stats = terminalreporter.stats
    # A skip's report has (file, line, "Skipped: reason").
    found = [(r.nodeid, r.longrepr[2].removeprefix("Skipped: ")) for r in stats.get("skipped", [])]
    found += [(r.nodeid, f"known to fail: {r.wasxfail}") for r in stats.get("xfailed", [])]
    if found:
        terminalreporter.section("not proved by this run")
    for line in describe(found, Path(terminalreporter.config.rootpath)):
        terminalreporter.line(line)


def describe(found: list[tuple[str, str]], root: Path) -> list[str]:
    """Lines of text, most tests first.

    Args:
        found: node id and reason of every test without a verdict.
        root: folder that the node ids are relative to.
    """
    files: dict[str, Counter[str]] = defaultdict(Counter)
    for nodeid, reason in found:
        files[reason][nodeid.partition("::")[0]] += 1
    lines = []
    for reason, counts in sorted(files.items(), key=lambda item: -item[1].total()):
        lines.append(f"{reason} ({_tests(counts.total())})")
        lines += [f"    {file}, {_tests(n)}: {_purpose(root / file)}" for file, n in counts.items()]
    return lines


def _tests(count: int) -> str:
    return f"{count} test{'s' * (count > 1)}"


def _purpose(path: Path) -> str:
    """The first line of a test file's docstring: what its tests prove."""
    text = ast.get_docstring(ast.parse(path.read_text())) if path.is_file() else None
    return text.splitlines()[0] if text else "(no docstring)"
