"""False detections in images without the objects, and the score threshold they suggest."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.notes import note_once
from cope_training.data.photographs import is_image_name, read_image
from cope_training.evaluation.held_out import rendered
from cope_training.evaluation.uncertainty import Runner
from cope_training.progress import Progress
from cope_training.rendering.scene_config import SceneConfig

log = logging.getLogger(__name__)

THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(5, 96))
SHOWN = THRESHOLDS[::5]
VIEW_ANGLE = 60.0  # degrees across the width of photographs, whose cameras nobody knows
LIMIT = 0.1  # false detections per image that a model's threshold may leave
KEPT = 0.97  # of the right poses, which a threshold has to keep

Picture = tuple[np.ndarray, np.ndarray]  # (H, W, 3) uint8 RGB and (3, 3) intrinsics, px


@dataclass(frozen=True)
class FalseDetections:
    """What a model found in images without its objects."""

    images: int
    scores: np.ndarray  # (N,) of all that was found, in one run at the lowest of THRESHOLDS

    def per_image(self, threshold: float) -> float:
        """Detections per image with at least this score."""
        return float((self.scores >= threshold).sum() / max(self.images, 1))

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the number of images and the detections per image by threshold."""
        shares = {f"{t:.2f}": round(self.per_image(t), 4) for t in SHOWN}
        return {"images": self.images, "per_image": shares}

    def table(self, own: float) -> str:
        """Markdown: detections per image over thresholds, the model's ``own`` among them."""
        rows = sorted({*SHOWN, round(own, 4)})
        lines = ["| score threshold | false detections per image |", "|---|---:|"]
        for threshold in rows:
            mark = " (the model's)" if threshold == round(own, 4) else ""
            lines.append(f"| {threshold:.2f}{mark} | {self.per_image(threshold):.3f} |")
        return "\n".join(lines)


def find_false(
    runner: Runner, pictures: Iterable[Picture], progress: Progress | None = None, count: int = 0
) -> FalseDetections:
    """Runs a model, set to the lowest of THRESHOLDS, over images without its objects.

    Args:
        progress: told the share done, where ``count`` says how many there are.
    """
    scores: list[np.ndarray] = []
    for image, K in pictures:
        scores.append(np.asarray(runner.estimate(image, K).score, dtype=float))
        if progress is not None and count:
            progress("without objects", len(scores) / count)
    return FalseDetections(len(scores), np.concatenate([np.zeros(0), *scores]))


def photographs(folder: Path) -> list[Path]:
    """The images of a folder and of those in it.

    Raises:
        CopeError: no such folder, or no image.
    """
    if not folder.is_dir():
        raise CopeError(f"{folder}: no such folder")
    found = sorted(path for path in folder.rglob("*") if path.is_file() and is_image_name(path))
    if not found:
        raise CopeError(f"{folder}: expected images, found none")
    return found


def read_photographs(paths: Iterable[Path]) -> Iterator[Picture]:
    """Photographs with the intrinsics of a camera that sees VIEW_ANGLE across their width.

    Those that cannot be read are left out with a note.

    Raises:
        CopeError: there are some, and none can be read.
    """
    broken, given = [], 0
    for path in paths:
        try:
            image = read_image(path)
        except CopeError as error:
            broken.append(str(error))
            continue
        given += 1
        height, width = image.shape[:2]
        focal = 0.5 * width / np.tan(np.deg2rad(0.5 * VIEW_ANGLE))
        middle = 0.5 * (np.array([width, height]) - 1.0)
        yield image, np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1.0]])
    if broken and not given:
        raise CopeError(f"none of {len(broken)} photographs can be read, such as {broken[0]}")
    if broken:
        note_once(log, "%d photographs cannot be read, such as %s", len(broken), broken[0])


def rendered_without(
    config: SceneConfig, catalogue: Catalogue, seed: int, count: int
) -> Iterator[Picture]:
    """Rendered images of everything that a training's scenes have but the objects."""
    for frame in rendered(replace(config, empty_share=1.0), catalogue, seed, count):
        yield frame.image, frame.K


def choose_threshold(false: FalseDetections, right: np.ndarray) -> float:
    """The lowest threshold that leaves at most LIMIT false detections per image.

    A model that scores right and wrong alike gets a lower one: KEPT of its right poses stay.

    Args:
        right: scores of right poses, of images with the objects.
    """
    enough = [t for t in THRESHOLDS if false.per_image(t) <= LIMIT]
    keeping = [t for t in THRESHOLDS if not len(right) or (right >= t).mean() >= KEPT]
    most = max(keeping, default=THRESHOLDS[0])
    return min(min(enough, default=THRESHOLDS[-1]), most)
