"""A tiny BOP data set of two objects, and an estimator that knows its ground truth."""

import json
import time
from pathlib import Path

import numpy as np
import trimesh
from metrics_scene import make_object, random_poses
from PIL import Image

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.deployment.runtime import Estimate
from cope_training import evaluate
from cope_training.evaluation.metrics.detection import projected_boxes
from cope_training.evaluation.metrics.objects import EvalObject

K = np.array([[200.0, 0, 79.5], [0, 200.0, 59.5], [0, 0, 1]])
SIZE = (160, 120)
IMAGES = 4
PER_IMAGE = 4


def make_objects() -> dict[int, EvalObject]:
    """An asymmetric box (1) and a cylinder (2)."""
    box = trimesh.creation.box((0.05, 0.08, 0.12))
    can = trimesh.creation.cylinder(0.04, 0.1, sections=24)
    turning = [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]
    objects = {1: make_object(box), 2: make_object(can, symmetries_continuous=turning)}
    info = {str(i): obj.model.to_dict() | {"name": f"thing_{i}"} for i, obj in objects.items()}
    catalogue = Catalogue.from_dict(info)
    return {
        i: EvalObject(catalogue[i - 1], obj.vertices, obj.faces, obj.symmetries)
        for i, obj in objects.items()
    }


class Scene:
    """The data set's content; image i holds PER_IMAGE instances."""

    def __init__(self, seed: int = 0) -> None:
        count = IMAGES * PER_IMAGE
        self.objects = make_objects()
        self.im_id = np.repeat(np.arange(IMAGES), PER_IMAGE)
        self.obj_id = np.tile([1, 2, 1, 2], IMAGES)
        self.R, self.t = random_poses(count, seed)
        # Apart in the image, so that boxes tell the instances from one another.
        self.t[:, 0] = np.tile([-0.25, -0.08, 0.08, 0.25], IMAGES)
        self.visibility = np.tile([1.0, 0.75, 0.45, 0.05], IMAGES)
        cameras = np.broadcast_to(K, (count, 3, 3))
        self.boxes = projected_boxes(self.obj_id, self.R, self.t, cameras, self.objects)

    def write(self, root: Path, images: int = IMAGES) -> Path:
        """Writes the data set (BOP, mm) with the first ``images`` pictures; returns the root."""
        models, scene = root / "models", root / "test" / "000007"
        models.mkdir(parents=True)
        (scene / "rgb").mkdir(parents=True)
        info = {str(i): obj.model.to_dict() for i, obj in self.objects.items()}
        (models / "models_info.json").write_text(json.dumps(info))
        for i, obj in self.objects.items():
            mesh = trimesh.Trimesh(obj.vertices * 1e3, obj.faces, process=False)
            mesh.export(models / f"obj_{i:06d}.ply")
        camera = {"cam_K": K.reshape(9).tolist(), "depth_scale": 0.1}
        cameras = {str(i): camera for i in range(IMAGES)}
        (scene / "scene_camera.json").write_text(json.dumps(cameras))
        truth = {str(i): [self._pose(g) for g in self._rows(i)] for i in range(IMAGES)}
        (scene / "scene_gt.json").write_text(json.dumps(truth))
        seen = {str(i): [self._seen(g) for g in self._rows(i)] for i in range(IMAGES)}
        (scene / "scene_gt_info.json").write_text(json.dumps(seen))
        rng = np.random.default_rng(0)
        for i in range(images):
            noise = rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
            noise[0, 0] = i  # by which the estimator below knows the image
            Image.fromarray(noise).save(scene / "rgb" / f"{i:06d}.png")
        return root

    def _rows(self, im_id: int) -> list[int]:
        return np.flatnonzero(self.im_id == im_id).tolist()

    def _pose(self, g: int) -> dict:
        pose = {"cam_R_m2c": self.R[g].reshape(9).tolist(), "obj_id": int(self.obj_id[g])}
        return pose | {"cam_t_m2c": (self.t[g] * 1e3).tolist()}

    def _seen(self, g: int) -> dict:
        x1, y1, x2, y2 = self.boxes[g].tolist()
        return {"bbox_obj": [x1, y1, x2 - x1, y2 - y1], "visib_fract": self.visibility[g]}


class KnowingEstimator:
    """Returns the ground truth of the scene, changed by ``disturb``; has Estimator's contract."""

    def __init__(self, scene: Scene, disturb=None) -> None:
        models = [obj.model for obj in scene.objects.values()]
        self.catalogue = Catalogue(tuple(models))
        self.device = "cpu"
        self._scene = scene
        self._disturb = disturb or (lambda row, estimate: None)

    def configure(self, **thresholds) -> None:
        """Takes thresholds and needs none."""

    def estimate(self, image: np.ndarray, K: np.ndarray) -> Estimate:
        """Instances of the image whose number is in its first pixel."""
        time.sleep(1e-3)  # times are shown in tenths of a millisecond, and none may be zero
        s = self._scene
        rows = np.flatnonzero(s.im_id == image[0, 0, 0])
        n = len(rows)
        found = {
            "class_index": s.obj_id[rows] - 1,
            "score": np.linspace(0.9, 0.6, n, dtype=np.float32),
            "R": s.R[rows].copy(),
            "t": s.t[rows].copy(),
            "boxes": s.boxes[rows].copy(),
        }
        rows_of = [{name: column[i : i + 1] for name, column in found.items()} for i in range(n)]
        kept = [self._disturb(int(g), row) for g, row in zip(rows, rows_of, strict=True)]
        keep = np.array([answer is not False for answer in kept], dtype=bool)
        return Estimate(
            **{name: column[keep] for name, column in found.items()},
            covariance=np.zeros((keep.sum(), 6, 6)),
            keypoints=np.zeros((keep.sum(), 8, 2)),
            support=np.ones(keep.sum(), np.int64),
        )


def run(data: Path, out: Path, *more: str) -> dict:
    """The JSON of a run that succeeds."""
    arguments = ["--model", "models/knowing", "--data", str(data), "--out", str(out), *more]
    assert evaluate.main(arguments) == 0
    return json.loads((out / f"knowing_{data.name}.json").read_text())
