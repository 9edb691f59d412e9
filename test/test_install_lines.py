"""README's lines for Ubuntu 24.04 with Jazzy against package.xml and setup.py."""

import ast
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECTION = (ROOT / "README.md").read_text().split("\n## With ROS 2 (Jazzy)\n")[1].split("\n## ")[0]
BLOCK = re.findall(r"```bash\n(.*?)```", SECTION, re.DOTALL)[0].replace("\\\n", " ")
LINES = BLOCK.splitlines()
PIP_KEYS = set(
    re.findall(r"<exec_depend>(\S+-pip)</exec_depend>", (ROOT / "package.xml").read_text())
)
# What rosdep installs for the keys: rosdistro's rosdep/python.yaml, ubuntu.
PACKAGES = {
    "python3-pytorch-pip": {"torch", "torchvision"},
    "python3-torchvision-pip": {"torchvision"},
    "python3-trimesh-pip": {"trimesh"},
}


def words(command: str) -> list[str]:
    """The one line that begins with a command, as the shell takes it apart."""
    (line,) = [line for line in LINES if line.startswith(command)]
    return shlex.split(line, comments=True)


def texts(node: ast.AST) -> set[str]:
    """All string constants of a piece of code."""
    found = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
    return {value for value in found if isinstance(value, str)}


def test_rosdep_leaves_out_exactly_what_pip_would_install() -> None:
    line = words("rosdep install")
    assert set(line[line.index("--skip-keys") + 1].split()) == PIP_KEYS == set(PACKAGES)


def test_pip_installs_what_rosdep_leaves_out_with_the_bounds_of_setup() -> None:
    wanted = words("pip install")[2:]
    wanted.remove("setuptools<80")  # torch asks for a newer one than Ubuntu's, colcon for an older
    assert {re.split(r"[<>=]", word)[0] for word in wanted} == set().union(*PACKAGES.values())
    setup = (ROOT / "setup.py").read_text()
    assert all(f'"{word}"' in setup for word in wanted)


def test_contributing_installs_the_extras_that_the_tests_use() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (line,) = re.findall(r"^pip install (.*?)\npython", text, re.DOTALL | re.MULTILINE)
    named: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())):
        if isinstance(node, ast.keyword) and node.arg == "extras_require":
            assert isinstance(node.value, ast.Dict)
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                assert key is not None
                (name,) = texts(key)
                named[name] = texts(value)
    wanted = set().union(*(named[extra] for extra in ("test", "train", "bags", "cad")))
    assert set(shlex.split(line.replace("\\\n", " "))) == wanted
    assert "pytest" in named["test"]  # by this name colcon knows what runs the tests


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("source /opt/ros/jazzy/setup.bash", "rosdep install"),
        ("python3 -m venv --system-site-packages venv", "pip install"),
        # Else pip would bring another NumPy than the one that Ubuntu's cv_bridge was built with.
        ("rosdep install", "pip install"),
        # Run by the environment's Python, which becomes that of the executables.
        ("pip install", 'python "$(command -v colcon)" build'),
    ],
)
def test_the_lines_are_in_their_order(first: str, then: str) -> None:
    assert BLOCK.index(first) < BLOCK.index(then)


def test_colcon_does_not_build_the_environment() -> None:
    assert "touch venv/COLCON_IGNORE" in BLOCK
