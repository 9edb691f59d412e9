"""Frames as tensors, in blocks from processes, and the pool that trainings draw from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from cope_ros.core.errors import CopeError
from cope_training.data.frame_batch import DEPTH_UNIT, FrameBatch, FrameBlocks
from cope_training.data.frame_pool import BLOCK, FramePool, PooledStream
from cope_training.data.frames import Frame

SIDE = 32


def numbered(number: int, count: int = 2) -> Frame:
    """A frame whose pixels and first pose say its number."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 2, 3] = 0.5 + 0.001 * number
    seen = np.full((SIDE, SIDE), -1, np.int16)
    seen[4:8, 4:8] = count - 1
    return Frame(
        image=np.full((SIDE, SIDE, 3), number % 256, np.uint8),
        K=np.eye(3),
        class_index=np.arange(count, dtype=np.int64),
        T_cam_obj=poses,
        visibility=np.linspace(1.0, 0.4, count, dtype=np.float32),
        instance_map=seen,
        boxes=np.zeros((count, 4), np.float32),
        depth=np.full((SIDE, SIDE), 0.75, np.float32),
    )


@dataclass(frozen=True)
class NumberedSource:
    """Frame n says n; ``broken`` of them cannot be made."""

    broken: int = -1

    def open(self) -> Callable[[int], Frame]:
        """As of ``FrameSource``."""

        def read(number: int) -> Frame:
            if number == self.broken:
                raise CopeError(f"frame {number}: cannot be made")
            return numbered(number)

        return read


def test_frames_of_different_counts_become_one_padded_batch() -> None:
    batch = FrameBatch.of([numbered(1, 1), numbered(2, 3)], rows=5)
    assert batch.valid.sum(1).tolist() == [1, 3]
    assert batch.image.shape == (2, SIDE, SIDE, 3)
    assert batch.t.shape == (2, 5, 3)
    assert (batch.t[..., 2] > 0).all()
    assert batch.instance[1, 5, 5] == 3
    assert batch.instance[1, 0, 0] == 0
    assert batch.depth[0, 0, 0].item() * DEPTH_UNIT == pytest.approx(0.75)
    with pytest.raises(CopeError, match="instance map"):
        FrameBatch.of([Frame(**{**vars(numbered(0)), "instance_map": None})])


def test_a_block_is_its_frames() -> None:
    fields = FrameBlocks(NumberedSource(), 4, 3).open()(2)
    block = FrameBatch(*map(torch.from_numpy, fields))
    assert block.image[:, 0, 0, 0].tolist() == [8, 9, 10, 11]


def test_a_full_pool_forgets_the_oldest() -> None:
    pool = FramePool(6, torch.device("cpu"))
    with pytest.raises(CopeError, match="expected at least 1"):
        pool.draw(1)
    for first in (0, 4):
        pool.add(FrameBatch.of([numbered(first + i) for i in range(4)]))
    assert len(pool) == 6
    drawn = pool.draw(6)
    assert sorted(drawn.image[:, 0, 0, 0].tolist()) == [2, 3, 4, 5, 6, 7]
    torch.testing.assert_close(drawn.t[:, 0, 2], 0.5 + 0.001 * drawn.image[:, 0, 0, 0].float())
    with pytest.raises(CopeError, match="expected at least 7"):
        pool.draw(7)


def test_two_processes_share_the_blocks() -> None:
    seen = []
    for rank in (0, 1):
        pool = FramePool(64, torch.device("cpu"))
        with PooledStream(NumberedSource(), 1, rank, 2, 2, pool) as stream:
            batch = stream.take(4)
            assert len(batch.K) == 4
        seen.append({n // BLOCK % 2 for n in batch.image[:, 0, 0, 0].tolist()})
    assert seen == [{0}, {1}]


def test_a_frame_that_cannot_be_made_ends_the_training() -> None:
    pool = FramePool(64, torch.device("cpu"))
    with (
        PooledStream(NumberedSource(broken=3), 1, 0, 1, 2, pool) as stream,
        pytest.raises(CopeError, match="frame 3"),
    ):
        stream.take(4)
