"""A BOP training set as an endless, shuffled sequence of frames that any worker can enter.

Only the images' numbers are held of the whole set (4 bytes each). Ground truth is read and
checked scene by scene when the sequence gets there, and kept for the scenes of one group.
"""

import logging
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.bop_agreement import check_masks
from cope_training.data.bop_checks import check_sizes
from cope_training.data.bop_images import depth_file, list_images, note_no_scale, read_depth
from cope_training.data.bop_json import read_by_image
from cope_training.data.bop_reader import Scene, read_frame, read_scene, scene_folders
from cope_training.data.bop_scene import HOW_TO_ANNOTATE, SCENE_CAMERA, SCENE_GT, SCENE_GT_INFO
from cope_training.data.crops import cut
from cope_training.data.frames import Frame
from cope_training.data.notes import note_once
from cope_training.data.photographs import image_size
from cope_training.progress import shown

log = logging.getLogger(__name__)

SCENE_FILES = (SCENE_GT, SCENE_CAMERA, SCENE_GT_INFO)
GROUP = 8  # scenes whose images are shuffled together; their ground truth is in memory
AIMED_SHARE = 0.9  # of the windows are cut around an instance
AIMED_VISIBILITY = 0.1  # that is at least so visible
CHECKED_MASKS = 20  # images whose masks are compared with boxes before a training
SIZE_UNIT = 32  # px, the coarsest stride: images are multiples of it


class BopStream:
    """Frames of a split by their number in an endless sequence.

    Each epoch goes through all images once: scenes in random order, the images of GROUP scenes
    shuffled together. Frame ``number`` depends on the seed and the number alone.
    """

    def __init__(self, folder: Path, catalogue: Catalogue, seed: int, crop: int = 0) -> None:
        """Lists the images.

        Args:
            folder: a split, holding scene folders.
            catalogue: the known objects; others count as background.
            seed: of order and windows.
            crop: px, side of the windows; 0 gives whole images.

        Raises:
            CopeError: a scene lacks a file of its ground truth, or none has an annotated image.
        """
        self._catalogue, self._seed, self._crop = catalogue, seed, crop
        self._folders, self._ids = _list_scenes(folder)
        self._first = np.cumsum([0] + [len(ids) for ids in self._ids])
        self._epoch, self._order = -1, np.zeros(0, np.int32)
        self._scenes: OrderedDict[int, Scene] = OrderedDict()

    def __len__(self) -> int:
        """Images in the set."""
        return int(self._first[-1])

    @property
    def index_bytes(self) -> int:
        """Memory that the list of images and the order of an epoch take."""
        return sum(ids.nbytes for ids in self._ids) + 4 * len(self)

    def __call__(self, number: int) -> Frame:
        """Frame ``number`` of the sequence.

        Raises:
            CopeError: a file or key of its scene is missing or broken; names both.
        """
        epoch, place = divmod(number, len(self))
        scene_index, image_id = self.locate(epoch, place)
        scene = self._scene(scene_index)
        row = int(np.searchsorted(scene.image_ids, image_id))
        if row == len(scene.image_ids) or scene.image_ids[row] != image_id:
            raise CopeError(f"{scene.folder / 'scene_gt.json'}: image {image_id} is missing")
        frame = read_frame(scene, row)
        if frame.instance_map is None:
            masks = scene.folder / "mask_visib"
            raise CopeError(f"{masks}: training needs masks, found none; {HOW_TO_ANNOTATE}")
        height, width = frame.image.shape[:2]
        self._check_size(scene.folder, (width, height))
        frame = replace(frame, depth=_depth(scene, row, (width, height)))
        if self._crop:
            return self._window(frame, np.random.default_rng([self._seed, 1, number]))
        return frame

    def check(self) -> None:
        """Reads all ground truth, the sizes of all images and some masks, so that errors come now.

        Raises:
            CopeError: as a frame would, later.
        """
        picked = np.unique(np.linspace(0, len(self) - 1, CHECKED_MASKS).astype(int))
        for index, folder in enumerate(shown(self._folders, "checking scenes", len(self._folders))):
            scene = read_scene(folder, self._catalogue, "skip")
            masks = folder / "mask_visib"
            names = {path.stem for path in masks.iterdir()} if masks.is_dir() else set()
            size = image_size(scene.paths[0])
            self._check_size(folder, size)
            for place, path in enumerate(scene.paths):
                number, K = int(scene.image_ids[place]), scene.K[place].reshape(3, 3)
                source = f"{folder / SCENE_CAMERA}: image {number}"
                check_sizes((path, depth_file(folder, number)), size, K, source)
                rows = scene.row[scene.first[place] : scene.first[place + 1]]
                stems = [f"{number:06d}_{row:06d}" for row in rows.tolist()]
                missing = [stem for stem in stems if stem not in names]
                if missing:
                    raise CopeError(
                        f"{masks / missing[0]}.png: the mask is missing; {HOW_TO_ANNOTATE}"
                    )
            places = picked - self._first[index]
            places = places[(places >= 0) & (places < len(scene.paths))]
            check_masks(masks, (read_frame(scene, place) for place in places.tolist()))

    def _check_size(self, folder: Path, size: tuple[int, int]) -> None:
        if self._crop > min(size):
            raise CopeError(
                f"data.bop.crop: expected at most {min(size)} as in {folder}, got {self._crop}"
            )
        if not self._crop and (size[0] % SIZE_UNIT or size[1] % SIZE_UNIT):
            raise CopeError(
                f"{folder}: expected images of multiples of {SIZE_UNIT} px, got "
                f"{size[0]} x {size[1]}; set data.bop.crop"
            )

    def locate(self, epoch: int, place: int) -> tuple[int, int]:
        """Index of the scene and number of the image at a place of an epoch."""
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._shuffle(epoch)
        index = int(self._order[place])
        scene = int(np.searchsorted(self._first, index, side="right")) - 1
        return scene, int(self._ids[scene][index - self._first[scene]])

    def _shuffle(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, 0, epoch])
        scenes = rng.permutation(len(self._ids))
        parts = []
        for first in range(0, len(scenes), GROUP):
            group = scenes[first : first + GROUP]
            images = [np.arange(self._first[s], self._first[s + 1], dtype=np.int32) for s in group]
            parts.append(rng.permutation(np.concatenate(images)))
        return np.concatenate(parts)

    def _scene(self, index: int) -> Scene:
        if index not in self._scenes:
            while len(self._scenes) >= GROUP:
                self._scenes.popitem(last=False)
            self._scenes[index] = read_scene(self._folders[index], self._catalogue, "skip")
        self._scenes.move_to_end(index)
        return self._scenes[index]

    def _window(self, frame: Frame, rng: np.random.Generator) -> Frame:
        side, (height, width) = self._crop, frame.image.shape[:2]
        corner = rng.uniform(0, [width - side, height - side])
        seen = np.flatnonzero(frame.visibility >= AIMED_VISIBILITY)
        if len(seen) and rng.random() < AIMED_SHARE:
            x1, y1, x2, y2 = frame.boxes[rng.choice(seen)]
            center = np.array([x1 + x2, y1 + y2]) / 2 + rng.uniform(-0.35, 0.35, 2) * side
            corner = np.clip(center - side / 2, 0, [width - side, height - side])
        left, top = np.floor(corner)
        return cut(frame, left, top, (side, side))


def _depth(scene: Scene, place: int, size: tuple[int, int]) -> np.ndarray | None:
    """(H, W) float32 m; None without a depth image or its scale."""
    path = depth_file(scene.folder, int(scene.image_ids[place]))
    scale = float(scene.depth_scale[place])
    if path and not scale:
        note_no_scale(scene.folder)
    return read_depth(path, scale, size).astype(np.float32) if path and scale else None


def _list_scenes(folder: Path) -> tuple[list[Path], list[np.ndarray]]:
    """The scenes of a split that have annotated images, and the (I,) int32 numbers of those.

    Raises:
        CopeError: there are none, or a file of a scene's ground truth is missing.
    """
    found, empty = [], []
    for scene in scene_folders(folder):
        ids, reason = _list_images(scene)
        if len(ids):
            found.append((scene, ids))
        else:
            empty.append(reason)
    if not found:
        raise CopeError(empty[0])
    if empty:
        note_once(log, "%s: scenes without annotated images: %d: %s", folder, len(empty), empty[0])
    return [scene for scene, _ in found], [ids for _, ids in found]


def _list_images(folder: Path) -> tuple[np.ndarray, str]:
    """(I,) int32 numbers of a scene's annotated images that are there; the reason if none is.

    Raises:
        CopeError: a file of its ground truth is missing.
    """
    for name in SCENE_FILES:
        if not (folder / name).is_file():
            hint = f"; {HOW_TO_ANNOTATE}" if name == SCENE_GT_INFO else ""
            raise CopeError(f"{folder / name}: expected a file of the scene, found none{hint}")
    images, annotated = list_images(folder), read_by_image(folder / SCENE_GT)
    both = np.array([im_id for im_id in annotated if im_id in images], dtype=np.int32)
    if not images:
        return both, f"{folder / 'rgb'}: expected images named by numbers, found none"
    return both, f"{folder / SCENE_GT}: annotates none of the {len(images)} images"
