"""A batch of frames as tensors, and a pool of them that stays on the device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cope_ros.core.errors import CopeError
from cope_training.data.frames import Frame, FrameSource

DEPTH_UNIT = 1e-4  # m per unit of a stored depth: 16 bits reach 3.2 m
MAX_DEPTH = 32767


class FrameBatch(NamedTuple):
    """B frames of equal size with up to N instances each, see ``Frame``."""

    image: Tensor  # (B, H, W, 3) uint8 RGB
    instance: Tensor  # (B, H, W) uint8, 1 + row of the instance seen there, 0 background
    depth: Tensor  # (B, H, W) int16, DEPTH_UNIT m along z, 0 where unknown
    K: Tensor  # (B, 3, 3) float px
    valid: Tensor  # (B, N) bool
    class_index: Tensor  # (B, N) int64
    R: Tensor  # (B, N, 3, 3) float
    t: Tensor  # (B, N, 3) float m
    visibility: Tensor  # (B, N) float
    boxes: Tensor  # (B, N, 4) float px, amodal

    @classmethod
    def of(cls, frames: Sequence[Frame], rows: int = 0) -> "FrameBatch":
        """Stacks frames; ``rows`` is N, at least the most instances of a frame.

        Raises:
            CopeError: a frame has no instance map.
        """
        rows = max(rows, 1, *(len(f.class_index) for f in frames))
        return cls(*(torch.stack(field) for field in zip(*(_row(f, rows) for f in frames))))  # noqa: B905

    def to(self, device: torch.device) -> "FrameBatch":
        """The same on another device."""
        return FrameBatch(*(field.to(device, non_blocking=True) for field in self))


@dataclass(frozen=True)
class FrameBlocks:
    """Batches of a source by number, as arrays, which travel between processes at little cost.

    Made where frames are rendered, they leave the training's process nothing to convert.
    """

    source: FrameSource
    count: int  # frames of a block
    rows: int  # most instances of a frame

    def open(self) -> Callable[[int], tuple[np.ndarray, ...]]:
        """Opens the source; block n holds its frames from n * count on."""
        read = self.source.open()

        def block(number: int) -> tuple[np.ndarray, ...]:
            first = number * self.count
            frames = [read(n) for n in range(first, first + self.count)]
            return tuple(field.numpy() for field in FrameBatch.of(frames, self.rows))

        return block


def _row(frame: Frame, rows: int) -> tuple[Tensor, ...]:
    if frame.instance_map is None:
        raise CopeError("frame: training needs an instance map (mask_visib), got none")
    count, size = len(frame.class_index), frame.image.shape[:2]
    depth = np.zeros(size, np.float32) if frame.depth is None else frame.depth
    stored = np.clip(np.rint(depth / DEPTH_UNIT), 0, MAX_DEPTH).astype(np.int16)
    valid = torch.arange(rows) < count
    classes = torch.zeros(rows, dtype=torch.int64)
    classes[:count] = torch.from_numpy(frame.class_index)
    T = torch.eye(4).repeat(rows, 1, 1)
    T[:, 2, 3] = 1.0  # padding lies before the camera, too
    T[:count] = torch.from_numpy(frame.T_cam_obj).float()
    visibility, boxes = torch.zeros(rows), torch.zeros(rows, 4)
    visibility[:count] = torch.from_numpy(frame.visibility).float()
    boxes[:count] = torch.from_numpy(frame.boxes).float()
    return (
        torch.from_numpy(frame.image),
        torch.from_numpy((frame.instance_map + 1).astype(np.uint8)),
        torch.from_numpy(stored),
        torch.from_numpy(frame.K).float(),
        valid,
        classes,
        T[:, :3, :3].contiguous(),
        T[:, :3, 3].contiguous(),
        visibility,
        boxes,
    )
