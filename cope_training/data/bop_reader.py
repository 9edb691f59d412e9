"""Reads BOP data sets: train_pbr, test splits and single scene folders.

Ground truth is checked whole and kept as compact arrays (about 100 bytes an instance); images
are read when asked for, so that sets of 50,000 images stream. Files are in millimetres,
frames in metres.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.bop_checks import check_size
from cope_training.data.bop_folders import find_scene_folders
from cope_training.data.bop_images import list_images, read_instances
from cope_training.data.bop_json import image_number
from cope_training.data.bop_scene import SCENE_CAMERA, SCENE_GT, SceneTruth, read_scene_truth
from cope_training.data.frames import Frame
from cope_training.data.notes import note_once
from cope_training.data.photographs import read_image

log = logging.getLogger(__name__)
SHOWN = 5  # image numbers in a note


@dataclass(frozen=True)
class Scene:
    """The ground truth of one scene folder, images in ascending order."""

    folder: Path
    paths: tuple[Path, ...]  # of the images
    image_ids: np.ndarray  # (I,) int32
    K: np.ndarray  # (I, 9) float64
    depth_scale: np.ndarray  # (I,) float64 mm per unit of the depth images, 0 where not given
    first: np.ndarray  # (I + 1,) int64, rows first[i]:first[i + 1] belong to image i
    row: np.ndarray  # (R,) int32, place in the image's list in scene_gt, which names the masks
    class_index: np.ndarray  # (R,) int16
    pose: np.ndarray  # (R, 12) float32, rotation row by row, translation in m
    visibility: np.ndarray  # (R,) float32
    boxes: np.ndarray  # (R, 4) float32 x1 y1 x2 y2


class BopDataset:
    """A split of a BOP data set as a sequence of frames; objects not known are left out."""

    def __init__(
        self, folder: Path | str, catalogue: Catalogue, missing_images: str = "refuse"
    ) -> None:
        """Reads and checks the ground truth.

        Args:
            folder: a split (holding scene folders such as 000000) or one scene folder.
            catalogue: the known objects.
            missing_images: ``refuse`` or ``skip`` those that have ground truth but no file.

        Raises:
            CopeError: a file or key is missing or broken; names both.
        """
        if missing_images not in ("refuse", "skip"):
            raise ValueError(f"missing_images: expected refuse or skip, got {missing_images!r}")
        folder = Path(folder)
        folders = scene_folders(folder)
        self._scenes = [read_scene(f, catalogue, missing_images) for f in folders]
        sizes = [len(s.image_ids) for s in self._scenes]
        self._ends = np.cumsum(sizes)
        if not sum(sizes):
            raise CopeError(f"{folder}: expected images with ground truth, got none")

    def __len__(self) -> int:
        return int(self._ends[-1])

    def ids(self, index: int) -> tuple[int, int]:
        """BOP's scene_id and im_id of a frame; scene_id is -1 where the folder is no number."""
        scene, place = self._find(index)
        number = image_number(scene.folder.name)
        return -1 if number is None else number, int(scene.image_ids[place])

    def __getitem__(self, index: int) -> Frame:
        """Reads one frame; ``instance_map`` is None where the set has no mask_visib.

        Raises:
            IndexError: beyond the end, which also ends a for loop.
            CopeError: an image is missing, broken, or a mask has another size.
        """
        scene, place = self._find(index)
        return read_frame(scene, place)

    def _find(self, index: int) -> tuple[Scene, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index}: the set has {len(self)}")
        index %= len(self)
        number = int(np.searchsorted(self._ends, index, side="right"))
        before = int(self._ends[number - 1]) if number else 0
        return self._scenes[number], index - before


def read_frame(scene: Scene, place: int) -> Frame:
    """The frame at a place of a scene; see ``BopDataset.__getitem__``."""
    image_id = int(scene.image_ids[place])
    rows = slice(scene.first[place], scene.first[place + 1])
    image = read_image(scene.paths[place])
    poses = np.tile(np.eye(4), (rows.stop - rows.start, 1, 1))
    poses[:, :3, :3] = scene.pose[rows, :9].reshape(-1, 3, 3)
    poses[:, :3, 3] = scene.pose[rows, 9:]
    return Frame(
        image=image,
        K=scene.K[place].reshape(3, 3).copy(),
        class_index=scene.class_index[rows].astype(np.int64),
        T_cam_obj=poses,
        visibility=scene.visibility[rows].copy(),
        instance_map=read_instances(scene.folder, image_id, scene.row[rows], image.shape[:2]),
        boxes=scene.boxes[rows].copy(),
    )


def scene_folders(folder: Path) -> list[Path]:
    """The scenes of a split in ascending order; the folder itself where it is one.

    Raises:
        CopeError: there is none.
    """
    found = list(find_scene_folders(folder, SCENE_GT).values())
    if not found:
        there = "" if folder.is_dir() else " (no such folder)"
        raise CopeError(f"{folder}: expected scene folders with {SCENE_GT}, got none{there}")
    return found


def read_scene(
    folder: Path, catalogue: Catalogue, missing_images: str = "refuse", with_info: bool = True
) -> Scene:
    """Reads and checks one scene folder's ground truth; see ``BopDataset``."""
    truth = read_scene_truth(folder, catalogue, with_info)
    paths = list_images(folder)
    check_annotated(truth, paths, missing_images)
    kept = np.array([im_id in paths for im_id in truth.im_id.tolist()], dtype=bool)
    image_of_row = np.repeat(np.arange(len(kept)), np.diff(truth.first))
    index = {item.obj_id: c for c, item in enumerate(catalogue)}
    known = np.array([i in index for i in truth.obj_id.tolist()], dtype=bool)
    if not known.all():
        ids = sorted(set(truth.obj_id[~known].tolist()))
        note_once(log, "%s: objects not in models_info are background: %s", folder.parent, ids)
    rows = np.flatnonzero(known & kept[image_of_row] & (truth.t[:, 2] > 0))
    counts = np.bincount(image_of_row[rows], minlength=len(kept))[kept]
    x, y, width, height = truth.bbox[rows].T
    boxes = np.stack([x, y, x + width - 1, y + height - 1], axis=1)
    return Scene(
        folder=folder,
        paths=tuple(paths[i] for i in truth.im_id[kept].tolist()),
        image_ids=truth.im_id[kept].astype(np.int32),
        K=truth.K[kept].reshape(-1, 9),
        depth_scale=truth.depth_scale[kept],
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        row=truth.row[rows].astype(np.int32),
        class_index=np.array([index[i] for i in truth.obj_id[rows].tolist()], dtype=np.int16),
        pose=np.concatenate([truth.R[rows].reshape(-1, 9), truth.t[rows]], axis=1).astype("f4"),
        visibility=truth.visibility[rows].astype(np.float32),
        boxes=boxes.astype(np.float32),
    )


def check_annotated(truth: SceneTruth, paths: dict[int, Path], missing_images: str) -> None:
    """Names images without annotation and, where they may be missing, annotations without image.

    Raises:
        CopeError: an image is missing that must not be.
    """
    missing = sorted(set(truth.im_id.tolist()) - set(paths))
    if missing and missing_images == "refuse":
        raise CopeError(
            f"{truth.folder / 'rgb' / f'{missing[0]:06d}'}.png or .jpg: the image is missing"
            f"{f' ({len(missing)} in all)' if len(missing) > 1 else ''}"
        )
    note_gaps(truth, set(paths))
    check_said_sizes(truth, paths)


def check_said_sizes(truth: SceneTruth, paths: Mapping[int, Path]) -> None:
    """Compares the images with the sizes that scene_camera.json says, if it does.

    Raises:
        CopeError: an image has another size, or is none.
    """
    for place in np.flatnonzero(truth.size[:, 0]):
        im_id, (width, height) = int(truth.im_id[place]), truth.size[place].tolist()
        if im_id in paths:
            source = f"{truth.folder / SCENE_CAMERA}: image {im_id}"
            check_size(paths[im_id], (width, height), source)


def note_gaps(truth: SceneTruth, images: set[int]) -> None:
    """Says which annotations have no image and which images no annotation."""
    annotated = set(truth.im_id.tolist())
    for what, ids in (
        ("annotations without image", sorted(annotated - images)),
        ("images without annotation", sorted(images - annotated)),
    ):
        if ids:
            shown = ", ".join(str(i) for i in ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
            note_once(log, "%s: %s are left out (%d): %s", truth.folder, what, len(ids), shown)
