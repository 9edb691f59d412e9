"""What a page is made of: images, estimates and, where there is any, the ground truth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cope_training.evaluation.failures import FOUND, Failures
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.scores import MIN_VISIBILITY
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth

Key = tuple[int, int]  # scene_id, im_id


@dataclass(frozen=True)
class Frame:
    """One image of the run."""

    key: Key
    name: str
    K: np.ndarray  # (3, 3) px
    seconds: float | None  # until its poses were there, None where unknown


@dataclass(frozen=True)
class Truth:
    """The annotations and what became of each of them."""

    gts: GroundTruth
    failures: Failures

    @property
    def asked(self) -> np.ndarray:
        """(G,) bool: the instances that count."""
        return self.failures.kind >= 0

    @property
    def right(self) -> np.ndarray:
        """(G,) bool: those that were found."""
        return self.failures.kind == FOUND


@dataclass(frozen=True)
class Results:
    """A run, ready to be shown."""

    title: str
    facts: Mapping[str, str]  # model, data, device, command, ...
    frames: Sequence[Frame]
    read_image: Callable[[Key], np.ndarray]  # -> (H, W, 3) uint8 RGB
    estimates: Estimates
    labels: Sequence[str]  # one per estimate: its id, or its class
    objects: Mapping[int, EvalObject]
    names: Mapping[int, str]  # obj_id -> class_id
    truth: Truth | None = None
    stages: Mapping[str, float] = field(default_factory=dict)  # name -> s, medians
    tables: Sequence[str] = ()  # sections of HTML that are shown after the charts
    least_visible: float = MIN_VISIBILITY  # of the instances that the headline counts

    @property
    def seconds(self) -> np.ndarray:
        """(F,) s: the frames' times, as far as they are known."""
        return np.array([f.seconds for f in self.frames if f.seconds is not None])
