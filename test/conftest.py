"""What all tests share: an isolated ROS domain, the folder of real data, skips without EGL."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from cope_ros.core.errors import CopeError

pytest_plugins = ["unproved"]  # the list of what was skipped, at the end of every run

ROOT = Path(__file__).resolve().parent.parent
# Domains that give valid ports beside other users' and Linux's ephemeral range.
DOMAINS = 100

# Before any test imports rclpy: nodes of a run see each other and nobody else.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % DOMAINS)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return a function that finds a data set by folder name or skips the test.

    Looks in the folder that COPE_DATA names, else in shared/data beside the repository.
    """
    root = Path(os.environ.get("COPE_DATA", ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(f"real data '{name}' is missing; name its folder in COPE_DATA")
        return root / name

    return find


@pytest.fixture(scope="session")
def egl() -> None:
    """Skip tests that render in another process or behind an exit code where EGL is missing."""
    renderer = pytest.importorskip("cope_training.rendering.renderer", reason="needs moderngl")
    renderer.Renderer()


def skip_without_egl() -> Generator[None, Any, Any]:
    """Turn the renderer's refusal on a machine without OpenGL into a visible skip."""
    try:
        return (yield)
    except CopeError as error:
        if "rendering needs EGL" in str(error):
            pytest.skip(str(error))
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, Any, Any]:
    """Tests whose fixtures render are skipped without EGL."""
    return (yield from skip_without_egl())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """Tests that render are skipped without EGL."""
    return (yield from skip_without_egl())
