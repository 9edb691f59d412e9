"""Where a BOP data set to evaluate on keeps its scenes, images, targets and models.

Accepts the root of a data set, a split folder (or any folder of scene folders), or one scene, with
ground truth or without.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.errors import CopeError
from cope_ros.core.json_fields import intrinsics
from cope_training.data.bop_checks import check_sizes
from cope_training.data.bop_folders import find_scene_folders
from cope_training.data.bop_images import depth_file, list_images, note_no_scale
from cope_training.data.bop_json import read_by_image
from cope_training.data.bop_scene import SCENE_CAMERA, SCENE_GT, depth_scale

MODELS_INFO = "models_info.json"


@dataclass(frozen=True)
class Scenes:
    """The scene folders of a data set and what lies beside them."""

    root: Path
    scenes: dict[int, Path]  # scene_id -> folder
    targets: Path | None
    models: Path | None  # folder with models_info.json

    def with_models(self, model: Path | None = None) -> "Scenes":
        """The same with the models of a model directory (or model.pt) where it has none.

        Raises:
            CopeError: neither has a models_info.json.
        """
        if self.models is not None:
            return self
        folder = model.parent if model is not None and model.is_file() else model
        if folder is None or not (folder / MODELS_INFO).is_file():
            raise CopeError(f"{self.root}: no {MODELS_INFO} in models_eval/, models/ or beside it")
        return replace(self, models=folder)

    @property
    def models_folder(self) -> Path:
        """Where the models are.

        Raises:
            CopeError: as ``with_models``.
        """
        models = self.with_models().models
        assert models is not None
        return models

    @cached_property
    def images(self) -> dict[tuple[int, int], Path]:
        """The colour (or gray) images that are there, by (scene_id, im_id)."""
        found: dict[tuple[int, int], Path] = {}
        for scene_id, folder in self.scenes.items():
            found |= {(scene_id, im_id): path for im_id, path in list_images(folder).items()}
        return found

    def image_path(self, scene_id: int, im_id: int) -> Path | None:
        """The colour (or gray) image, if it is there."""
        return self.images.get((scene_id, im_id))

    def depth_path(self, scene_id: int, im_id: int) -> Path | None:
        """The depth image, if it is there and scene_camera.json gives its scale."""
        path = depth_file(self.scenes[scene_id], im_id)
        if path is not None and not self.depth_scale(scene_id, im_id):
            note_no_scale(self.scenes[scene_id])
            return None
        return path

    def depth_scale(self, scene_id: int, im_id: int) -> float:
        """mm per unit of a depth image, 0 where scene_camera.json does not say."""
        entry = self.cameras.get((scene_id, im_id))
        return depth_scale(entry, self._camera_place(scene_id, im_id))

    def intrinsics(self, scene_id: int, im_id: int) -> np.ndarray:
        """(3, 3) px of an image of ``cameras``.

        Raises:
            CopeError: its entry holds none that can be; names it.
        """
        place = self._camera_place(scene_id, im_id)
        return intrinsics(self.cameras[scene_id, im_id], place)

    @cached_property
    def cameras(self) -> dict[tuple[int, int], Any]:
        """The entries of the scene_camera.json files, by (scene_id, im_id)."""
        found: dict[tuple[int, int], Any] = {}
        for scene_id, folder in self.scenes.items():
            entries = read_by_image(folder / SCENE_CAMERA)
            found |= {(scene_id, im_id): entry for im_id, entry in entries.items()}
        return found

    @cached_property
    def annotated(self) -> dict[int, Path]:
        """scene_id -> folder of the scenes that have a scene_gt.json."""
        return {i: folder for i, folder in self.scenes.items() if (folder / SCENE_GT).is_file()}

    def _camera_place(self, scene_id: int, im_id: int) -> str:
        return f"{self.scenes[scene_id] / SCENE_CAMERA}: image {im_id}"


def find_scenes(data: Path | str, split: str = "test") -> Scenes:
    """Finds the scene folders under ``data``.

    Raises:
        CopeError: there is no scene.
    """
    data = Path(data).resolve()
    if not data.is_dir():
        raise CopeError(f"{data}: no such folder")
    inner = data / split if (data / split).is_dir() else data
    scenes = find_scene_folders(inner, SCENE_GT, SCENE_CAMERA)
    if not scenes:
        raise CopeError(
            f"{data}: expected a BOP data set: no {SCENE_CAMERA} or {SCENE_GT} here or in "
            f"{split}/*/{_other_splits(data)}"
        )
    around = [data, inner, *inner.parents[:2]]
    # Of several, those of the localisation task: the later ones name no objects.
    targets = [p for f in around for p in sorted(f.glob("test_targets_bop*.json"))]
    folders = [f / name for f in around for name in ("models_eval", "models", ".")]
    models = [folder for folder in folders if (folder / MODELS_INFO).is_file()]
    return Scenes(
        data,
        scenes,
        targets[0] if targets and split == "test" else None,
        models[0] if models else None,
    )


def _other_splits(data: Path) -> str:
    """What an error says of folders beside the split that do hold scenes."""
    found = [
        p.name for p in sorted(data.iterdir()) if p.is_dir() and find_scene_folders(p, SCENE_GT)
    ]
    return f"; there are scenes in {', '.join(found)}: name that folder" if found else ""


def check_image_sizes(
    scenes: Scenes, cameras: Mapping[tuple[int, int], np.ndarray], size: tuple[int, int]
) -> None:
    """Makes sure that images, depth images, intrinsics and camera.json fit in size.

    Args:
        cameras: (scene_id, im_id) -> (3, 3) px.
        size: (width, height) px.

    Raises:
        CopeError: a file of another size, or one that is no image; names it.
    """
    for (scene_id, im_id), K in cameras.items():
        files = (scenes.image_path(scene_id, im_id), scenes.depth_path(scene_id, im_id))
        source = f"{scenes.scenes[scene_id] / SCENE_CAMERA}: image {im_id}"
        check_sizes(files, size, K, source)
