"""Which images of a data set are evaluated, and which of them have ground truth to score by."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.data.bop_json import read_by_image
from cope_training.data.bop_scene import SCENE_CAMERA, SCENE_GT
from cope_training.data.notes import note_once
from cope_training.evaluation.inference import images_with_depth, joined
from cope_training.evaluation.metrics.detection import projected_boxes, with_boxes
from cope_training.evaluation.metrics.ground_truth import read_ground_truth, size_of_images
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.scenes import Scenes
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth
from cope_training.evaluation.metrics.targets import read_targets

log = logging.getLogger(__name__)
Key = tuple[int, int]  # scene_id, im_id


@dataclass(frozen=True)
class EvaluatedImages:
    """The images of a run, in the order in which they are estimated."""

    K: Mapping[Key, np.ndarray]  # (3, 3) px
    size: tuple[int, int]  # width, height, px
    gts: GroundTruth | None  # of those that have ground truth; None where none has

    @property
    def said(self) -> str:
        """One line about the images without ground truth; empty where all have it."""
        if self.gts is None:
            return f"no ground truth ({SCENE_GT}), so no scores"
        if len(self.gts.K) == len(self.K):
            return ""
        return f"ground truth in {len(self.gts.K)} of {len(self.K)} images: scores are over those"


def choose_images(
    scenes: Scenes,
    objects: Mapping[int, EvalObject],
    from_files: bool,
    with_depth: bool = False,
    limit: int | None = None,
) -> EvaluatedImages:
    """The images that a targets file names; without one, those that are there or annotated.

    Prints how many are left out.

    Args:
        from_files: only images whose file is there, else also those that are annotated alone.
        with_depth: only images that have a depth image.
        limit: the first so many.

    Raises:
        CopeError: no image is left, or a file is broken.
    """
    annotated = annotated_images(scenes)
    wanted = named_images(scenes, annotated)
    if from_files:
        there = [key for key in wanted if scenes.image_path(*key) is not None]
        if not there:
            raise CopeError(f"{scenes.root}: none of its {len(wanted)} images is there")
        if len(there) < len(wanted):
            print(f"{len(there)} of {len(wanted)} images are there; the others are left out")
        wanted = there
    if with_depth:
        images, wanted = len(wanted), images_with_depth(scenes, wanted)
        if not wanted:
            raise CopeError(f"{scenes.root}: none of its {images} images has a depth image")
        print(f"{len(wanted)} of {images} images have depth; the others are left out")
    wanted = wanted[:limit]
    scored = [key for key in wanted if key in annotated]
    gts = with_boxes(read_ground_truth(scenes, scored), objects) if scored else None
    size = size_of_images(scenes, wanted[0]) if gts is None else gts.image_size
    return EvaluatedImages({key: scenes.intrinsics(*key) for key in wanted}, size, gts)


def annotated_images(scenes: Scenes) -> set[Key]:
    """The images that a scene_gt.json has an entry for, be it an empty one."""
    return {
        (scene_id, im_id)
        for scene_id, folder in scenes.annotated.items()
        for im_id in read_by_image(folder / SCENE_GT)
    }


def named_images(scenes: Scenes, annotated: set[Key]) -> list[Key]:
    """Ascending: those of the targets file, else all that are annotated or have a file.

    Raises:
        CopeError: none has intrinsics, or an annotated one has not.
    """
    if scenes.targets is None:
        named = annotated | set(scenes.images)
    else:
        named = {key for key in read_targets(scenes.targets).images if key[0] in scenes.scenes}
    unknown = sorted(named - set(scenes.cameras))
    for scene_id, im_id in unknown:
        folder = scenes.scenes[scene_id]
        if (scene_id, im_id) in annotated:
            raise CopeError(f"{folder / SCENE_CAMERA}: image {im_id} of {SCENE_GT} is missing")
    if len(unknown) == len(named):
        if scenes.targets is not None:
            raise CopeError(f"{scenes.targets}: names none of the images in {SCENE_CAMERA}")
        raise CopeError(f"{scenes.root}: expected images that {SCENE_CAMERA} knows, got none")
    if unknown:
        message = "%s: images without intrinsics in %s are left out (%d), such as scene %d image %d"
        note_once(log, message, scenes.root, SCENE_CAMERA, len(unknown), *unknown[0])
    return sorted(named & set(scenes.cameras))


def in_images(
    ests: Estimates, images: EvaluatedImages, objects: Mapping[int, EvalObject]
) -> Estimates:
    """The estimates of known objects in the evaluated images, with boxes."""
    keys = list(zip(ests.scene_id.tolist(), ests.im_id.tolist(), strict=True))
    known = np.isin(ests.obj_id, list(objects))
    rows = np.array([key in images.K for key in keys], dtype=bool) & known
    ests = ests.take(rows)
    if ests.boxes is not None:
        return ests
    K = np.array([images.K[key] for key, row in zip(keys, rows, strict=True) if row])
    boxes = projected_boxes(ests.obj_id, ests.R, ests.t, K.reshape(-1, 3, 3), objects)
    return replace(ests, boxes=boxes)


def scored_first(ests: Estimates, scored: Estimates, gts: GroundTruth) -> Estimates:
    """``scored`` and behind it the estimates in images without ground truth: row numbers hold."""
    keys = zip(ests.scene_id.tolist(), ests.im_id.tolist(), strict=True)
    return joined([scored, ests.take(np.array([key not in gts.K for key in keys], dtype=bool))])
