"""Reads BOP data sets: train_pbr, test splits and single scene folders.

Ground truth is checked whole and kept as compact arrays (about 100 bytes an instance); images
are read when asked for, so that sets of 50,000 images stream. Files are in millimetres,
frames in metres.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.errors import CopeError
from cope_training.data.bop_images import image_path, read_image, read_instances
from cope_training.data.frames import Frame


@dataclass(frozen=True)
class Scene:
    """The ground truth of one scene folder, images in ascending order."""

    folder: Path
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
        folders = [folder] if (folder / "scene_gt.json").is_file() else scene_folders(folder)
        self._scenes = [read_scene(f, catalogue, missing_images == "skip") for f in folders]
        sizes = [len(s.image_ids) for s in self._scenes]
        self._ends = np.cumsum(sizes)
        if not sum(sizes):
            raise CopeError(f"{folder}: expected images with ground truth, got none")

    def __len__(self) -> int:
        return int(self._ends[-1])

    def ids(self, index: int) -> tuple[int, int]:
        """BOP's scene_id and im_id of a frame; scene_id is -1 where the folder is no number."""
        scene, place = self._find(index)
        name = scene.folder.name
        return int(name) if name.isdigit() else -1, int(scene.image_ids[place])

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
    image = read_image(image_path(scene.folder, image_id), "RGB")
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
    """The scenes of a split in ascending order.

    Raises:
        CopeError: none.
    """
    found = sorted(p.parent for p in folder.glob("*/scene_gt.json"))
    if not found:
        raise CopeError(f"{folder}: expected scene folders with scene_gt.json, got none")
    return found


def read_scene(folder: Path, catalogue: Catalogue, skip_missing: bool = False) -> Scene:
    """Reads and checks one scene folder's ground truth; see ``BopDataset``."""
    gt, camera = _read_json(folder / "scene_gt.json"), _read_json(folder / "scene_camera.json")
    info_path = folder / "scene_gt_info.json"
    info = _read_json(info_path)
    known = {o.obj_id: index for index, o in enumerate(catalogue)}
    ids, intrinsics, scales, counts, rows = [], [], [], [], []
    for key in sorted(gt, key=lambda k: _number(k, folder / "scene_gt.json")):
        if image_path(folder, int(key), required=not skip_missing) is None:
            continue
        for name, content in (("scene_camera.json", camera), ("scene_gt_info.json", info)):
            if key not in content:
                raise CopeError(f"{folder / name}: image {key} of scene_gt.json is missing")
        K_row = _numbers(camera[key], "cam_K", 9, f"{folder / 'scene_camera.json'}: image {key}")
        scales.append(_depth_scale(camera[key], folder, key))
        parsed = _parse_image(gt[key], info[key], known, folder, key)
        ids.append(int(key))
        intrinsics.append(K_row)
        counts.append(len(parsed))
        rows += parsed
    table = np.array(rows, dtype=np.float64).reshape(-1, 19)
    return Scene(
        folder=folder,
        image_ids=np.array(ids, dtype=np.int32),
        K=np.array(intrinsics, dtype=np.float64).reshape(-1, 9),
        depth_scale=np.array(scales, dtype=np.float64),
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        row=table[:, 0].astype(np.int32),
        class_index=table[:, 1].astype(np.int16),
        pose=table[:, 2:14].astype(np.float32),
        visibility=table[:, 14].astype(np.float32),
        boxes=table[:, 15:].astype(np.float32),
    )


def _depth_scale(camera: dict[str, Any], folder: Path, key: str) -> float:
    if "depth_scale" not in camera:
        return 0.0
    where = f"{folder / 'scene_camera.json'}: image {key}"
    return _numbers(camera, "depth_scale", 1, where)[0]


def _parse_image(
    gt: Any, info: Any, known: dict[int, int], folder: Path, key: str
) -> list[list[float]]:
    """One row per known object: place, class, 12 of the pose, visibility, box."""
    gt_place = f"{folder / 'scene_gt.json'}: image {key}"
    info_place = f"{folder / 'scene_gt_info.json'}: image {key}"
    if not isinstance(gt, list) or not isinstance(info, list) or len(gt) != len(info):
        raise CopeError(f"{info_place}: expected one entry per object of scene_gt.json")
    rows = []
    for place, (pose, seen) in enumerate(zip(gt, info, strict=True)):
        obj_id = _numbers(pose, "obj_id", 1, f"{gt_place}, object {place}")[0]
        where = f"{gt_place}, object {place}"
        R = _numbers(pose, "cam_R_m2c", 9, where)
        t = _numbers(pose, "cam_t_m2c", 3, where)
        M = np.reshape(R, (3, 3))
        if np.abs(M @ M.T - np.eye(3)).max() > 1e-2:
            raise CopeError(f"{where}, cam_R_m2c: expected a rotation, got {R}")
        where = f"{info_place}, object {place}"
        visibility = _numbers(seen, "visib_fract", 1, where)[0]
        x, y, width, height = _numbers(seen, "bbox_obj", 4, where)
        if obj_id in known:
            box = [x, y, x + width - 1, y + height - 1]
            metres = [v * MM for v in t]
            rows.append([place, known[int(obj_id)], *R, *metres, visibility, *box])
    return rows


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise CopeError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CopeError(f"{path}: expected JSON, got {error}") from error
    if not isinstance(content, dict):
        raise CopeError(f"{path}: expected a mapping of image numbers")
    return content


def _number(key: str, path: Path) -> int:
    if not key.isdigit():
        raise CopeError(f"{path}: expected image numbers as keys, got {key!r}")
    return int(key)


def _numbers(entry: Any, key: str, count: int, where: str) -> list[float]:
    """The finite numbers under a key; a single one may stand without a list."""
    if not isinstance(entry, dict) or key not in entry:
        raise CopeError(f"{where}: {key} is missing")
    values = entry[key] if isinstance(entry[key], list) else [entry[key]]
    valid = all(isinstance(v, int | float) and np.isfinite(v) for v in values)
    if len(values) != count or not valid:
        raise CopeError(f"{where}, {key}: expected {count} finite numbers, got {entry[key]}")
    return [float(v) for v in values]
