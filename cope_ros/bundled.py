"""Where bundled models and configurations lie: installed, or in a checkout. Needs no ROS."""

import os
import sys
from pathlib import Path

from cope_ros.core.errors import CopeError

PACKAGE = "cope_ros"
ROOT = Path(__file__).resolve().parent.parent  # of a checkout, or site-packages


def package_share() -> Path | None:
    """The installed ROS package's share folder, None where it is not installed or ROS missing."""
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        return None
    try:
        return Path(get_package_share_directory(PACKAGE))
    except (PackageNotFoundError, OSError):  # OSError: no ament index at all
        return None


def bundled_folders(name: str) -> list[Path]:
    """Where a folder such as ``models`` may lie: the ROS package's, pip's, the checkout's."""
    share = package_share()
    places = [share] if share is not None else []
    return [place / name for place in (*places, Path(sys.prefix) / "share" / PACKAGE, ROOT)]


def model_path(name: str) -> Path:
    """The model's directory or file: a bundled model of that name, else the path as it is.

    Raises:
        CopeError: there is no such bundled model and no such path.
    """
    if not name:
        raise CopeError("expected a model directory or a bundled model, got ''")
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:  # ~nobody
        raise CopeError(f"'{name}': {error}") from error
    folders = bundled_folders("models")
    bare = len(path.parts) == 1 and not name.startswith((".", "~"))
    places = [folder / name for folder in folders] if bare else []
    places.append(path)
    for place in places:
        if os.path.exists(place):  # unlike Path.exists: false for names that are too long
            return place
    looked = ", ".join(str(place) for place in places)
    raise CopeError(f"'{name}' not found; looked for {looked}")


def config_path(name: Path | str) -> Path:
    """A training's configuration: a bundled one by its bare name, else the path as it is.

    Raises:
        CopeError: a bare name that no bundled configuration has; lists those there are.
    """
    path = Path(name)
    if path.suffix or len(path.parts) > 1 or path.is_file():
        return path
    known: dict[str, Path] = {}
    for folder in bundled_folders("config/training"):
        known = {item.stem: item for item in sorted(folder.glob("*.yaml"))} | known
    if path.name not in known:
        names = ", ".join(known) or "none is installed"
        raise CopeError(f"config: no file '{name}' and no bundled configuration of it; {names}")
    return known[path.name]
