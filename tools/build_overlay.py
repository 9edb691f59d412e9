"""Build the ROS packages of overlay/ into the virtual environment that runs this script.

The Jazzy wheels of the package index lack vision_msgs, tf2_msgs, tf2_ros and cv_bridge. This
script generates the two message packages with the wheels' own rosidl generators (CMake and g++)
and copies the two Python packages. Where ROS is installed and sourced none of it is needed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

OVERLAY = Path(__file__).resolve().parent.parent / "overlay"
PREFIX = Path(sys.prefix)
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
MESSAGE_PACKAGES = ("tf2_msgs", "vision_msgs")
PYTHON_PACKAGES = ("tf2_ros", "cv_bridge")
# The wheels were built in a container and name its interpreter's headers.
FOREIGN_PYTHON = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")
FOREIGN_NUMPY = re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy")


def fail(reason: str) -> None:
    """End the process with one sentence on stderr."""
    sys.exit(f"error: {reason}")


def localise_cmake_files() -> int:
    """Point the wheels' CMake files at this interpreter's headers.

    Returns: the number of files rewritten, 0 on a second run.
    """
    import numpy

    python_include = sysconfig.get_path("include")
    numpy_root = str(Path(numpy.__file__).parent)
    rewritten = 0
    for path in PREFIX.glob("share/*/cmake/*.cmake"):
        text = path.read_text()
        local = FOREIGN_NUMPY.sub(numpy_root, FOREIGN_PYTHON.sub(python_include, text))
        if local != text:
            path.write_text(local)
            rewritten += 1
    return rewritten


def build_environment() -> dict[str, str]:
    """Environment in which CMake finds the wheels and nothing of another ROS."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AMENT_", "ROS_", "COLCON_"))}
    env["PATH"] = f"{PREFIX / 'bin'}{os.pathsep}{env['PATH']}"
    env["AMENT_PREFIX_PATH"] = str(PREFIX)
    env["CMAKE_PREFIX_PATH"] = str(PREFIX)
    env.pop("PYTHONPATH", None)
    return env


def run(command: list[str], log: Path) -> None:
    """Run a build step, its output in `log`; on failure show the log's end and stop."""
    with log.open("a") as stream:
        done = subprocess.run(command, env=build_environment(), stdout=stream, stderr=stream)
    if done.returncode:
        print("\n".join(log.read_text().splitlines()[-25:]), file=sys.stderr)
        fail(f"building the ROS overlay failed in '{' '.join(command[:3])}'; whole log: {log}")


def sources_digest(name: str) -> str:
    """Hash what a message package is generated from."""
    total = hashlib.sha256(sys.version.encode())
    for path in sorted(p for p in (OVERLAY / name).rglob("*") if p.is_file()):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def build_messages(name: str) -> None:
    """Generate, compile and install one message package unless that is done already."""
    build = PREFIX / "overlay-build" / name
    done, digest = build / "done", sources_digest(name)
    if done.exists() and done.read_text() == digest:
        return
    print(f"  generating {name} (about half a minute)", flush=True)
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    compile_messages(name, build)
    done.write_text(digest)


def compile_messages(name: str, build: Path) -> None:
    """Configure, compile and install one message package in the folder `build`."""
    log = build / "build.log"
    configure = [
        *("cmake", "-S", str(OVERLAY / name), "-B", str(build)),
        f"-DCMAKE_INSTALL_PREFIX={PREFIX}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        # The headers come from the base interpreter, the packages from the environment.
        f"-DPython3_INCLUDE_DIR={sysconfig.get_path('include')}",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
        "-DCMAKE_C_FLAGS_RELEASE=-O1",
        "-DBUILD_TESTING=OFF",
        "-Wno-dev",
    ]
    run(configure, log)
    run(["cmake", "--build", str(build), "--parallel", str(os.cpu_count() or 1)], log)
    run(["cmake", "--install", str(build)], log)


def install_python_package(name: str) -> None:
    """Copy one Python package with its manifest and ament index marker."""
    target = SITE_PACKAGES / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(OVERLAY / name / name, target, ignore=shutil.ignore_patterns("__pycache__"))
    share = PREFIX / "share" / name
    share.mkdir(parents=True, exist_ok=True)
    shutil.copy(OVERLAY / name / "package.xml", share / "package.xml")
    (PREFIX / "share/ament_index/resource_index/packages" / name).touch()


def main() -> None:
    """Build every package of the overlay, telling each step."""
    if sys.prefix == sys.base_prefix:
        fail("build_overlay.py installs into a virtual environment; run it with .venv/bin/python")
    localise_cmake_files()
    for name in MESSAGE_PACKAGES:
        build_messages(name)
    for name in PYTHON_PACKAGES:
        install_python_package(name)


if __name__ == "__main__":
    main()
