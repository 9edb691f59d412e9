"""What may be set about tracking."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackSettings:
    """How instances are followed; the values of ``track.*``, which may change at every frame."""

    enable: bool = True  # false: each frame is numbered by itself, from left to right
    confirm: int = 1  # frames in which an instance must be seen before it is published
    timeout: float = 2.0  # s without a sighting after which an id is given up
    gate_distance: float = 0.5  # of the diameter, farthest jump of an object's centre
    gate_rotation: float = 2.1  # rad, largest change of the rotation, symmetries apart
