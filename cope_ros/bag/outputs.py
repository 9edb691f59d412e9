"""Where a bag's poses are written; checked before any work, so that nothing is overwritten."""

from pathlib import Path
from typing import NamedTuple

from cope_ros.bag.files import ACTIVE, ROS1, STORAGES, ZSTD
from cope_ros.core.errors import CopeError
from cope_training.files import check_output_folder

VIDEO = ".mp4"


class Outputs(NamedTuple):
    """The files of a run."""

    bag: Path  # a rosbag2 folder or a ROS 1 file
    video: Path | None = None

    @property
    def table(self) -> Path:
        """The CSV file, beside the bag."""
        return self.bag.with_name(f"{self.bag.name.removesuffix(ROS1)}.csv")


def default_out(bag: Path, ros2: bool) -> Path:
    """``drive.mcap`` -> ``drive_cope``, ``drive.bag`` -> ``drive_cope.bag``."""
    resolved = bag.resolve()
    name = resolved.name
    if not resolved.is_dir():
        for suffix in (ZSTD, *STORAGES, ACTIVE, ROS1):
            name = name.removesuffix(suffix)
    return bag.parent / (f"{name}_cope" if ros2 else f"{name}_cope{ROS1}")


def check_outputs(outputs: Outputs, source: Path, ros2: bool) -> None:
    """Makes sure that all files can be written and that none is there yet.

    Args:
        source: the bag that is read.
        ros2: whether the bag that is written is a rosbag2.

    Raises:
        CopeError: names the option and the path.
    """
    if ros2 and outputs.bag.suffix in (ROS1, *STORAGES, ZSTD):
        raise CopeError(
            f"--out {outputs.bag}: expected the name of a folder, which a rosbag2 is, "
            f"such as {outputs.bag.with_suffix('')}"
        )
    if not ros2 and outputs.bag.suffix != ROS1:
        raise CopeError(f"--out {outputs.bag}: expected a name that ends in {ROS1}, as ROS 1's")
    if outputs.video is not None and outputs.video.suffix.lower() != VIDEO:
        raise CopeError(f"--video {outputs.video}: expected a name that ends in {VIDEO}")
    out, inside = outputs.bag.resolve(), source.resolve()
    if source.is_dir() and inside in out.parents:
        raise CopeError(f"--out {outputs.bag}: lies inside the bag that is read")
    for option, path in (
        ("--out", outputs.bag),
        ("--out", outputs.table),
        ("--video", outputs.video),
    ):
        if path is None:
            continue
        if path.exists():
            raise CopeError(f"{path}: exists already; name another place with {option}")
        check_output_folder(path.parent)
