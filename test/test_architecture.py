"""Rules of the code's structure: what may import what, and how long things may get."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROS = {
    *{"rclpy", "launch", "launch_ros", "cv_bridge", "tf2_ros", "ament_index_python"},
    *{"lifecycle_msgs", "std_msgs", "geometry_msgs", "sensor_msgs", "vision_msgs", "tf2_msgs"},
    *{"visualization_msgs", "diagnostic_msgs", "std_srvs", "builtin_interfaces", "rcl_interfaces"},
}
# Evaluation draws pictures; rendering, data sets and training run where OpenCV is missing.
MAY_USE_OPENCV = ("cope_training/evaluate", "cope_training/evaluation")
LONGEST_FUNCTION = 60
LONG_FUNCTION = 35
SHARE_OF_LONG_FUNCTIONS = 0.1
LONGEST_FILE = 250
# What training alone needs; the core must run without knowing it.
TRAINING_WORDS = re.compile(r"\b(loss|losses|targets?|optimi[sz]er|backward)\b", re.IGNORECASE)


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def all_sources() -> list[Path]:
    return sources("cope_ros", "cope_training", "demo", "launch", "tools", "overlay", "test")


def imported(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, anywhere in it."""
    package = path.relative_to(ROOT).parent.parts
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            names.add(".".join([*base, *([node.module] if node.module else [])]))
    return names


def imports_any(path: Path, forbidden: set[str]) -> set[str]:
    return {name for name in imported(path) if name.split(".")[0] in forbidden}


def functions(path: Path) -> list[tuple[str, int]]:
    """Name and length in lines of every function of a file, nested ones included."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]
    where = path.relative_to(ROOT)
    return [(f"{where}:{f.name}", (f.end_lineno or f.lineno) - f.lineno + 1) for f in found]


def test_core_and_training_import_no_ros() -> None:
    paths = sources("cope_ros/core", "cope_training")
    assert paths
    guilty = {str(path): names for path in paths if (names := imports_any(path, ROS))}
    assert not guilty


# Beside the core: what a frame goes through, which recorded bags and photographs go through too.
RUNS_WITHOUT_ROS = (
    *("cope_ros/core", "cope_ros/tracking", "cope_ros/bag", "cope_ros/frame.py"),
    *("cope_ros/bundled.py", "cope_ros/camera_file.py", "cope_ros/input/intrinsics.py"),
    *("cope_ros/photograph.py", "cope_ros/photograph_camera.py", "cope_ros/pose.py"),
    *("cope_ros/input/distortion.py", "cope_ros/input/plausibility.py"),
    *("cope_ros/input/resolution.py",),
    *("cope_ros/input/drops.py", "cope_ros/input/mailbox.py", "cope_ros/input/image_header.py"),
    *("cope_ros/input/encodings.py", "cope_ros/input/decoding.py", "cope_ros/input/compressed.py"),
    *("cope_ros/output/messages.py", "cope_ros/output/markers.py"),
    "cope_ros/output/debug_image.py",
)


def test_frames_are_processed_where_ros_is_missing() -> None:
    paths = [path for name in RUNS_WITHOUT_ROS for path in (sources(name) or [ROOT / name])]
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in paths
        if path.stem != "__init__"
    ]
    code = (
        f"import sys, importlib; sys.modules.update(dict.fromkeys({sorted(ROS)}))\n"
        f"for name in {modules}: importlib.import_module(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_core_knows_neither_training_nor_the_node() -> None:
    for path in sources("cope_ros/core"):
        strangers = [
            name
            for name in imported(path)
            if name.startswith("cope_training")
            or (name.startswith("cope_ros") and not name.startswith("cope_ros.core"))
        ]
        assert not strangers, f"{path} imports {strangers}"


def test_core_defines_no_losses_and_no_targets() -> None:
    kinds = (ast.FunctionDef, ast.ClassDef)
    for path in sources("cope_ros/core"):
        assert not TRAINING_WORDS.search(path.stem.replace("_", " ")), path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kinds):
                assert not TRAINING_WORDS.search(node.name.replace("_", " ")), f"{path}:{node.name}"


def test_training_needs_no_opencv() -> None:
    for path in sources("cope_training"):
        if not path.relative_to(ROOT).as_posix().startswith(MAY_USE_OPENCV):
            assert not imports_any(path, {"cv2"}), path


def test_node_does_no_tensor_mathematics() -> None:
    assert not imports_any(ROOT / "cope_ros/node.py", {"torch", "cv2"})


def test_functions_are_short() -> None:
    lengths = [entry for path in all_sources() for entry in functions(path)]
    too_long = {name: length for name, length in lengths if length > LONGEST_FUNCTION}
    assert not too_long
    long = [name for name, length in lengths if length > LONG_FUNCTION]
    assert len(long) <= SHARE_OF_LONG_FUNCTIONS * len(lengths), long


def test_files_are_short() -> None:
    too_long = {
        str(path): lines
        for path in all_sources()
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert not too_long


def test_requirements_are_exact_and_name_no_address() -> None:
    files = [*ROOT.glob("requirements*.txt"), ROOT / "constraints.txt"]
    assert len(files) >= 5
    for path in files:
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                assert re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+(; python_version .+)?", line), line


def test_only_one_opencv_is_required() -> None:
    text = "\n".join(path.read_text() for path in ROOT.glob("requirements*.txt"))
    assert len(re.findall(r"^opencv-[a-z-]+==", text, re.MULTILINE)) == 1


ENTRY_POINTS = re.findall(r"\"(\w+) = ([\w.]+):(\w+)\"", (ROOT / "setup.py").read_text())


@pytest.mark.parametrize(("script", "module", "function"), ENTRY_POINTS)
def test_entry_points_exist(script: str, module: str, function: str) -> None:
    if module.startswith("cope_ros"):
        pytest.importorskip("rclpy", reason="no rclpy: that the node's commands exist is not shown")
    assert callable(getattr(import_module(module), function)), script


def test_the_node_is_an_entry_point() -> None:
    assert ("cope_node", "cope_ros.main", "main") in ENTRY_POINTS
