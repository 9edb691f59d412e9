"""Recorded bags in, the same bags with poses out (``cope_bag``); needs no ROS."""

import sys


def main() -> int:
    """Entry point of ``cope_bag``; says what to install where the libraries of bags are missing."""
    try:
        from cope_ros.bag.command import main as run
    except ModuleNotFoundError as error:
        packages = "rosbags rosbags-image mcap imageio-ffmpeg tqdm"
        print(f"cope_bag: no module {error.name}: pip install {packages}", file=sys.stderr)
        return 1
    return run()
