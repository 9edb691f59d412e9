"""``cope``: lists the commands of this package, and runs one: ``cope eval --help``."""

import ast
import importlib.util
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

PREFIX = "cope_"


def commands() -> dict[str, EntryPoint]:
    """The installed commands by name, from the package's own entry points."""
    found = entry_points(group="console_scripts")
    ours = (e for e in found if e.name.startswith(PREFIX) and e.module.startswith(PREFIX))
    return {entry.name: entry for entry in sorted(ours, key=lambda entry: entry.name)}


def summary(entry: EntryPoint) -> str:
    """First sentence of the documentation of a command's module, read without importing it."""
    found = importlib.util.find_spec(entry.module)
    if found is None or found.origin is None:
        return ""
    text = ast.get_docstring(ast.parse(Path(found.origin).read_text(encoding="utf-8"))) or ""
    sentence = " ".join(text.split("\n\n")[0].split())
    sentence = sentence.replace(f"``{entry.name}``:", "").replace(f" (``{entry.name}``)", "")
    first = sentence.strip().partition(". ")[0].rstrip(".")
    return first[:1].upper() + first[1:]


def main(arguments: Sequence[str] | None = None) -> int:
    """Lists the commands, or runs the one that is named first; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    known = commands()
    if words and words[0] not in ("-h", "--help"):
        name = words[0] if words[0].startswith(PREFIX) else PREFIX + words[0]
        if name in known:
            sys.argv = [name, *words[1:]]
            return int(known[name].load()() or 0)
        print(f"cope: no command '{words[0]}'; known: {', '.join(known)}", file=sys.stderr)
        return 2
    print("usage: cope [command] [arguments]\n")
    for name, entry in known.items():
        print(f"  {name:<16}{summary(entry)}")
    print("\nEach has --help.")
    return 0
