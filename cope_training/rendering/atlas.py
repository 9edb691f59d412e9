"""Counts the pixels that objects would cover if nothing hid them, also outside the image."""

from collections.abc import Sequence

import moderngl
import numpy as np

from cope_training.rendering import shaders
from cope_training.rendering.camera import clip_from_cam
from cope_training.rendering.packing import pack_rows

SIDE = 1024  # px of the square sheet on which silhouettes are drawn side by side
MARGIN = 1  # px around a silhouette


class CoverAtlas:
    """Draws each object alone on its own tile, on the image's pixel grid, and counts."""

    def __init__(self, ctx: moderngl.Context) -> None:
        self.program = ctx.program(shaders.LABEL_VERTEX, fragment_shader=shaders.COVER_FRAGMENT)
        self._ctx = ctx
        self._sheet = ctx.framebuffer(ctx.renderbuffer((SIDE, SIDE), 1))

    def count(
        self,
        arrays: Sequence[moderngl.VertexArray],
        poses: Sequence[np.ndarray],
        K: np.ndarray,
        boxes: np.ndarray,
    ) -> np.ndarray:
        """Pixels whose centre each object covers, anywhere on the image plane.

        Args:
            arrays: N vertex arrays bound to ``program``.
            poses: N (4, 4) T_cam_obj.
            K: (3, 3) intrinsics.
            boxes: (N, 4) px around each projection. One larger than the sheet is counted
                within the sheet's size, from its top left corner.

        Returns:
            (N,) int64.
        """
        counts = np.zeros(len(arrays), dtype=np.int64)
        for tiles in pack_rows(tile_sizes(boxes), SIDE, SIDE):
            self._sheet.use()
            self._sheet.clear()
            self._ctx.enable_only(moderngl.NOTHING)
            for i, x, y, width, height in tiles:
                left, top = np.floor(boxes[i, :2]) - MARGIN
                shift = np.array([[0, 0, left], [0, 0, top], [0, 0, 0]])
                self._sheet.viewport = (x, y, width, height)
                P = clip_from_cam(K - shift, width, height)
                self.program["clip_from_cam"].write(np.ascontiguousarray(P.T, "f4").tobytes())
                pose = np.ascontiguousarray(poses[i].T, "f4")
                self.program["cam_from_obj"].write(pose.tobytes())
                arrays[i].render()
            used = max(y + height for _, _, y, _, height in tiles)
            data = self._sheet.read((0, 0, SIDE, used), components=1, alignment=1)
            sheet = np.frombuffer(data, np.uint8).reshape(used, SIDE)
            for i, x, y, width, height in tiles:
                counts[i] = np.count_nonzero(sheet[y : y + height, x : x + width])
        return counts


def tile_sizes(boxes: np.ndarray) -> np.ndarray:
    """(N, 2) int64 width and height of the tile that holds each (N, 4) box."""
    low = np.floor(boxes[:, :2]) - MARGIN
    high = np.ceil(boxes[:, 2:]) + MARGIN
    return np.clip(high - low + 1, 1, SIDE).astype(np.int64)
