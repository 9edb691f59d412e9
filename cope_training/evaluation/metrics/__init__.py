"""Measures of pose estimates as BOP, COCO and Hinterstoisser et al. define them."""

from cope_training.evaluation.metrics.errors import (
    add,
    add_s,
    mspd,
    mssd,
    rotation_error,
    translation_error,
)
from cope_training.evaluation.metrics.ground_truth import read_ground_truth
from cope_training.evaluation.metrics.measure import Measurement, measure
from cope_training.evaluation.metrics.objects import EvalObject, load_objects
from cope_training.evaluation.metrics.scenes import find_scenes
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth
from cope_training.evaluation.metrics.vsd import vsd

__all__ = [
    "Estimates",
    "EvalObject",
    "GroundTruth",
    "Measurement",
    "add",
    "add_s",
    "find_scenes",
    "load_objects",
    "measure",
    "mspd",
    "mssd",
    "read_ground_truth",
    "rotation_error",
    "translation_error",
    "vsd",
]
