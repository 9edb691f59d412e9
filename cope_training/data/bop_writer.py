"""Writes frames as a scene folder of a BOP data set (millimetres, PNG or JPEG)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cope_ros.core.catalogue import MM, Catalogue
from cope_ros.core.json_fields import read_json
from cope_training.data.frames import Frame
from cope_training.files import write_text, written_whole

SAVE_EVERY = 100  # images after which the JSON files are written
DEPTH_SCALE = 0.1  # mm per unit of the 16-bit depth images: up to 6.5 m


class BopSceneWriter:
    """Adds frames one by one; ``close`` writes the scene's JSON files. All files are whole."""

    def __init__(
        self,
        folder: Path | str,
        catalogue: Catalogue,
        jpeg_quality: int | None = None,
        append: bool = False,
    ) -> None:
        """Opens a scene folder such as ``train_pbr/000000``.

        Args:
            folder: made where missing.
            catalogue: gives the obj_id of a class.
            jpeg_quality: writes rgb as JPEG of that quality, as PNG where None.
            append: goes on after the images that the folder's JSON files know.

        Raises:
            CopeError: one of those is broken.
        """
        self._folder = Path(folder)
        self._catalogue = catalogue
        self._quality = jpeg_quality
        self._camera: dict[str, Any] = {}
        self._gt: dict[str, Any] = {}
        self._info: dict[str, Any] = {}
        if append:
            files = (self._folder / f"scene_{name}.json" for name in ("camera", "gt", "gt_info"))
            self._camera, self._gt, self._info = (read_json(path) for path in files)
        (self._folder / "rgb").mkdir(parents=True, exist_ok=True)

    def add(
        self,
        frame: Frame,
        pixels: np.ndarray,
        depth: np.ndarray | None = None,
        silhouettes: np.ndarray | None = None,
        T_cam_world: np.ndarray | None = None,
    ) -> int:
        """Writes one frame and returns its image number.

        Args:
            frame: with its instance map.
            pixels: (N, 2) of the whole silhouette and visible, as in ``Rendering``.
            depth: (H, W) m; written where given.
            silhouettes: (N, H, W) bool, each object as if alone; with them the masks are written.
            T_cam_world: (4, 4) m pose of the world, written to the camera file where given.
        """
        number = len(self._gt)
        self._save_rgb(number, frame.image)
        camera: dict[str, Any] = {"cam_K": frame.K.reshape(9).tolist(), "depth_scale": DEPTH_SCALE}
        if T_cam_world is not None:
            camera["cam_R_w2c"] = np.round(T_cam_world[:3, :3], 9).reshape(9).tolist()
            camera["cam_t_w2c"] = np.round(T_cam_world[:3, 3] / MM, 6).tolist()
        if depth is not None:
            units = np.clip(np.rint(depth / MM / DEPTH_SCALE), 0, 65535).astype(np.uint16)
            self._save("depth", f"{number:06d}.png", units)
        if silhouettes is not None:
            self._save_masks(number, frame, silhouettes)
        key = str(number)
        self._camera[key] = camera
        self._gt[key] = [
            {
                "cam_R_m2c": np.round(T[:3, :3], 9).reshape(9).tolist(),
                "cam_t_m2c": np.round(T[:3, 3] / MM, 6).tolist(),
                "obj_id": self._catalogue[int(c)].obj_id,
            }
            for T, c in zip(frame.T_cam_obj, frame.class_index, strict=True)
        ]
        self._info[key] = _gt_info(frame, pixels)
        if len(self._gt) % SAVE_EVERY == 0:
            self.close()
        return number

    def close(self) -> None:
        """Writes scene_camera.json, scene_gt.json and scene_gt_info.json, an image a line."""
        files = {"scene_camera": self._camera, "scene_gt": self._gt, "scene_gt_info": self._info}
        for name, content in files.items():
            lines = [f"  {json.dumps(key)}: {json.dumps(row)}" for key, row in content.items()]
            text = "{\n" + ",\n".join(lines) + "\n}\n"
            write_text(self._folder / f"{name}.json", text)

    def _save_rgb(self, number: int, image: np.ndarray) -> None:
        path = rgb_path(self._folder, number, self._quality)
        with written_whole(path) as part:
            if self._quality is None:
                Image.fromarray(image).save(part)
            else:
                Image.fromarray(image).save(part, quality=self._quality)

    def _save_masks(self, number: int, frame: Frame, silhouettes: np.ndarray) -> None:
        if frame.instance_map is None:
            raise ValueError("masks: expected a frame with an instance map, got none")
        for row, silhouette in enumerate(silhouettes):
            name = f"{number:06d}_{row:06d}.png"
            self._save("mask", name, silhouette.astype(np.uint8) * 255)
            self._save("mask_visib", name, (frame.instance_map == row).astype(np.uint8) * 255)

    def _save(self, kind: str, name: str, image: np.ndarray) -> None:
        (self._folder / kind).mkdir(exist_ok=True)
        with written_whole(self._folder / kind / name) as beside:
            Image.fromarray(image).save(beside)


def rgb_path(scene: Path, number: int, jpeg_quality: int | None) -> Path:
    """Where an image of a scene lies."""
    return scene / "rgb" / f"{number:06d}{'.png' if jpeg_quality is None else '.jpg'}"


def _gt_info(frame: Frame, pixels: np.ndarray) -> list[dict[str, Any]]:
    """BOP's scene_gt_info rows; boxes as x, y, width, height in whole pixels."""
    rows = []
    for row, (x1, y1, x2, y2) in enumerate(frame.boxes.tolist()):
        low, high = np.ceil([x1, y1]).astype(int), np.floor([x2, y2]).astype(int)
        whole, visible = (int(n) for n in pixels[row])
        rows.append(
            {
                "bbox_obj": [*low.tolist(), *np.maximum(high - low + 1, 1).tolist()],
                "bbox_visib": _visible_box(frame, row),
                "px_count_all": whole,
                "px_count_valid": visible,
                "px_count_visib": visible,
                "visib_fract": round(float(frame.visibility[row]), 6),
            }
        )
    return rows


def _visible_box(frame: Frame, row: int) -> list[int]:
    """x, y, width, height around the visible pixels; BOP writes -1 where there are none."""
    if frame.instance_map is None:
        return [-1, -1, -1, -1]
    ys, xs = np.nonzero(frame.instance_map == row)
    if not len(xs):
        return [-1, -1, -1, -1]
    x, y = int(xs.min()), int(ys.min())
    return [x, y, int(xs.max()) - x + 1, int(ys.max()) - y + 1]
