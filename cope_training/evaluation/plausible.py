"""Whether a result file can be of the data set that it is scored on."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import MM
from cope_ros.core.errors import CopeError
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth

NEAR = 10.0  # diameters from a target, within which an estimate may be meant for it
# Share of a target's distance from the camera; estimates below it were written in metres or cm,
# though an object near the camera may lie within NEAR of them.
LEAST_DISTANCE = 0.2


def check_near_targets(
    ests: Estimates, gts: GroundTruth, objects: Mapping[int, EvalObject], source: Path
) -> None:
    """Makes sure that any estimate lies near an instance of its object in its image.

    A file without an estimate is one of a method that found nothing, and passes.

    Raises:
        CopeError: none does: translations in another unit, or estimates of other images.
    """
    if len(ests) == 0 or len(gts) == 0:
        return
    found = set(zip(ests.scene_id.tolist(), ests.im_id.tolist(), strict=True)) & set(gts.K)
    targets: dict[tuple[int, int, int], list[int]] = {}
    for g, key in enumerate(_keys(gts)):
        targets.setdefault(key, []).append(g)
    for row, key in enumerate(_keys(ests)):
        rows = targets.get(key)
        if rows and _is_near(ests.t[row], gts.t[rows], objects[key[2]].diameter):
            return
    if found:
        distances = [np.median(np.linalg.norm(table.t, axis=1)) / MM for table in (ests, gts)]
        detail = "from the camera, estimates are {:.4g} mm away, targets {:.4g}".format(*distances)
    else:
        detail = f"none of its {len(ests)} estimates is of an evaluated image"
    raise CopeError(
        f"{source}: no estimate lies within {NEAR:g} diameters of any target: are the units mm? "
        f"({detail})"
    )


def _keys(table: Estimates | GroundTruth) -> list[tuple[int, int, int]]:
    columns = (table.scene_id.tolist(), table.im_id.tolist(), table.obj_id.tolist())
    return list(zip(*columns, strict=True))


def _is_near(t: np.ndarray, targets: np.ndarray, diameter: float) -> bool:
    apart = np.linalg.norm(targets - t, axis=1) <= NEAR * diameter
    scaled = np.linalg.norm(t) < LEAST_DISTANCE * np.linalg.norm(targets, axis=1)
    return bool((apart & ~scaled).any())
