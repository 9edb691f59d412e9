"""Small objects, poses and tables that the tests of the measures share."""

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from cope_ros.core.catalogue import Catalogue
from cope_training.evaluation.metrics.objects import EvalObject, symmetry_transforms
from cope_training.evaluation.metrics.tables import Estimates, GroundTruth
from cope_training.rendering.meshes import diameter


def make_object(mesh: trimesh.Trimesh, **symmetries: list) -> EvalObject:
    """An object from a mesh in metres."""
    low, high = mesh.bounds * 1e3
    entry = {f"min_{a}": v for a, v in zip("xyz", low, strict=True)}
    entry |= {f"size_{a}": v for a, v in zip("xyz", high - low, strict=True)}
    entry |= {"diameter": diameter(np.array(mesh.vertices)) * 1e3, **symmetries}
    model = Catalogue.from_dict({"1": entry})[0]
    return EvalObject(model, np.array(mesh.vertices), mesh.faces, symmetry_transforms(model))


def random_poses(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """R (P, 3, 3) and t (P, 3) about 1 m in front of the camera."""
    rng = np.random.default_rng(seed)
    R = Rotation.random(count, rng).as_matrix()
    return R, rng.uniform([-0.2, -0.2, 0.8], [0.2, 0.2, 1.2], (count, 3))


def near(R: np.ndarray, t: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Poses a few degrees and centimetres away."""
    rng = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(rng.normal(0, 0.2, (len(R), 3))).as_matrix()
    return turn @ R, t + rng.normal(0, 0.02, t.shape)


def estimates(rows: list[tuple[int, int, float]], boxes: list | None = None) -> Estimates:
    """Estimates from (im_id, obj_id, score)."""
    n = len(rows)
    im_id, obj_id, score = (np.array(c) for c in zip(*rows, strict=True)) if n else ([],) * 3
    return Estimates(
        scene_id=np.zeros(n, np.int64),
        im_id=np.array(im_id, dtype=np.int64),
        obj_id=np.array(obj_id, dtype=np.int64),
        score=np.array(score, dtype=float),
        R=np.tile(np.eye(3), (n, 1, 1)),
        t=np.zeros((n, 3)),
        time=np.ones(n),
        boxes=None if boxes is None else np.array(boxes, dtype=float).reshape(-1, 4),
    )


def truth(
    rows: list[tuple[int, int, float]], boxes: list | None = None, images: int = 0
) -> GroundTruth:
    """Ground truth from (im_id, obj_id, visibility); visible instances are asked for."""
    n = len(rows)
    counts: dict[tuple[int, int, int], int] = {}
    for im, obj, visibility in rows:
        if visibility >= 0.1:
            counts[0, im, obj] = counts.get((0, im, obj), 0) + 1
    last = max([im for im, _, _ in rows] + [images - 1])
    return GroundTruth(
        scene_id=np.zeros(n, np.int64),
        im_id=np.array([r[0] for r in rows], dtype=np.int64),
        obj_id=np.array([r[1] for r in rows], dtype=np.int64),
        R=np.tile(np.eye(3), (n, 1, 1)),
        t=np.zeros((n, 3)),
        visibility=np.array([r[2] for r in rows], dtype=float),
        boxes=np.zeros((n, 4)) if boxes is None else np.array(boxes, dtype=float),
        K={(0, i): np.eye(3) for i in range(last + 1)},
        image_size=(640, 480),
        inst_count=counts,
    )
