"""Settings of the refiner's training."""

from dataclasses import dataclass

from cope_training.tasks.crop_head.config import CropJitter

MARGIN = 16  # px of a crop beyond each side: a better pose's crop lies a little off


@dataclass(frozen=True)
class RefinerTraining(CropJitter):
    """The crops that the crop head sees, how wrong poses are, and the weights of the losses."""

    found_share: float = 0.6  # of the wrong poses are the crop head's; the others are random:
    center_error: float = 0.03  # of the apparent size
    size_error: float = 0.06  # of its logarithm
    rotation_error: float = 12.0  # degrees about each axis
    flow_error: float = 0.0  # flows start off by up to this share of the three above, too
    zoom_sigma: float = 0.07  # of the logarithm of the crop's side, whatever the pose
    flow_alone: bool = False  # the rest of the refiner stays as it is
    rotation: float = 1.0  # distance of the turned box's corners
    surface: float = 1.0  # object coordinates
    visible: float = 0.3  # cross-entropy of the mask
    center: float = 0.5
    size: float = 1.0
    flow: float = 0.3  # negative logarithm of the likelihood of where places are seen
    seen: float = 0.3  # cross-entropy of being seen
    fit: float = 1.0  # distance of the box's corners in the pose that follows
