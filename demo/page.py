"""The demonstration's run as its page shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_training.evaluation.failures import explain
from cope_training.evaluation.metrics import Estimates, EvalObject, GroundTruth
from cope_training.evaluation.metrics.detection import projected_boxes, with_boxes
from cope_training.evaluation.page import Frame, Results, Truth
from demo.images import CameraImage
from demo.record import Processed
from demo.summary import VISIBLE, key_of

Judged = tuple[GroundTruth, np.ndarray]  # and (G,) which estimate found each instance


def results_of(
    known: Sequence[tuple[CameraImage, Processed]],
    facts: Mapping[str, str],
    ests: Estimates,
    labels: Sequence[str],
    objects: Mapping[int, EvalObject],
    catalogue: Catalogue,
    judged: Judged | None,
    stages: Mapping[str, float],
) -> Results:
    """What the page shows of the processed images.

    Args:
        ests, labels: of all detections, see ``demo.summary.table_of``.
        judged: None without ground truth.
        stages: s, medians of the node's stages.
    """
    images = {key_of(image, place): image for place, (image, _) in enumerate(known)}
    frames = [
        Frame(key_of(image, place), image.path.stem, image.K, frame.latency / 1e3)
        for place, (image, frame) in enumerate(known)
    ]
    return Results(
        title="COPE, live over DDS",
        facts={**facts, "times": "image stamp to received detections"},
        frames=frames,
        read_image=lambda key: images[key].read(),
        estimates=ests,
        labels=labels,
        objects=objects,
        names={item.obj_id: item.class_id for item in catalogue},
        truth=None if judged is None else _truth(ests, judged, images, objects),
        stages=stages,
        least_visible=VISIBLE,
    )


def _truth(
    ests: Estimates,
    judged: Judged,
    images: Mapping[tuple[int, int], CameraImage],
    objects: Mapping[int, EvalObject],
) -> Truth:
    gts, found_by = judged
    keys = zip(ests.scene_id.tolist(), ests.im_id.tolist(), strict=True)
    K = np.array([images[key].K for key in keys]).reshape(-1, 3, 3)
    boxed = replace(ests, boxes=projected_boxes(ests.obj_id, ests.R, ests.t, K, objects))
    gts, found_by = _of_known_objects(gts, found_by, objects)
    gts = with_boxes(gts, objects)
    return Truth(gts, explain(boxed, gts, found_by, objects))


def _of_known_objects(
    gts: GroundTruth, found_by: np.ndarray, objects: Mapping[int, EvalObject]
) -> Judged:
    """Without the annotations of objects that the model does not know."""
    rows = np.isin(gts.obj_id, list(objects))
    columns = ("scene_id", "im_id", "obj_id", "R", "t", "visibility", "boxes")
    counts = {key: count for key, count in gts.inst_count.items() if key[2] in objects}
    kept = replace(gts, inst_count=counts, **{name: getattr(gts, name)[rows] for name in columns})
    return kept, found_by[rows]
