"""Settings of the instance head's training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InstanceHeadLossConfig:
    """Weights."""

    coordinates: float = 2.0
    likelihood: float = 0.1  # of cells' reprojection
    visible: float = 0.5
    prior: float = 0.1
    pose: float = 1.0
    quality: float = 0.2
    doubt: float = 0.05  # of the refined pose's errors under its covariance


@dataclass(frozen=True)
class InstanceHeadTraining(InstanceHeadLossConfig):
    """Settings of the instance head's training."""

    weight: float = 1.0  # of all its losses beside the dense ones
    visibility: float = 0.15  # of the instances that it learns from, at least
    dense_share: float = 0.5  # of the starts that are dense poses
    dense_from: float = 0.15  # share of the training after which they are
    rounds: int = 2
    instances: int = 0  # of each image, drawn at random, that it learns from; 0: all
    absent: int = 1  # poses of each image of objects that are not there, see ``absent``; 0: none
