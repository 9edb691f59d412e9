"""Crops to train crop head and refiner on: one instance each, seen by a virtual camera."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cope_ros.core.catalogue import Catalogue
from cope_ros.core.refinement.crop_network import CROP_SCALE
from cope_ros.core.refinement.virtual_camera import LEVELS, look_at, sample_crops, source_pixels
from cope_training.data.frames import Frame, FrameSource
from cope_training.tasks.crop_head.config import CropJitter

ALIGNMENT = 2 ** (LEVELS - 1)  # px: cut at multiples, an image is halved as the whole one is
SURROUNDINGS = 0.8  # of a crop's side, to each side of its centre: room to be turned
MAX_EMPTY = 1000  # frames in a row without anything to look at
BLOCK = 16  # frames in turn, so that of several processes each keeps frames of its own


@dataclass(frozen=True)
class InstanceCropFrames:
    """A random instance of each frame of a source, in a crop that lies about right.

    Of a source that shows each frame ``repeats`` times, blocks of frames are seen in turn.
    """

    source: FrameSource
    repeats: int
    catalogue: Catalogue
    config: CropJitter
    size: int  # px, side of the crops
    seed: int
    margin: int = 0  # px of the crop, shown beyond each of its sides

    def open(self) -> Callable[[int], Frame]:
        """Opens the source."""
        read = self.source.open()

        def look(number: int) -> Frame:
            rng = np.random.default_rng([self.seed, 3, number])
            block, rest = divmod(number, self.repeats * BLOCK)
            use, place = divmod(rest, BLOCK)
            for ahead in range(MAX_EMPTY):
                frame = read(((block + ahead) * BLOCK + place) * self.repeats + use)
                rows = self._rows(frame)
                if len(rows):
                    return self._window(frame, int(rng.choice(rows)), rng)
            raise ValueError(f"{MAX_EMPTY} frames in a row show no instance to look at")

        return look

    def _rows(self, frame: Frame) -> np.ndarray:
        """Instances with enough to see, around whose box's centre the image has room."""
        middle = np.array([o.corners.mean(0) for o in self.catalogue])[frame.class_index]
        pixels = _project(frame, middle)
        height, width = frame.image.shape[:2]
        diameter = np.array([o.diameter for o in self.catalogue])[frame.class_index]
        depth = (frame.T_cam_obj[:, 2, :3] * middle).sum(1) + frame.T_cam_obj[:, 2, 3]
        side = CROP_SCALE * frame.K[0, 0] * diameter / np.maximum(depth, 1e-6)
        room = (self.config.room * side)[:, None]
        inside = (pixels >= room).all(1) & (pixels < (width, height) - room).all(1)
        return np.flatnonzero(inside & (frame.visibility >= self.config.visibility))

    def _window(self, frame: Frame, row: int, rng: np.random.Generator) -> Frame:
        config, item = self.config, self.catalogue[int(frame.class_index[row])]
        one = frame.select(np.array([row]))
        T = one.T_cam_obj[0]
        middle = item.corners.mean(0)
        depth = (T[:3, :3] @ middle + T[:3, 3])[2]
        apparent = frame.K[0, 0] * item.diameter / depth
        center = _project(one, middle[None])[0]
        center = center + rng.normal(0.0, config.center_sigma, 2) * apparent
        side = CROP_SCALE * apparent * np.exp(rng.normal(0.0, config.size_sigma))
        roll = np.radians(rng.normal(0.0, config.roll_sigma))
        shown = self.size + 2 * self.margin
        side = float(side) * (shown / self.size)
        return virtual_frame(one, center, side, float(roll), shown)


def virtual_frame(frame: Frame, center: np.ndarray, side: float, roll: float, size: int) -> Frame:
    """The crop of a frame that a virtual camera sees, with intrinsics and poses of its own.

    Args:
        frame: whose instances all stay, also those that the crop leaves out.
        center: (2,) px of the frame, in the crop's middle.
        side: px of the frame that the crop spans.
        roll: radians about the view's axis.
        size: px of the crop.

    Returns:
        Boxes bound those of the frame after the turn; visibility stays the frame's.
    """
    K = torch.from_numpy(frame.K).float()[None]
    place = torch.from_numpy(center).float().view(1, 1, 2)
    camera = look_at(place, torch.full((1, 1), side), torch.full((1, 1), roll), K, size)
    image, shift = _cut(frame.image, center, side)
    K_cut = K.clone()
    K_cut[:, :2, 2] -= torch.from_numpy(shift).float()
    crop = sample_crops(torch.from_numpy(image)[None], K_cut, camera, size)[0, 0].numpy()
    pixels = source_pixels(camera, K, size)[0, 0].numpy()
    K_crop = camera.K[0, 0].double().numpy()
    T_crop_cam = np.eye(4)
    T_crop_cam[:3, :3] = camera.R_cam_crop[0, 0].double().numpy().T
    labels, depth = _labels(frame, pixels, T_crop_cam[2, :3], size)
    return Frame(
        image=crop,
        K=K_crop,
        class_index=frame.class_index,
        T_cam_obj=T_crop_cam @ frame.T_cam_obj,
        visibility=frame.visibility,
        instance_map=labels,
        boxes=_turned_boxes(frame, K_crop @ T_crop_cam[:3, :3] @ np.linalg.inv(frame.K)),
        depth=depth,
    )


def _cut(image: np.ndarray, center: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """The part of an image that a crop may touch, and its top left corner (x, y)."""
    size = np.array(image.shape[1::-1])
    reach = max(SURROUNDINGS * side, float(ALIGNMENT))
    low = np.floor((center - reach) / ALIGNMENT) * ALIGNMENT
    high = np.ceil((center + reach) / ALIGNMENT + 1) * ALIGNMENT
    low = low.clip(0, size - ALIGNMENT).astype(int)
    high = high.clip(low + ALIGNMENT, size).astype(int)
    return np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]]), low


def _labels(
    frame: Frame, pixels: np.ndarray, axis: np.ndarray, size: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Instance map and depth along the view's ``axis`` at the nearest pixels."""
    height, width = frame.image.shape[:2]
    x, y = np.rint(pixels).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    labels = depth = None
    if frame.instance_map is not None:
        labels = np.where(inside, frame.instance_map[y, x], -1).astype(np.int16)
        labels = labels.reshape(size, size)
    if frame.depth is not None:
        ray = (np.stack((x, y), 1) - frame.K[:2, 2]) / frame.K[[0, 1], [0, 1]]
        along = ray @ axis[:2] + axis[2]
        depth = np.where(inside, frame.depth[y, x] * along, 0.0).astype(np.float32)
        depth = depth.reshape(size, size)
    return labels, depth


def _turned_boxes(frame: Frame, H: np.ndarray) -> np.ndarray:
    """(N, 4) bounds of the frame's boxes after the homography ``H``."""
    x1, y1, x2, y2 = frame.boxes.astype(np.float64).T
    corners = np.stack((x1, y1, x2, y1, x2, y2, x1, y2), 1).reshape(-1, 4, 2)
    turned = np.concatenate((corners, np.ones_like(corners[..., :1])), -1) @ H.T
    turned = turned[..., :2] / turned[..., 2:].clip(1e-6)
    return np.concatenate((turned.min(1), turned.max(1)), 1).astype(np.float32)


def _project(frame: Frame, points: np.ndarray) -> np.ndarray:
    """(N, 3) one point of each instance's object frame -> (N, 2) px."""
    p = (frame.T_cam_obj[:, :3, :3] @ points[..., None])[..., 0] + frame.T_cam_obj[:, :3, 3]
    p = p @ frame.K.T
    return np.asarray(p[:, :2] / np.maximum(p[:, 2:], 1e-6))
