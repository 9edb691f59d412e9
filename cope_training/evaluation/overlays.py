"""Pictures of estimates over the image: silhouettes as in the paper's figure 6."""

from collections.abc import Mapping

import cv2
import numpy as np

from cope_training.evaluation.failures import FOUND, Failures
from cope_training.evaluation.metrics.errors import project
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth

# RGB. Blue is the ground truth, green an estimate that is right, red one that is not.
TRUTH, RIGHT, WRONG = (80, 160, 255), (60, 220, 90), (255, 70, 60)
SUBPIXEL_BITS = 4
JPEG_QUALITY = 85


def silhouette(
    obj: EvalObject, R: np.ndarray, t: np.ndarray, K: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """(H, W) uint8 mask of a posed mesh, one inside; empty if it reaches behind the camera."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    pixels = project(K[None], (obj.vertices @ R.T + t)[None])[0]
    if not np.isfinite(pixels).all():
        return mask
    fixed = np.clip(pixels * 2**SUBPIXEL_BITS, -(2**20), 2**20).round().astype(np.int32)
    for triangle in fixed[obj.faces]:
        cv2.fillConvexPoly(mask, triangle, 1, cv2.LINE_8, SUBPIXEL_BITS)
    return mask


def draw_pose(
    image: np.ndarray,
    obj: EvalObject,
    pose: tuple[np.ndarray, np.ndarray],
    K: np.ndarray,
    color: tuple[int, int, int],
) -> None:
    """Draws a posed mesh's outline into an (H, W, 3) uint8 image, in place."""
    mask = silhouette(obj, *pose, K, (image.shape[1], image.shape[0]))
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.polylines(image, outlines, True, color, 2, cv2.LINE_AA)


def overlay(
    image: np.ndarray,
    key: tuple[int, int],
    ests: Estimates,
    gts: GroundTruth,
    failures: Failures,
    objects: Mapping[int, EvalObject],
    score_threshold: float = 0.0,
) -> np.ndarray:
    """(H, W, 3) uint8: ground truth in blue, right estimates green, wrong ones red.

    Args:
        image: (H, W, 3) uint8 RGB, not changed.
        key: (scene_id, im_id).
        score_threshold: estimates below are left out.
    """
    drawn, K = image.copy(), gts.K[key]
    of_image = (gts.scene_id == key[0]) & (gts.im_id == key[1])
    for g in np.flatnonzero(of_image & (failures.kind >= 0)).tolist():
        draw_pose(drawn, objects[int(gts.obj_id[g])], (gts.R[g], gts.t[g]), K, TRUTH)
    right = set(failures.attempt[of_image & (failures.kind == FOUND)].tolist())
    mine = (ests.scene_id == key[0]) & (ests.im_id == key[1]) & (ests.score >= score_threshold)
    for e in np.flatnonzero(mine).tolist():
        color = RIGHT if e in right else WRONG
        draw_pose(drawn, objects[int(ests.obj_id[e])], (ests.R[e], ests.t[e]), K, color)
    return drawn


def to_jpeg(image: np.ndarray) -> bytes:
    """JPEG file content of an (H, W, 3) uint8 RGB image."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
