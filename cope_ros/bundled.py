"""Where the bundled models lie: in the installed package or in a checkout. Needs no ROS."""

import os
from pathlib import Path

from cope_ros.core.errors import CopeError

PACKAGE = "cope_ros"
CHECKOUT = Path(__file__).resolve().parent.parent / "models"


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
    share = package_share()
    folders = [CHECKOUT] if share is None else [share / "models", CHECKOUT]
    bare = len(path.parts) == 1 and not name.startswith((".", "~"))
    places = [folder / name for folder in folders] if bare else []
    places.append(path)
    for place in places:
        if os.path.exists(place):  # unlike Path.exists: false for names that are too long
            return place
    looked = ", ".join(str(place) for place in places)
    raise CopeError(f"'{name}' not found; looked for {looked}")
