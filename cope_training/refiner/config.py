"""Settings of the refiner's training."""

from dataclasses import dataclass

from cope_training.closeup.config import WindowSpread


@dataclass(frozen=True)
class RefinerTraining(WindowSpread):
    """The windows, how wrong poses are, and the weights of the refiner's losses."""

    center_spread: float = 0.04
    size_spread: float = 0.07
    depth_spread: float = 0.03  # of the logarithm of depth, beside the window's size
    rotation_spread: float = 12.0  # degrees about each axis
    rotation: float = 1.0  # distance of the turned box's corners
    surface: float = 1.0  # object coordinates
    visible: float = 0.3  # cross-entropy of the mask
    center: float = 0.5
    size: float = 1.0
