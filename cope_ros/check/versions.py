"""Versions that a bug may depend on. Knows no ROS."""

import importlib.metadata
import os
import platform

PACKAGES = ("torch", "numpy", "opencv-python", "cope_ros")


def versions() -> dict[str, str]:
    """Of ROS, Python and the packages that are there."""
    found = {"ROS": os.environ.get("ROS_DISTRO", "wheels"), "Python": platform.python_version()}
    found["RMW"] = os.environ.get("RMW_IMPLEMENTATION", "default")
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
