"""Settings of the validation while training and of what follows a training."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cope_ros.core.errors import CopeError

# What one command does, in this order; a training's ``stages`` are some of them.
TRAINING, THRESHOLD, VALIDATION = "training", "threshold", "validation"
CALIBRATION, EXPORT, CARD = "calibration", "export", "card"
STAGES = (TRAINING, THRESHOLD, VALIDATION, CALIBRATION, EXPORT, CARD)


def check_stages(stages: Sequence[str]) -> None:
    """Makes sure that stages are known and in order.

    Raises:
        CopeError: one is not.
    """
    if list(stages) != [name for name in STAGES if name in stages] or TRAINING not in stages:
        text = f"expected {TRAINING} and others of {list(STAGES)} in this order"
        raise CopeError(f"stages: {text}, got {list(stages)}")


@dataclass(frozen=True)
class ValidationConfig:
    """The rendered validation set, and when it is looked at."""

    minutes: float = 0.0  # between two looks while training, 0: none
    images: int = 12  # of each look; all at the end
    random: bool = False  # whole images of the training's random scenes, not objects at rest
    scenes: int = 8  # simulated arrangements of 10 to 40 instances
    views: int = 3  # images of each
    seed: int = 711

    @property
    def wanted(self) -> bool:
        """Whether there is a set at all."""
        return self.minutes > 0 and self.scenes > 0


@dataclass(frozen=True)
class FinishingConfig:
    """How much is rendered for what follows a training."""

    negatives: str = ""  # folder of photographs without the objects, beside rendered images
    negative_images: int = 60  # rendered without the objects, and photographs at most
    calibration_images: int = 60  # to fit the covariances on
    held_out_images: int = 30  # to check them on

    @property
    def negatives_path(self) -> Path:
        """The folder of ``negatives``, environment variables put in."""
        return Path(os.path.expandvars(self.negatives))
