"""The parameters of the depth input."""

from dataclasses import dataclass

from cope_ros.parameter_declaration import entry, one_of

OFF, AUTO, REQUIRED = "off", "auto", "required"


@dataclass(frozen=True)
class DepthParameters:
    """A part of the node's settings. Times in seconds."""

    depth_mode: str = entry(
        "depth.mode",
        OFF,
        "off: colour alone; auto: poses are fitted to a depth image where there is one; "
        "required: images without one are dropped",
        check=one_of(OFF, AUTO, REQUIRED),
    )
    depth_max_difference: float = entry(
        "depth.max_difference",
        0.02,
        "Largest difference of the stamps of an image and its depth image, s",
        live=True,
        span=(0.0, 1.0),
    )
