"""Small objects and poses that the tests of the measures share."""

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from cope_ros.core.catalogue import Catalogue
from cope_training.metrics.objects import EvalObject, symmetry_transforms
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
    R = Rotation.random(count, rng=rng).as_matrix()
    return R, rng.uniform([-0.2, -0.2, 0.8], [0.2, 0.2, 1.2], (count, 3))


def near(R: np.ndarray, t: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Poses a few degrees and centimetres away."""
    rng = np.random.default_rng(seed)
    turn = Rotation.from_rotvec(rng.normal(0, 0.2, (len(R), 3))).as_matrix()
    return turn @ R, t + rng.normal(0, 0.02, t.shape)
