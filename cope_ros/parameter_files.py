"""Parameter files (YAML): which nodes they speak to, and what they set. Knows no ROS.

rcl reads such a file without a word where none of its sections is for the node; here the same
rules of matching are applied so that it can be told.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cope_ros.core.errors import CopeError

PARAMETERS = "ros__parameters"
FLAG = "--params-file"


class Section(NamedTuple):
    """The parameters that a file sets on the nodes of one name."""

    node: str  # absolute, perhaps with wildcards: "/cope", "/left/cope", "/**"
    parameters: dict[str, Any]  # by full name, as "track.confirm"

    @property
    def shared(self) -> bool:
        """Whether nodes of other names get it too."""
        return self.node.endswith("*")

    def reaches(self, node: str) -> bool:
        """Whether it is for the node of that fully qualified name, as "/left/cope"."""
        return re.fullmatch("".join(map(_pattern, self.node.split("/")[1:])), node) is not None


def _pattern(token: str) -> str:
    """rcl's wildcards: ``**`` stands for any number of names, ``*`` for one."""
    return {"**": r"(/\w+)*", "*": r"/\w+"}.get(token, re.escape(f"/{token}"))


def read_sections(path: Path) -> list[Section]:
    """All sections of a parameter file.

    Raises:
        CopeError: no such file, or not one of parameters; names the path.
    """
    if not path.is_file():
        raise CopeError(f"parameter file {path}: there is no such file")
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CopeError(f"parameter file {path}: {' '.join(str(error).split())}") from error
    if content is not None and not isinstance(content, Mapping):
        raise CopeError(f"parameter file {path}: expected node names, got {content!r:.80}")
    return list(_sections(path, "", content or {}))


def _sections(path: Path, above: str, content: Mapping[Any, Any]) -> Iterator[Section]:
    for key, value in content.items():
        name = f"{above}/{str(key).lstrip('/')}"
        if not isinstance(value, Mapping):
            expected = f"expected {PARAMETERS} below a node's name"
            raise CopeError(f"parameter file {path}: {expected}, got '{name[1:]}: {value!r:.60}'")
        if PARAMETERS in value:
            yield Section(name, dict(_flat("", value[PARAMETERS] or {})))
        yield from _sections(path, name, {k: v for k, v in value.items() if k != PARAMETERS})


def _flat(above: str, values: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping):
            yield from _flat(name, value)
        else:
            yield name, value


def sections_for(path: Path, node: str) -> list[Section]:
    """The sections that reach a node; empty for a file without any section.

    Args:
        node: its fully qualified name, as "/left/cope".

    Raises:
        CopeError: nothing in the file is for this node, or it cannot be read; names the path.
    """
    found = read_sections(path)
    reached = [section for section in found if section.reaches(node)]
    if found and not reached:
        names = ", ".join(section.node for section in found[:5])
        raise CopeError(
            f"parameter file {path}: expected a section for the node {node} (/** or {node}), "
            f"got {names}: none of its parameters would be used"
        )
    return reached


def named_in(arguments: Sequence[str]) -> tuple[Path, ...]:
    """The parameter files of a command line."""
    return tuple(Path(value) for flag, value in pairwise(arguments) if flag == FLAG)
