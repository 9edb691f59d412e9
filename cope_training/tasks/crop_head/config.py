"""Settings of the crop head's training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CropJitter:
    """How crops lie around instances."""

    center_sigma: float = 0.07  # standard deviation, of the apparent size
    size_sigma: float = 0.13  # of the logarithm of the crop's side
    roll_sigma: float = 8.6  # degrees, of the view about its axis
    visibility: float = 0.2  # least visible share of an instance
    room: float = 0.0  # of the crop's side, that images hold to each side of its middle


@dataclass(frozen=True)
class CropHeadTraining(CropJitter):
    """The crops and the weights of the crop head's losses."""

    rotation: float = 3.0  # distance of the turned box's corners over the diameter
    choice: float = 0.3  # cross-entropy over the anchor rotations
    surface: float = 1.0  # object coordinates
    visible: float = 1.0  # cross-entropy of the mask
    center: float = 0.5
    size: float = 0.5
    init: str = ""  # model of the same objects whose crop head is taken, where ``init`` has none
