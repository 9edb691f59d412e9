"""Frames that stay on the device of a training and are drawn from again and again.

A GPU trains faster than a machine's processors render. Frames are rendered all the time, take
the place of the oldest, and each step draws at random from those there are; how often a frame is
used follows from both speeds. Which frames a step sees depends on timing, so that such a
training does not resume to the bit.
"""

import queue as queue_module
import threading
import time

import torch

from cope_ros.core.errors import CopeError
from cope_training.data.frame_batch import FrameBatch, FrameBlocks
from cope_training.data.frames import FrameSource, FrameStream

BLOCK = 16  # frames moved to the device together
LEAST_BATCHES = 4  # in the pool before the first step
CLOSING = 10.0  # s that the end of a training waits for a last block
PATIENCE = 120.0  # s without a frame at the start, after which a training stops


class FramePool:
    """A ring of frames on a device.

    Args:
        capacity: frames.
        device: where they lie.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        self.capacity, self.device = capacity, device
        self.added = 0
        self._rows: FrameBatch | None = None

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, block: FrameBatch) -> None:
        """Takes frames, in the place of the oldest where the pool is full."""
        if self._rows is None:
            self._rows = FrameBatch(
                *(
                    torch.zeros(
                        self.capacity, *field.shape[1:], dtype=field.dtype, device=self.device
                    )
                    for field in block
                )
            )
        count = len(block.K)
        place = (torch.arange(count) + self.added) % self.capacity
        place = place.to(self.device)
        for rows, field in zip(self._rows, block, strict=True):
            rows.index_copy_(0, place, field.to(self.device, non_blocking=True))
        self.added += count

    def draw(self, count: int) -> FrameBatch:
        """Random frames, each at most once.

        Raises:
            CopeError: there are fewer.
        """
        if len(self) < count or self._rows is None:
            raise CopeError(f"frame pool: expected at least {count} frames, got {len(self)}")
        rows = torch.randperm(len(self), device=self.device)[:count]
        return FrameBatch(*(field[rows] for field in self._rows))


class PooledStream:
    """Batches from a pool that worker processes keep filling.

    Args:
        source: of the frames.
        workers: rendering processes.
        start: number of the first block.
        stride: from one block's number to the next one's.
        rows: most instances of a frame.
        pool: where they go.
    """

    def __init__(
        self, source: FrameSource, workers: int, start: int, stride: int, rows: int, pool: FramePool
    ) -> None:
        self.pool = pool
        blocks = FrameBlocks(source, BLOCK, rows)
        self._stream = FrameStream(blocks, workers, start, stride, ahead=2)
        self._blocks: queue_module.Queue[FrameBatch | CopeError] = queue_module.Queue(maxsize=8)
        self._closed = False
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        pin = self.pool.device.type == "cuda"
        while not self._closed:
            try:
                fields = self._stream.next_frame()
            except CopeError as error:
                self._blocks.put(error)
                return
            block = FrameBatch(*map(torch.from_numpy, fields))
            if pin:
                block = FrameBatch(*(field.pin_memory() for field in block))
            while not self._closed:
                try:
                    self._blocks.put(block, timeout=1.0)
                    break
                except queue_module.Full:
                    continue

    def take(self, count: int) -> FrameBatch:
        """A batch of random frames of the pool, after what has been rendered is added.

        Raises:
            CopeError: a worker failed, or no frame comes.
        """
        end = time.monotonic() + PATIENCE
        least = min(LEAST_BATCHES * count, self.pool.capacity)
        while len(self.pool) < least or not self._blocks.empty():
            try:
                block = self._blocks.get(timeout=1.0)
            except queue_module.Empty:
                if time.monotonic() > end:
                    raise CopeError(f"frames: none came for {PATIENCE:.0f} s") from None
                continue
            if isinstance(block, CopeError):
                raise block
            self.pool.add(block)
        return self.pool.draw(count)

    def close(self) -> None:
        """Ends the workers, after the thread that waits for them."""
        self._closed = True
        self._thread.join(CLOSING)
        self._stream.close()

    def __enter__(self) -> "PooledStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
