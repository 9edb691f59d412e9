"""Runs an estimator over the images of a data set."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.preprocessing import DepthImage
from cope_ros.core.deployment.runtime import Estimate
from cope_ros.core.errors import CopeError
from cope_ros.core.measured_depth import is_credible_depth, median_depth
from cope_training.data.notes import note_once
from cope_training.data.photographs import read_image
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.scenes import Scenes
from cope_training.evaluation.metrics.tables import Estimates
from cope_training.progress import Progress

log = logging.getLogger(__name__)

ReadDepth = Callable[[int, int], np.ndarray | None]  # (scene_id, im_id) -> (H, W) m

SAME_SIZE = 0.02  # relative difference of diameters up to which two objects may be the same


class Runner(Protocol):
    """What is evaluated: ``cope_ros.core.deployment.runtime.Estimator`` or a stand-in."""

    catalogue: Catalogue

    def estimate(
        self, image: np.ndarray, K: np.ndarray, depth: DepthImage | None = None
    ) -> Estimate:
        """Finds all instances in an (H, W, 3) uint8 RGB image with intrinsics (3, 3)."""


@dataclass(frozen=True)
class Run:
    """What came out of a data set."""

    estimates: Estimates
    image_seconds: np.ndarray  # (I,) s, wall time of each image, in their order
    read_seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (I,) s, of its file
    confirmed: int = 0  # estimates whose pose depth has determined


def images_with_depth(scenes: Scenes, images: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """(scene_id, im_id) of those images that have a depth image."""
    return [key for key in images if scenes.depth_path(*key) is not None]


def run_model(
    runner: Runner,
    scenes: Scenes,
    cameras: Mapping[tuple[int, int], np.ndarray],
    progress: Progress | None = None,
    depth: ReadDepth | None = None,
) -> Run:
    """Estimates every image of ``cameras``.

    The time of an image is that of ``estimate`` alone: reading files is not counted.

    Args:
        cameras: (scene_id, im_id) -> (3, 3) px, such as ``GroundTruth.K``.
        depth: reads the depth image of a (scene_id, im_id); None leaves depth out.

    Raises:
        CopeError: an image is missing or cannot be decoded.
    """
    parts: list[Estimates] = []
    seconds: list[float] = []
    read: list[float] = []
    confirmed = 0
    obj_ids = np.array([item.obj_id for item in runner.catalogue], dtype=np.int64)
    for number, (key, K) in enumerate(cameras.items()):
        opened = time.perf_counter()
        image = read_image(scenes.image_path(*key), f"{scenes.root}: scene {key[0]} image {key[1]}")
        measured = _measured(depth, key, K, str(scenes.root))
        start = time.perf_counter()
        read.append(start - opened)
        estimate = runner.estimate(image, K, *measured)
        seconds.append(time.perf_counter() - start)
        confirmed += int((estimate.depth_share > 0).sum())
        parts.append(_rows(estimate, key, obj_ids, seconds[-1]))
        if progress is not None:
            progress("inference", (number + 1) / len(cameras))
    return Run(joined(parts), np.array(seconds), np.array(read), confirmed)


def _measured(
    depth: ReadDepth | None, key: tuple[int, int], K: np.ndarray, where: str
) -> tuple[DepthImage, ...]:
    """The depth of an image, nothing where it has none that can be true."""
    found = None if depth is None else depth(*key)
    if found is None:
        return ()
    median = median_depth(found)
    if not is_credible_depth(median):
        said = "no distance" if np.isnan(median) else f"a median distance of {median:.4g} m"
        text = "%s: a depth image has %s (is depth_scale right?): the poses there are the image's"
        note_once(log, text, where, said)
        return ()
    return (DepthImage(found.astype(np.float32), K),)


def check_same_objects(known: Catalogue, objects: dict[int, EvalObject], where: str) -> None:
    """Makes sure that the model and the data set mean the same objects by the same obj_ids.

    Raises:
        CopeError: no common object, or one of different size, with both sizes.
    """
    shared = [item for item in known if item.obj_id in objects]
    if not shared:
        ids = [item.obj_id for item in known]
        raise CopeError(f"{where}: has objects {sorted(objects)}, the model knows {ids}")
    for item in shared:
        theirs = objects[item.obj_id].diameter
        if abs(item.diameter - theirs) > SAME_SIZE * theirs:
            raise CopeError(
                f"{where}: object {item.obj_id} has a diameter of {theirs * 1e3:.1f} mm, the "
                f"model's {item.class_id!r} of {item.diameter * 1e3:.1f} mm: other objects"
            )


def _rows(
    estimate: Estimate, key: tuple[int, int], obj_ids: np.ndarray, seconds: float
) -> Estimates:
    n = len(estimate.score)
    return Estimates(
        scene_id=np.full(n, key[0], dtype=np.int64),
        im_id=np.full(n, key[1], dtype=np.int64),
        obj_id=obj_ids[estimate.class_index],
        score=estimate.score.astype(np.float64),
        R=estimate.R.astype(np.float64),
        t=estimate.t.astype(np.float64),
        time=np.full(n, seconds),
        boxes=estimate.boxes.astype(np.float64),
        covariance=estimate.covariance.astype(np.float64),
    )


def joined(parts: Sequence[Estimates]) -> Estimates:
    """One table from those of several images."""
    if not parts:
        return Estimates.empty()
    names = ["scene_id", "im_id", "obj_id", "score", "R", "t", "time", "boxes"]
    if all(part.covariance is not None for part in parts):
        names.append("covariance")
    return Estimates(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})
