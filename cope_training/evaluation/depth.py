"""Depth for VSD: the measured images of a data set and rendered objects."""

from collections.abc import Mapping

import numpy as np

from cope_ros.core.errors import CopeError
from cope_training.data.bop_images import read_depth
from cope_training.evaluation.metrics.objects import EvalObject
from cope_training.evaluation.metrics.scenes import Scenes
from cope_training.rendering.meshes import Mesh, vertex_normals
from cope_training.rendering.renderer import Renderer
from cope_training.rendering.scene import Placement

STEP = 128  # px; windows are drawn in multiples, so that few frame buffers are kept


class MeasuredDepth:
    """``(scene_id, im_id) -> (H, W) m``, None where the image is missing."""

    def __init__(self, scenes: Scenes) -> None:
        self._scenes = scenes

    def __call__(self, scene_id: int, im_id: int) -> np.ndarray | None:
        """Reads the depth image."""
        path = self._scenes.depth_path(scene_id, im_id)
        return None if path is None else read_depth(path, self._scenes.depth_scale(scene_id, im_id))


class RenderedDepth:
    """Draws the depth of one object; see ``cope_training.evaluation.metrics.vsd.DepthRenderer``."""

    def __init__(self, objects: Mapping[int, EvalObject]) -> None:
        self._renderer = Renderer(samples=1)
        self._handles = {i: self._renderer.add_mesh(_mesh(obj)) for i, obj in objects.items()}

    def depth(
        self, obj_id: int, R: np.ndarray, t: np.ndarray, K: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray:
        """(H, W) m of the object alone in an image of ``size`` (width, height)."""
        if obj_id not in self._handles:
            raise CopeError(f"no mesh of object {obj_id} to render")
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = R, t
        padded = (-(-size[0] // STEP) * STEP, -(-size[1] // STEP) * STEP)
        drawn = self._renderer.render([Placement(self._handles[obj_id], T)], K, padded)
        return drawn.depth[: size[1], : size[0]].astype(np.float64)


def _mesh(obj: EvalObject) -> Mesh:
    vertices, faces = obj.vertices.astype(np.float32), obj.faces.astype(np.int32)
    gray = np.full((len(vertices), 3), 128, np.uint8)
    return Mesh(vertices, faces, vertex_normals(vertices, faces), gray)
